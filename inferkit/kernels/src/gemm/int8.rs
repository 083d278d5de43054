//! Tiles of 8-bit quants.
//!
//! For every 32 k: integer sums, then one product of scales and one fused multiply-add for each vector of sums. What differs
//! between formats is where scales stand and whether there are minima; a constant says so at compile time.

use super::activations::{SCALED_SUM_AT, START_AT, block_bytes, record_at};
use super::tiles::{Ahead, Block, STREAM, ask, for_tiles};
use crate::simd::{Dot, Simd, int8_tiers};

/// How the scales of a block of 32 k are stored, in front of its stream of quants.
pub(super) mod scales {
    /// `[p]` f16.
    pub(in super::super) const HALF: u8 = 0;
    /// `[p]` f16 scales, `[p]` f16 minima.
    pub(in super::super) const HALF_MIN: u8 = 1;
    /// `[p]` f32 scales, `[p]` f32 minima: decoded Q4_K and Q5_K.
    pub(in super::super) const FULL_MIN: u8 = 2;
    /// `[p]` f32 for the first 16 k, `[p]` f32 for the last: decoded Q6_K.
    pub(in super::super) const FULL_TWICE: u8 = 3;
}

/// Bytes of scales for each row of a panel.
pub(super) const fn scale_bytes(kind: u8) -> usize {
    match kind {
        scales::HALF => 2,
        scales::HALF_MIN => 4,
        _ => 8,
    }
}

int8_tiers! {
    pub(super) fn half_block(block: &Block) = half_tiles;
}
int8_tiers! {
    pub(super) fn half_min_block(block: &Block) = half_min_tiles;
}
int8_tiers! {
    pub(super) fn full_min_block(block: &Block) = full_min_tiles;
}
int8_tiers! {
    pub(super) fn full_twice_block(block: &Block) = full_twice_tiles;
}

#[inline(always)]
unsafe fn half_tiles<D: Dot>(block: &Block) {
    tiles::<D, { scales::HALF }>(block);
}

#[inline(always)]
unsafe fn half_min_tiles<D: Dot>(block: &Block) {
    tiles::<D, { scales::HALF_MIN }>(block);
}

#[inline(always)]
unsafe fn full_min_tiles<D: Dot>(block: &Block) {
    tiles::<D, { scales::FULL_MIN }>(block);
}

#[inline(always)]
unsafe fn full_twice_tiles<D: Dot>(block: &Block) {
    tiles::<D, { scales::FULL_TWICE }>(block);
}

#[inline(always)]
unsafe fn tiles<D: Dot, const KIND: u8>(block: &Block) {
    // Two integer and two float sums for each row: 6 rows fill 24 of 32 registers, 4 rows all of 16.
    let most = if D::V::LANES == 16 { 6 } else { 4 };
    for_tiles!(block, most, |at, R| tile::<D, KIND, R>(block, at));
}

#[inline(always)]
unsafe fn tile<D: Dot, const KIND: u8, const R: usize>(block: &Block, at: usize) {
    let lanes = D::V::LANES;
    let a_block = block_bytes(D::GROUP);
    let (rows, mut out) = begin::<D, R>(block, at);
    let mut weights = block.weights;
    // A single row that is not widened is a stream that the processor follows by itself; a decoded slice is in a cache.
    let is_alone = R > 1 && R == block.m && block.is_packed;
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 32);
    for number in 0..block.k_len / 32 {
        if is_alone {
            ask::<STREAM>(weights, (scale_bytes(KIND) + 32) * 2 * lanes);
        } else if R > 1 {
            ahead.step();
        }
        let a_at = number * a_block;
        let quants = weights.add(scale_bytes(KIND) * 2 * lanes);
        if KIND == scales::FULL_TWICE {
            let middle = 16 * 4 / D::GROUP;
            let first = integer_sums::<D, R>(
                &rows,
                a_at,
                0..middle,
                quants,
                a_at + record_at(D::GROUP) + START_AT + 4,
            );
            add_scaled::<D, R>(&rows, a_at, &first, load_scales::<D::V, KIND>(weights), &mut out);
            let starts = a_at + record_at(D::GROUP) + START_AT + 8;
            let last = integer_sums::<D, R>(&rows, a_at, middle..2 * middle, quants, starts);
            let scales = load_scales::<D::V, KIND>(weights.add(8 * lanes));
            add_scaled::<D, R>(&rows, a_at, &last, scales, &mut out);
        } else {
            let starts = a_at + record_at(D::GROUP) + START_AT;
            let sums = integer_sums::<D, R>(&rows, a_at, 0..32 * 4 / D::GROUP, quants, starts);
            add_scaled::<D, R>(&rows, a_at, &sums, load_scales::<D::V, KIND>(weights), &mut out);
            if KIND != scales::HALF {
                add_minima::<D, R>(&rows, a_at, load_minima::<D, KIND>(weights), &mut out);
            }
        }
        weights = quants.add(32 * 2 * lanes);
    }
    end::<D, R>(block, at, &out);
}

/// Integer sums of R rows by two vectors.
pub(super) type Integers<D, const R: usize> = [[<<D as Dot>::V as Simd>::I; 2]; R];
/// Float sums of R rows by two vectors.
pub(super) type Floats<D, const R: usize> = [[<<D as Dot>::V as Simd>::F; 2]; R];
/// Scales or minima of the rows of a panel.
pub(super) type Scales<D> = [<<D as Dot>::V as Simd>::F; 2];

/// The activations of each row of a tile from `k_start` on, and its sums so far.
#[inline(always)]
pub(super) unsafe fn begin<D: Dot, const R: usize>(block: &Block, at: usize) -> ([*const u8; R], Floats<D, R>) {
    let lanes = D::V::LANES;
    let mut rows = [std::ptr::null(); R];
    for (r, row) in rows.iter_mut().enumerate() {
        let first = block.rows.get(block.first + at + r);
        *row = first.add(block.k_start / 32 * block_bytes(D::GROUP));
    }
    let mut out = [[D::V::splat(0.0); 2]; R];
    if block.k_start > 0 {
        for r in 0..R {
            out[r][0] = D::V::load(block.sums.add((at + r) * 2 * lanes));
            out[r][1] = D::V::load(block.sums.add(((at + r) * 2 + 1) * lanes));
        }
    }
    (rows, out)
}

#[inline(always)]
pub(super) unsafe fn end<D: Dot, const R: usize>(block: &Block, at: usize, out: &Floats<D, R>) {
    let lanes = D::V::LANES;
    for r in 0..R {
        D::V::store(block.sums.add((at + r) * 2 * lanes), out[r][0]);
        D::V::store(block.sums.add(((at + r) * 2 + 1) * lanes), out[r][1]);
    }
}

/// Multiplies the bytes `range` of every row's block with the stream `quants`.
#[inline(always)]
unsafe fn integer_sums<D: Dot, const R: usize>(
    rows: &[*const u8; R],
    a_at: usize,
    range: std::ops::Range<usize>,
    quants: *const u8,
    start_at: usize,
) -> Integers<D, R> {
    let mut sums = [[D::V::splat_i(0); 2]; R];
    let mut blocks = *rows;
    for r in 0..R {
        let start = D::V::splat_i(rows[r].add(start_at).cast::<i32>().read_unaligned());
        sums[r] = [start, start];
        blocks[r] = rows[r].add(a_at);
    }
    D::add_products(&mut sums, &blocks, range, quants);
    sums
}

/// The scales at `p`, of the kind that stands there: of all columns, two vectors.
#[inline(always)]
pub(super) unsafe fn load_scales<S: Simd, const KIND: u8>(p: *const u8) -> [S::F; 2] {
    if KIND == scales::HALF || KIND == scales::HALF_MIN {
        let p = p.cast::<u16>();
        [S::load_f16(p), S::load_f16(p.add(S::LANES))]
    } else {
        let p = p.cast::<f32>();
        [S::load(p), S::load(p.add(S::LANES))]
    }
}

/// The minima behind the scales at `p`.
#[inline(always)]
pub(super) unsafe fn load_minima<D: Dot, const KIND: u8>(p: *const u8) -> Scales<D> {
    load_scales::<D::V, KIND>(p.add(scale_bytes(KIND) * D::V::LANES))
}

/// Adds the products of a block, of the rows' activations at `a_at`.
#[inline(always)]
pub(super) unsafe fn add_scaled<D: Dot, const R: usize>(
    rows: &[*const u8; R],
    a_at: usize,
    sums: &Integers<D, R>,
    scales: Scales<D>,
    out: &mut Floats<D, R>,
) {
    for r in 0..R {
        let scale = rows[r].add(a_at + record_at(D::GROUP)).cast::<f32>().read_unaligned();
        let scale = D::V::splat(scale);
        for v in 0..2 {
            out[r][v] = D::V::fma(D::V::to_f32(sums[r][v]), D::V::mul(scales[v], scale), out[r][v]);
        }
    }
}

/// The minimum of a weight's block meets the sum of the activations of that block.
#[inline(always)]
pub(super) unsafe fn add_minima<D: Dot, const R: usize>(
    rows: &[*const u8; R],
    a_at: usize,
    minima: Scales<D>,
    out: &mut Floats<D, R>,
) {
    for r in 0..R {
        let sum = rows[r]
            .add(a_at + record_at(D::GROUP) + SCALED_SUM_AT)
            .cast::<f32>()
            .read_unaligned();
        let sum = D::V::splat(sum);
        for v in 0..2 {
            out[r][v] = D::V::fma(minima[v], sum, out[r][v]);
        }
    }
}
