//! Views of matrices: rows of f32 at a fixed distance.

use crate::aligned::SharedMut;

/// Rows to read. Rows may overlap, which makes a one-dimensional convolution a product.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    count: usize,
    width: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `width` values that follow one another.
    ///
    /// # Panics
    /// When `width` is zero or `values` does not hold whole rows.
    pub fn new(values: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "{} values are no rows of {width}",
            values.len()
        );
        Self {
            values,
            count: values.len() / width,
            width,
            stride: width,
        }
    }

    /// `rows` rows of `width` values, each beginning `stride` values after the one before.
    ///
    /// # Panics
    /// When `width` is zero or the last row ends beyond `values`.
    pub fn strided(values: &'a [f32], rows: usize, width: usize, stride: usize) -> Self {
        check(values.len(), rows, width, stride);
        Self {
            values,
            count: rows,
            width,
            stride,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.count
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Values from the beginning of a row to the beginning of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &self.values[index * self.stride..][..self.width]
    }

    /// All values from the beginning of the first row on, whatever lies between and behind the rows included.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.values.as_ptr()
    }
}

/// Rows to write. They do not overlap.
#[derive(Debug)]
pub struct RowsMut<'a> {
    values: &'a mut [f32],
    count: usize,
    width: usize,
    stride: usize,
}

impl<'a> RowsMut<'a> {
    /// Rows of `width` values that follow one another.
    ///
    /// # Panics
    /// When `width` is zero or `values` does not hold whole rows.
    pub fn new(values: &'a mut [f32], width: usize) -> Self {
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "{} values are no rows of {width}",
            values.len()
        );
        Self {
            count: values.len() / width,
            width,
            stride: width,
            values,
        }
    }

    /// `rows` rows of `width` values, each beginning `stride` values after the one before.
    ///
    /// # Panics
    /// When `width` is zero, rows overlap, or the last row ends beyond `values`.
    pub fn strided(values: &'a mut [f32], rows: usize, width: usize, stride: usize) -> Self {
        check(values.len(), rows, width, stride);
        assert!(
            rows <= 1 || stride >= width,
            "rows of {width} values at a distance of {stride} overlap"
        );
        Self {
            values,
            count: rows,
            width,
            stride,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.count
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &mut self.values[index * self.stride..][..self.width]
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn shared(&mut self) -> SharedMut<f32> {
        SharedMut::new(self.values)
    }
}

fn check(len: usize, rows: usize, width: usize, stride: usize) {
    assert!(width > 0, "rows without values");
    let end = rows
        .checked_sub(1)
        .map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(width));
    assert!(
        end.is_some_and(|end| end <= len),
        "{rows} rows of {width} values at a distance of {stride} end beyond the {len} values there are"
    );
}

#[cfg(test)]
mod tests {
    use super::{Rows, RowsMut};

    #[test]
    fn rows_to_read_may_overlap() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0];
        let rows = Rows::strided(&values, 3, 3, 1);
        assert_eq!(rows.row(2), [2.0, 3.0, 4.0]);
        assert_eq!(Rows::strided(&[], 0, 3, 1).rows(), 0);
    }

    #[test]
    #[should_panic(expected = "end beyond the 5 values")]
    fn a_row_beyond_the_end_is_refused() {
        let _ = Rows::strided(&[0.0; 5], 4, 3, 1);
    }

    #[test]
    #[should_panic(expected = "end beyond")]
    fn an_overflowing_stride_is_refused() {
        let _ = Rows::strided(&[0.0; 5], 3, 1, usize::MAX);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn rows_to_write_may_not_overlap() {
        let _ = RowsMut::strided(&mut [0.0; 5], 3, 3, 1);
    }
}
