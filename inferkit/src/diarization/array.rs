//! Plain arrays of two and three dimensions, row after row: what the stages hand to each other.

use crate::error::Error;
use crate::error::Result;

/// Rows of equal length, one after another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix<T> {
    rows: usize,
    columns: usize,
    values: Vec<T>,
}

impl<T: Copy> Matrix<T> {
    /// A matrix `[rows, columns]` of `values`, row after row.
    ///
    /// # Errors
    /// [`Error::Internal`] when there are not `rows · columns` values.
    pub(crate) fn new(rows: usize, columns: usize, values: Vec<T>) -> Result<Self> {
        if rows.checked_mul(columns) != Some(values.len()) {
            return Err(wrong_length(&[rows, columns], values.len()));
        }
        Ok(Self { rows, columns, values })
    }

    /// A matrix `[rows, columns]` that holds `value` everywhere.
    pub(crate) fn filled(rows: usize, columns: usize, value: T) -> Self {
        Self {
            rows,
            columns,
            values: vec![value; rows * columns],
        }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) const fn columns(&self) -> usize {
        self.columns
    }

    /// Row `row`, `[columns]`.
    pub(crate) fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [T] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The rows from the first on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[T]> {
        (0..self.rows).map(|row| self.row(row))
    }

    /// All values, row after row.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// The same shape with each value changed by `change`.
    pub(crate) fn map<U: Copy>(&self, change: impl Fn(T) -> U) -> Matrix<U> {
        Matrix {
            rows: self.rows,
            columns: self.columns,
            values: self.values.iter().map(|value| change(*value)).collect(),
        }
    }
}

/// An array of three dimensions; the first is the window, elsewhere called `c`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Windows<T> {
    shape: [usize; 3],
    values: Vec<T>,
}

impl<T: Copy> Windows<T> {
    /// An array of `shape`, the last dimension running fastest.
    ///
    /// # Errors
    /// [`Error::Internal`] when the shape does not hold as many values.
    pub(crate) fn new(shape: [usize; 3], values: Vec<T>) -> Result<Self> {
        let wanted = shape.iter().try_fold(1_usize, |size, side| size.checked_mul(*side));
        if wanted != Some(values.len()) {
            return Err(wrong_length(&shape, values.len()));
        }
        Ok(Self { shape, values })
    }

    /// Windows, rows a window, columns.
    pub(crate) const fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Window `window`, row after row.
    pub(crate) fn window(&self, window: usize) -> &[T] {
        let size = self.shape[1] * self.shape[2];
        &self.values[window * size..(window + 1) * size]
    }

    /// Row `row` of window `window`.
    pub(crate) fn row(&self, window: usize, row: usize) -> &[T] {
        let start = (window * self.shape[1] + row) * self.shape[2];
        &self.values[start..start + self.shape[2]]
    }

    pub(crate) fn row_mut(&mut self, window: usize, row: usize) -> &mut [T] {
        let start = (window * self.shape[1] + row) * self.shape[2];
        &mut self.values[start..start + self.shape[2]]
    }

    /// The rows of window `window`, from the first on.
    pub(crate) fn rows(&self, window: usize) -> impl Iterator<Item = &[T]> {
        (0..self.shape[1]).map(move |row| self.row(window, row))
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// The same shape with each value changed by `change`.
    pub(crate) fn map<U: Copy>(&self, change: impl Fn(T) -> U) -> Windows<U> {
        Windows {
            shape: self.shape,
            values: self.values.iter().map(|value| change(*value)).collect(),
        }
    }
}

fn wrong_length(shape: &[usize], length: usize) -> Error {
    Error::internal(format!("an array of shape {shape:?} was given {length} values"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_without_rows_has_no_rows_and_keeps_its_width() {
        let empty = Matrix::<f32>::new(0, 4, Vec::new()).unwrap();
        assert_eq!((empty.iter().count(), empty.columns()), (0, 4));
    }

    #[test]
    fn a_wrong_number_of_values_is_told_with_the_shape() {
        let error = Matrix::new(2, 3, vec![0; 5]).unwrap_err().to_string();
        assert_eq!(error, "an array of shape [2, 3] was given 5 values");
        assert!(Windows::new([usize::MAX, 2, 2], vec![0; 4]).is_err());
    }

    #[test]
    fn a_row_is_found_by_its_window() {
        let array = Windows::new([2, 3, 2], (0..12).collect()).unwrap();
        assert_eq!(array.row(1, 2), [10, 11]);
        assert_eq!(array.window(0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(array.rows(1).count(), 3);
    }
}
