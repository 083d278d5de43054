//! Quants on tile registers.
//!
//! Scales stand for 32 values (Q6_K: 16), so that a step along k is that long and fills half (a quarter) of the depth that a
//! tile of bytes has: with tiles of full depth the sums of two scales could not be told apart. What remains is four times the
//! rate of VPDPBUSD on the processors known, and more than vectors need to scale the sums, which bounds these kernels.
//!
//! Integer sums are exact in any order, and scales are applied to them in the order of the kernel on vectors: the results are
//! the same bits.

use super::super::activations::{SCALED_SUM_AT, START_AT, block_bytes, record_at};
use super::super::int8::{load_scales, scale_bytes, scales};
use super::super::tiles::{self, Block};
use super::grid::{BAND, Band, Bytes, Grid, Matrix};
use crate::simd::{Simd, Tiles};

/// Bytes of a block of 32 prepared activations, four to a lane.
const A_BLOCK: usize = block_bytes(4);
const RECORD: usize = record_at(4);

/// The widest panel of quants.
const MOST_COLUMNS: usize = 32;

/// Integer sums of two steps: those of one are scaled while the next is multiplied.
#[repr(align(64))]
struct Products([[i32; BAND * MOST_COLUMNS]; 2]);

/// A step along k: all of a block of 32 values, or one of its halves.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Number of the block.
    block: usize,
    /// 0, or 1 for the second half.
    half: usize,
}

/// Multiplies a block of rows with a slice of a panel.
///
/// # Safety
/// That of the kernels on vectors, with weights and activations as VPDPBUSD takes them, and of `T`.
#[inline(always)]
pub(super) unsafe fn multiply<T: Tiles, S: Simd, const KIND: u8>(block: &Block) {
    debug_assert_eq!(block.panel, 2 * S::LANES);
    let mut products = Products([[0; BAND * MOST_COLUMNS]; 2]);
    let products = products.0.each_mut().map(|sums| sums.as_mut_ptr());
    for (at, rows) in tiles::Tiles::new(block.m, BAND) {
        let number = block.k_len / 32;
        let band = Band::new(block, at, rows, block.k_start / 32 * A_BLOCK, number * A_BLOCK);
        multiply_band::<T, S, KIND>(block, &band, (at, rows), products);
    }
}

#[inline(always)]
unsafe fn multiply_band<T: Tiles, S: Simd, const KIND: u8>(
    block: &Block,
    band: &Band,
    (at, rows): (usize, usize),
    products: [*mut i32; 2],
) {
    let per_block = if KIND == scales::FULL_TWICE { 2 } else { 1 };
    let steps = block.k_len / 32 * per_block;
    let step = |number: usize| Step {
        block: number / per_block,
        half: number % per_block,
    };
    let grid = Grid::new(rows, block.panel);
    let mut tiles: T = grid.tiles(32 / per_block);
    multiply_step::<T, KIND>(&mut tiles, grid, block, band, step(0), products[0]);
    for number in 0..steps {
        // Tiles and vectors work side by side: what is multiplied here is scaled in the next round.
        if number + 1 < steps {
            let target = products[(number + 1) % 2];
            multiply_step::<T, KIND>(&mut tiles, grid, block, band, step(number + 1), target);
        }
        let sums = block.sums.add(at * block.panel);
        let is_first = block.k_start == 0 && number == 0;
        for row in 0..rows {
            let (products, sums) = (products[number % 2].add(row * block.panel), sums.add(row * block.panel));
            scale_row::<S, KIND>(block, step(number), band.matrix.row(row), products, sums, is_first);
        }
    }
}

/// Bytes of one block of the panel: scales, and 32 quants a row.
#[inline(always)]
fn panel_block<const KIND: u8>(panel: usize) -> usize {
    (scale_bytes(KIND) + 32) * panel
}

/// Writes the integer sums of one step, `[rows][panel]`.
#[inline(always)]
unsafe fn multiply_step<T: Tiles, const KIND: u8>(
    tiles: &mut T,
    grid: Grid,
    block: &Block,
    band: &Band,
    step: Step,
    products: *mut i32,
) {
    let panel = block.panel;
    let quants = block
        .weights
        .add(step.block * panel_block::<KIND>(panel) + scale_bytes(KIND) * panel);
    let a = band.matrix.at_byte(step.block * A_BLOCK + 16 * step.half);
    let b = Matrix {
        start: quants.add(16 * panel * step.half),
        stride: 4 * panel,
    };
    grid.zero(tiles);
    grid.add::<T, Bytes>(tiles, a, b);
    grid.store(tiles, products.cast(), 4 * panel);
}

/// Adds the scaled sums of one step to those of a row; `a` is the row of prepared activations.
#[inline(always)]
unsafe fn scale_row<S: Simd, const KIND: u8>(
    block: &Block,
    step: Step,
    a: *const u8,
    products: *const i32,
    sums: *mut f32,
    is_first: bool,
) {
    let lanes = S::LANES;
    let record = a.wrapping_add(step.block * A_BLOCK + RECORD);
    // The start of the whole block, or of a half of it.
    let start = if KIND == scales::FULL_TWICE {
        START_AT + 4 + 4 * step.half
    } else {
        START_AT
    };
    let start = S::splat_i(record.add(start).cast::<i32>().read_unaligned());
    let scale = S::splat(record.cast::<f32>().read_unaligned());
    let stored = block.weights.add(step.block * panel_block::<KIND>(block.panel));
    let scales = load_scales::<S, KIND>(stored.add(8 * lanes * step.half));
    let mut out = [S::splat(0.0); 2];
    for v in 0..2 {
        if !is_first {
            out[v] = S::load(sums.add(v * lanes));
        }
        let sum = S::to_f32(S::add_i(S::load_i(products.add(v * lanes)), start));
        out[v] = S::fma(sum, S::mul(scales[v], scale), out[v]);
    }
    if KIND == scales::HALF_MIN || KIND == scales::FULL_MIN {
        let minima = load_scales::<S, KIND>(stored.add(scale_bytes(KIND) * lanes));
        let sum = S::splat(record.add(SCALED_SUM_AT).cast::<f32>().read_unaligned());
        for v in 0..2 {
            out[v] = S::fma(minima[v], sum, out[v]);
        }
    }
    for v in 0..2 {
        S::store(sums.add(v * lanes), out[v]);
    }
}
