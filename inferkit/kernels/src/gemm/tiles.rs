//! How a block of rows is cut into tiles, and what a tile kernel is given.

use crate::Isa;
use crate::simd::{prefetch, prefetch_far};

/// A kernel for tiles: every row of a block with every column of a panel, over one slice of k.
pub(super) type Kernel = unsafe fn(Isa, &Block);

/// Where the rows of activations begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowPointers {
    /// Of row 0.
    pub(super) start: *const u8,
    /// Bytes between rows.
    pub(super) stride: usize,
    /// Which rows to take, by position; null for all in order.
    pub(super) index: *const u32,
}

impl RowPointers {
    /// Address of the row at `position`.
    #[inline(always)]
    pub(super) unsafe fn get(&self, position: usize) -> *const u8 {
        let row = if self.index.is_null() {
            position
        } else {
            *self.index.add(position) as usize
        };
        self.start.add(row * self.stride)
    }

    /// Bytes between neighbours among the `count` rows from position `first` on, if that is one number; it may be negative,
    /// as a large one.
    #[cfg(any(test, target_arch = "x86_64"))]
    pub(super) unsafe fn distance(&self, first: usize, count: usize) -> Option<usize> {
        if self.index.is_null() || count < 2 {
            return Some(self.stride);
        }
        let index = std::slice::from_raw_parts(self.index.add(first), count);
        let step = index[1].wrapping_sub(index[0]);
        let is_even = index.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step);
        is_even.then(|| (step as i32 as usize).wrapping_mul(self.stride))
    }
}

/// A block of rows times a slice of a panel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Activations.
    pub(super) rows: RowPointers,
    /// Rows of the block: positions `first..first + m`.
    pub(super) first: usize,
    pub(super) m: usize,
    /// First k of the slice.
    pub(super) k_start: usize,
    /// Values of k in the slice.
    pub(super) k_len: usize,
    /// The panel from `k_start` on.
    pub(super) weights: *const u8,
    /// Whether `weights` stand in the weight itself, and not in a copy that was decoded.
    pub(super) is_packed: bool,
    /// Columns of the panel.
    pub(super) panel: usize,
    /// Sums `[m][panel]`, continued unless `k_start` is zero.
    pub(super) sums: *mut f32,
    /// Where the weights that are multiplied next stand in memory, and how many bytes of them to ask for meanwhile.
    pub(super) next: (*const u8, usize),
}

/// Bytes that a tile looks ahead in weights that it reads itself, as one stream.
pub(super) const STREAM: usize = 9 << 10;

/// Asks for as many bytes as a tile reads now, `DISTANCE` further on.
///
/// A processor follows a stream of weights by itself while a single row reads it without much to do in between, but not where
/// quants are widened, nor where several rows keep it busy. Less than [`STREAM`] is late, twice as much is gone from the
/// first-level cache again. What lies beyond the panel does no harm.
#[inline(always)]
pub(super) fn ask<const DISTANCE: usize>(weights: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(LINE) {
        prefetch(weights.wrapping_add(DISTANCE + line));
    }
}

/// A tile's share of the weights that are multiplied next.
///
/// A processor follows a stream by itself only while somebody reads it, and only the first tile of a block reads memory: the
/// others find the slice in a cache. So that memory is never idle, each tile asks for a part of the next slice, except for those
/// that ask for their own (see [`ask`]).
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    next: *const u8,
    lines: usize,
    lines_per_step: usize,
}

impl Ahead {
    /// For the tile of `rows` rows from row `at` of the block on, which takes `steps` steps.
    #[inline(always)]
    pub(super) fn new(block: &Block, [at, rows]: [usize; 2], steps: usize) -> Self {
        let lines = block.next.1 / LINE;
        if lines == 0 {
            return Self {
                next: block.next.0,
                lines: 0,
                lines_per_step: 0,
            };
        }
        let (first, end) = (lines * at / block.m, lines * (at + rows) / block.m);
        Self {
            next: block.next.0.wrapping_add(first * LINE),
            lines: end - first,
            lines_per_step: (end - first).div_ceil(steps.max(1)),
        }
    }

    /// Asks for the part of one step. What lies beyond the weight does no harm.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        let lines = self.lines_per_step.min(self.lines);
        for _ in 0..lines {
            prefetch_far(self.next);
            self.next = self.next.wrapping_add(LINE);
        }
        self.lines -= lines;
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Cuts `m` rows into the fewest tiles of at most `MAX` rows, as equal as possible: 8 rows are two tiles of 4, never 6 and 2.
#[derive(Debug, Clone)]
pub(super) struct Tiles {
    at: usize,
    size: usize,
    larger: usize,
    m: usize,
}

impl Tiles {
    #[inline(always)]
    pub(super) fn new(m: usize, max: usize) -> Self {
        let count = m.div_ceil(max).max(1);
        Self {
            at: 0,
            size: m / count,
            larger: m % count,
            m,
        }
    }
}

impl Iterator for Tiles {
    type Item = (usize, usize);

    /// First row and number of rows of the next tile.
    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        if self.at == self.m {
            return None;
        }
        let extra = usize::from(self.larger > 0);
        self.larger -= extra;
        let tile = (self.at, self.size + extra);
        self.at += tile.1;
        Some(tile)
    }
}

/// Calls `$kernel` with the number of rows of each tile of a block as its last constant.
///
/// `for_tiles!(block, 6, |at| f::<S; R>(…))` becomes a match over 1 to 6 rows.
macro_rules! for_tiles {
    ($block:expr, $max:expr, |$at:ident, $rows:ident| $body:expr) => {
        for ($at, count) in $crate::gemm::tiles::Tiles::new($block.m, $max) {
            macro_rules! with_rows {
                ($n:literal) => {{
                    const $rows: usize = $n;
                    $body
                }};
            }
            match count {
                1 => with_rows!(1),
                2 => with_rows!(2),
                3 => with_rows!(3),
                4 => with_rows!(4),
                5 => with_rows!(5),
                _ => with_rows!(6),
            }
        }
    };
}

pub(super) use for_tiles;

#[cfg(test)]
mod tests {
    use super::Tiles;

    #[test]
    fn tiles_cover_every_row_and_differ_by_one_at_most() {
        for max in [4, 6] {
            for m in 0..100 {
                let tiles: Vec<_> = Tiles::new(m, max).collect();
                let mut end = 0;
                for &(at, rows) in &tiles {
                    assert!(at == end && (1..=max).contains(&rows), "{m} rows: {tiles:?}");
                    end += rows;
                }
                assert_eq!(end, m);
                let sizes = tiles.iter().map(|tile| tile.1);
                assert!(
                    sizes.clone().max().unwrap_or(0) <= sizes.min().unwrap_or(0) + 1,
                    "{m} rows: {tiles:?}"
                );
            }
        }
    }
}
