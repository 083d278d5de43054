//! How a band of rows lies on the registers, and the operations on all of it.

use crate::gemm::tiles::Block;
use crate::scratch::Scratch;
use crate::simd::{Shape, Tiles};

/// Rows of a band: two tiles.
pub(super) const BAND: usize = 32;
/// Columns of a tile of sums.
pub(super) const COLUMNS: usize = 16;

/// Registers of A and B; the sums are registers 0 to 3.
const UPPER: usize = 4;
const LOWER: usize = 5;
const LEFT: usize = 6;
const RIGHT: usize = 7;

/// Which registers are in use, and how many rows they have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    /// Rows of the upper tiles: half of the band, or all of it where one tile is enough.
    upper: usize,
    /// Rows of the lower tiles.
    lower: usize,
    /// Whether there are 32 columns; 16 otherwise.
    is_wide: bool,
}

/// An address, and the distance of rows from there on in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub(super) start: *const u8,
    pub(super) stride: usize,
}

impl Matrix {
    /// Address of a row. A distance may be negative, as a large number.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> *const u8 {
        self.start.wrapping_add(row.wrapping_mul(self.stride))
    }

    /// The same rows, from byte `at` on.
    #[inline(always)]
    pub(super) fn at_byte(&self, at: usize) -> Self {
        Self {
            start: self.start.wrapping_add(at),
            ..*self
        }
    }
}

impl Grid {
    /// For `rows` rows, at most a band, and `columns` columns: 16, or 32 and more, of which 32 count.
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        debug_assert!((1..=BAND).contains(&rows) && columns >= COLUMNS);
        let upper = if rows > BAND / 2 { rows.div_ceil(2) } else { rows };
        Self {
            upper,
            lower: rows - upper,
            is_wide: columns > COLUMNS,
        }
    }

    /// Registers for steps of `bytes` bytes of each row of activations; sums are zero.
    ///
    /// # Safety
    /// That of [`Tiles`].
    #[inline(always)]
    pub(super) unsafe fn tiles<T: Tiles>(self, bytes: usize) -> T {
        let right = usize::from(self.is_wide);
        // No rows, or no columns: no register.
        let shape = |rows: usize, bytes: usize| {
            if rows * bytes == 0 {
                Shape::default()
            } else {
                Shape { rows, bytes }
            }
        };
        let sums = 4 * COLUMNS;
        T::new(&[
            shape(self.upper, sums),
            shape(self.upper, right * sums),
            shape(self.lower, sums),
            shape(self.lower, right * sums),
            shape(self.upper, bytes),
            shape(self.lower, bytes),
            shape(bytes / 4, sums),
            shape(bytes / 4, right * sums),
        ])
    }

    /// Sets all sums to zero.
    #[inline(always)]
    pub(super) unsafe fn zero<T: Tiles>(self, tiles: &mut T) {
        tiles.zero::<0>();
        if self.is_wide {
            tiles.zero::<1>();
        }
        if self.lower > 0 {
            tiles.zero::<2>();
            if self.is_wide {
                tiles.zero::<3>();
            }
        }
    }

    /// Adds the products of one step along k.
    #[inline(always)]
    pub(super) unsafe fn add<T: Tiles>(self, tiles: &mut T, a: Matrix, b: Matrix) {
        tiles.load::<LEFT>(b.start, b.stride);
        tiles.load::<UPPER>(a.start, a.stride);
        tiles.add_bf16::<0, UPPER, LEFT>();
        if self.is_wide {
            tiles.load::<RIGHT>(b.start.add(4 * COLUMNS), b.stride);
            tiles.add_bf16::<1, UPPER, RIGHT>();
        }
        if self.lower > 0 {
            tiles.load::<LOWER>(a.row(self.upper), a.stride);
            tiles.add_bf16::<2, LOWER, LEFT>();
            if self.is_wide {
                tiles.add_bf16::<3, LOWER, RIGHT>();
            }
        }
    }

    /// Reads all sums from rows of `stride` bytes.
    #[inline(always)]
    pub(super) unsafe fn load<T: Tiles>(self, tiles: &mut T, p: *const u8, stride: usize) {
        tiles.load::<0>(p, stride);
        if self.is_wide {
            tiles.load::<1>(p.add(4 * COLUMNS), stride);
        }
        if self.lower > 0 {
            let p = p.add(self.upper * stride);
            tiles.load::<2>(p, stride);
            if self.is_wide {
                tiles.load::<3>(p.add(4 * COLUMNS), stride);
            }
        }
    }

    /// Writes all sums to rows of `stride` bytes.
    #[inline(always)]
    pub(super) unsafe fn store<T: Tiles>(self, tiles: &mut T, p: *mut u8, stride: usize) {
        tiles.store::<0>(p, stride);
        if self.is_wide {
            tiles.store::<1>(p.add(4 * COLUMNS), stride);
        }
        if self.lower > 0 {
            let p = p.add(self.upper * stride);
            tiles.store::<2>(p, stride);
            if self.is_wide {
                tiles.store::<3>(p.add(4 * COLUMNS), stride);
            }
        }
    }
}

/// Rows of activations at one distance from each other, as tiles are loaded.
pub(super) struct Band {
    pub(super) matrix: Matrix,
    /// Where the matrix is, if rows had to be copied.
    _copy: Option<Scratch>,
}

impl Band {
    /// Rows `at..at + count` of a block, from byte `from` on; `bytes` of each are used.
    ///
    /// Rows that stand at one distance are left where they are: all of a batch, and most windows of a convolution. Those of
    /// an expert are copied, once for each panel and slice of k.
    ///
    /// # Safety
    /// The block has these rows, with as many bytes.
    pub(super) unsafe fn new(block: &Block, at: usize, count: usize, from: usize, bytes: usize) -> Self {
        let first = block.first + at;
        let row = |i: usize| block.rows.get(first + i).wrapping_add(from);
        if let Some(distance) = block.rows.distance(first, count) {
            let matrix = Matrix {
                start: row(0),
                stride: distance,
            };
            return Self { matrix, _copy: None };
        }
        let mut copy = Scratch::bytes(count * bytes);
        let target = copy.as_bytes_mut().as_mut_ptr();
        for i in 0..count {
            std::ptr::copy_nonoverlapping(row(i), target.add(i * bytes), bytes);
        }
        let matrix = Matrix {
            start: target,
            stride: bytes,
        };
        Self {
            matrix,
            _copy: Some(copy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BAND, Grid};

    #[test]
    fn a_band_is_one_tile_or_two_of_nearly_equal_height() {
        for rows in 1..=BAND {
            let grid = Grid::new(rows, 32);
            assert_eq!(grid.upper + grid.lower, rows);
            assert!(
                (1..=16).contains(&grid.upper) && grid.lower <= 16,
                "{rows} rows: {grid:?}"
            );
            assert!(grid.lower == 0 || grid.upper - grid.lower <= 1, "{rows} rows: {grid:?}");
        }
    }
}
