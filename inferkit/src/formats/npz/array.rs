//! One array: its shape and its numbers.

use super::error::NpzError;
use super::header::Header;
use crate::formats::shown::quoted;

/// Numbers in row-major order, widened to f64.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    /// Dimensions, outermost first; empty for a single number.
    pub(crate) shape: Vec<usize>,
    /// Exactly as many as `shape` says.
    pub(crate) values: Vec<f64>,
}

impl Array {
    /// Reads the array `name` out of `file`, the content of its `.npy` file.
    ///
    /// Whole numbers beyond 2⁵³ are rounded.
    ///
    /// # Errors
    /// [`NpzError`] when header, type or length are not as they should be.
    pub(crate) fn parse(name: &str, file: &[u8]) -> Result<Self, NpzError> {
        let (header, bytes) = Header::parse(file).ok_or_else(|| NpzError::Header { name: quoted(name) })?;
        let elements = header
            .shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size));
        let expect = |width: usize| {
            let expected = elements
                .and_then(|count| count.checked_mul(width))
                .unwrap_or(usize::MAX);
            if expected == bytes.len() {
                return Ok(());
            }
            Err(NpzError::Length {
                name: quoted(name),
                shape: header.shape.clone(),
                expected,
                found: bytes.len(),
            })
        };
        let values: Vec<f64> = match header.descr.as_str() {
            "<f4" => {
                expect(4)?;
                let numbers = bytes.as_chunks::<4>().0.iter();
                numbers.map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
            }
            "<f8" => {
                expect(8)?;
                bytes
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|bytes| f64::from_le_bytes(*bytes))
                    .collect()
            }
            "<i8" => {
                expect(8)?;
                let numbers = bytes.as_chunks::<8>().0.iter();
                numbers.map(|bytes| i64::from_le_bytes(*bytes) as f64).collect()
            }
            other => {
                let descr = quoted(other);
                return Err(NpzError::Type {
                    name: quoted(name),
                    descr,
                });
            }
        };
        let values = if header.fortran_order {
            row_major(&header.shape, &values)
        } else {
            values
        };
        Ok(Self {
            shape: header.shape,
            values,
        })
    }
}

/// Reorders numbers whose first dimension moves fastest.
fn row_major(shape: &[usize], values: &[f64]) -> Vec<f64> {
    let mut ordered = Vec::with_capacity(values.len());
    let mut indices = vec![0_usize; shape.len()];
    for _ in 0..values.len() {
        // The place of the element in the file: the last dimension moves slowest.
        let at = indices.iter().zip(shape).rev().fold(0_usize, |at, (index, size)| {
            at.saturating_mul(*size).saturating_add(*index)
        });
        ordered.push(values.get(at).copied().unwrap_or_default());
        for (index, size) in indices.iter_mut().zip(shape).rev() {
            *index = index.saturating_add(1);
            if *index < *size {
                break;
            }
            *index = 0;
        }
    }
    ordered
}
