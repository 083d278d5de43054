//! bfloat16 on tile registers: 16 rows by 16 columns an instruction.
//!
//! A band of up to 32 rows meets 32 columns of a panel, so that each tile that is loaded takes part in two products:
//!
//! ```text
//!              B 6          B 7        columns of the panel, 16 each
//!   A 4      sums 0       sums 1
//!   A 5      sums 2       sums 3
//! ```
//!
//! Packed weights and prepared activations are those of VDPBF16PS. A product of tiles adds 32 values at a time: even and odd k
//! are two chains that begin at zero, their sum is added to what was there. VDPBF16PS has another order, and a single row must
//! give the bits of a row in a batch; so tiles of one row are multiplied here as well. Few rows wait for their weights, which
//! tiles read as fast as vectors do.
//!
//! **Invariant:** tiles are configured and released within one call, so that the pool knows nothing of them.

mod grid;

use super::tiles::{self, Block};
use crate::Isa;
use crate::simd::Tiles;
use grid::{BAND, Band, Grid, Matrix};

/// On the tile registers of the processor.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn bf16_block(_: Isa, block: &Block) {
    multiply::<crate::simd::Amx>(block);
}

/// On tile registers in plain Rust.
#[cfg(test)]
pub(super) unsafe fn modelled_block(_: Isa, block: &Block) {
    multiply::<crate::simd::TileModel>(block);
}

/// Pairs of k in one step: what a tile holds.
const PAIRS: usize = 16;

/// Multiplies a block of rows with a slice of a panel.
///
/// # Safety
/// That of the kernel for VDPBF16PS, and of `T`.
#[inline(always)]
unsafe fn multiply<T: Tiles>(block: &Block) {
    let pairs = block.k_len.div_ceil(2);
    for (at, rows) in tiles::Tiles::new(block.m, BAND) {
        let band = Band::new(block, at, rows, 2 * block.k_start, 4 * pairs);
        for column in (0..block.panel).step_by(2 * grid::COLUMNS) {
            let grid = Grid::new(rows, block.panel - column);
            let sums = block.sums.add(at * block.panel + column);
            let weights = block.weights.add(4 * column);
            let whole = pairs / PAIRS;
            let pass = |first: usize, steps: usize, length: usize| {
                let is_first = block.k_start == 0 && first == 0;
                let b = Matrix {
                    start: weights.add(4 * block.panel * first),
                    stride: 4 * block.panel,
                };
                add::<T>(grid, band.matrix.at_byte(4 * first), b, (steps, length), sums, is_first);
            };
            if whole > 0 {
                pass(0, whole, PAIRS);
            }
            if !pairs.is_multiple_of(PAIRS) {
                pass(whole * PAIRS, 1, pairs % PAIRS);
            }
        }
    }
}

/// Adds `steps` steps of `length` pairs to the sums, in rows of `b.stride` bytes like the weights.
#[inline(always)]
unsafe fn add<T: Tiles>(
    grid: Grid,
    a: Matrix,
    b: Matrix,
    (steps, length): (usize, usize),
    sums: *mut f32,
    is_first: bool,
) {
    let mut tiles: T = grid.tiles(4 * length);
    if is_first {
        grid.zero(&mut tiles);
    } else {
        grid.load(&mut tiles, sums.cast(), b.stride);
    }
    for step in 0..steps {
        let (a, b) = (a.at_byte(4 * length * step), b.at_byte(b.stride * length * step));
        grid.add(&mut tiles, a, b);
    }
    grid.store(&mut tiles, sums.cast(), b.stride);
}
