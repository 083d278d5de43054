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
//! give the bits of a row in a batch; so rows that are too few for tiles are computed in the order of tiles, with fused
//! multiply-adds on widened numbers. Products of bfloat16 are exact in f32, and the pool flushes denormals as tiles do, so that
//! both round alike.
//!
//! **Invariant:** tiles are configured and released within one call, so that the pool knows nothing of them.

mod grid;

use super::float::{begin, end};
use super::tiles::{self, Block, for_tiles};
use crate::Isa;
use crate::simd::{Simd, Tiles};
use grid::{BAND, Band, Grid, Matrix};

/// Fewer rows are left to vectors. Below some eight rows a product waits for its weights, whoever multiplies them.
pub(super) const LEAST_ROWS: usize = 8;

/// Compiles the kernel for tile registers `$tiles` and vectors `$vectors`: a function `$name`.
macro_rules! tile_kernel {
    ($(#[$attribute:meta])* $name:ident, $tiles:ty, $vectors:ty) => {
        $(#[$attribute])*
        pub(super) unsafe fn $name(_: Isa, block: &Block) {
            if block.m < LEAST_ROWS {
                multiply_few::<$vectors>(block);
            } else {
                multiply::<$tiles>(block);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile_kernel!(
    /// On the tile registers of the processor.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")]
    bf16_block, crate::simd::Amx, crate::simd::V512
);

#[cfg(test)]
tile_kernel!(
    /// On tile registers in plain Rust.
    modelled_block, crate::simd::TileModel, crate::simd::Lanes8
);

#[cfg(all(test, target_arch = "x86_64"))]
tile_kernel!(
    /// The same, for weights that are packed for AVX-512.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")]
    wide_modelled_block, crate::simd::TileModel, crate::simd::V512
);

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

/// The same sums for few rows, on vectors.
///
/// # Safety
/// As above, and denormals count as zero.
#[inline(always)]
unsafe fn multiply_few<S: Simd>(block: &Block) {
    // Two sums that are open for each row and vector: 3 rows by 4 vectors fill 24 of 32 registers.
    for_tiles!(block, 3, |at, R| {
        if block.panel == 4 * S::LANES {
            chains::<S, R, 4>(block, at)
        } else {
            chains::<S, R, 2>(block, at)
        }
    });
}

#[inline(always)]
unsafe fn chains<S: Simd, const R: usize, const V: usize>(block: &Block, at: usize) {
    let mut rows = [std::ptr::null::<i32>(); R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = block
            .rows
            .get(block.first + at + r)
            .cast::<i32>()
            .add(block.k_start / 2);
    }
    let mut weights = block.weights.cast::<i32>();
    let mut sums = begin::<S, R, V>(block, at);
    let pairs = block.k_len.div_ceil(2);
    for start in (0..pairs).step_by(PAIRS) {
        let mut even = [[S::splat(0.0); V]; R];
        let mut odd = even;
        for pair in start..(start + PAIRS).min(pairs) {
            let mut a = [[S::splat(0.0); 2]; R];
            for r in 0..R {
                let both = S::splat_i(rows[r].add(pair).read_unaligned());
                a[r] = [S::bf16_low(both), S::bf16_high(both)];
            }
            for v in 0..V {
                let w = S::load_i(weights.add(v * S::LANES));
                let (low, high) = (S::bf16_low(w), S::bf16_high(w));
                for r in 0..R {
                    even[r][v] = S::fma(a[r][0], low, even[r][v]);
                    odd[r][v] = S::fma(a[r][1], high, odd[r][v]);
                }
            }
            weights = weights.add(V * S::LANES);
        }
        for r in 0..R {
            for v in 0..V {
                sums[r][v] = S::add(sums[r][v], S::add(even[r][v], odd[r][v]));
            }
        }
    }
    end::<S, R, V>(block, at, &sums);
}
