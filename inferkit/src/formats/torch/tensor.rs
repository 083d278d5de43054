//! A tensor of a checkpoint: a strided view of a storage, checked, and its numbers in row-major order.

use std::borrow::Cow;

use super::error::TorchError;
use super::pickle::TensorParts;
use crate::formats::safetensors::ElementType;
use crate::formats::shown::quoted;

/// One tensor with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorView<'a> {
    /// Name in the state dictionary.
    pub(crate) name: &'a str,
    /// Type of each element.
    pub(crate) dtype: ElementType,
    /// Dimensions, outermost first; empty for a single number.
    pub(crate) shape: Vec<usize>,
    /// Elements in row-major order, little endian, not aligned; exactly as many as `shape` says. Borrowed from the file
    /// where they lie there in this order.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// Which elements of a storage a tensor consists of. They lie inside the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    /// How many, at most as many as the storage has.
    pub(super) elements: usize,
}

impl Layout {
    /// The layout that the pickle describes, checked against the length of the storage.
    ///
    /// # Errors
    /// When an element lies outside, or when overlapping views would hold more elements than the storage.
    pub(super) fn new(name: &str, parts: TensorParts<'_>) -> Result<Self, TorchError> {
        let in_storage = parts.elements;
        let too_many = || TorchError::Shape {
            name: quoted(name),
            elements: in_storage,
        };
        let product = |product: usize, size: &usize| product.checked_mul(*size);
        // An empty tensor may have any other dimensions.
        let empty = parts.shape.contains(&0);
        let elements = if empty {
            0
        } else {
            parts.shape.iter().try_fold(1, product).ok_or_else(too_many)?
        };
        if elements > in_storage {
            return Err(too_many());
        }
        let layout = Self {
            shape: parts.shape,
            strides: parts.strides,
            offset: parts.offset,
            elements,
        };
        let inside = empty || layout.last().is_some_and(|last| last < in_storage);
        if !inside {
            return Err(TorchError::OutOfStorage {
                name: quoted(name),
                elements: in_storage,
            });
        }
        Ok(layout)
    }

    /// The last element that is used, in the storage; `None` where that cannot be counted.
    fn last(&self) -> Option<usize> {
        let sizes = self.shape.iter().zip(&self.strides);
        sizes.into_iter().try_fold(self.offset, |sum, (size, stride)| {
            sum.checked_add(size.checked_sub(1)?.checked_mul(*stride)?)
        })
    }

    /// Whether the elements lie one after the other, in row-major order.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1_usize;
        for (size, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *size != 1 && *stride != expected {
                return false;
            }
            expected = expected.saturating_mul(*size);
        }
        true
    }

    /// The tensor's bytes out of those of its storage, of elements of `width` bytes.
    pub(super) fn pick<'a>(&self, storage: Cow<'a, [u8]>, width: usize) -> Cow<'a, [u8]> {
        if self.elements == 0 {
            return Cow::Borrowed(&[]);
        }
        if !self.is_contiguous() {
            return Cow::Owned(self.gather(&storage, width));
        }
        let start = self.offset.saturating_mul(width);
        let range = start..start.saturating_add(self.elements.saturating_mul(width));
        match storage {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or_default()),
            Cow::Owned(bytes) => Cow::Owned(bytes.get(range).unwrap_or_default().to_vec()),
        }
    }

    /// Copies the elements one by one, counting through the dimensions like an odometer.
    fn gather(&self, storage: &[u8], width: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.elements.saturating_mul(width));
        let mut indices = vec![0_usize; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..self.elements {
            let start = at.saturating_mul(width);
            let element = storage.get(start..start.saturating_add(width));
            bytes.extend_from_slice(element.unwrap_or_default());
            let dimensions = indices.iter_mut().zip(self.shape.iter().zip(&self.strides));
            for (index, (size, stride)) in dimensions.rev() {
                *index = index.saturating_add(1);
                at = at.saturating_add(*stride);
                if *index < *size {
                    break;
                }
                at = at.saturating_sub(stride.saturating_mul(*size));
                *index = 0;
            }
        }
        bytes
    }
}
