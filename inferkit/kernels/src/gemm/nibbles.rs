//! Tiles of 4-bit quants for few rows: widened in registers each time they are multiplied.
//!
//! Writing a slice out as bytes pays only when many tiles read it. With one or two, it costs a third of the time, and memory
//! rests meanwhile. Quants are multiplied as they are, from 0 to 15: integer sums, and with them every result, are those of
//! the decoded slice.

use super::activations::{START_AT, block_bytes, record_at};
use super::int8::{
    Integers, Scales, add_minima, add_scaled, begin, end, load_minima, load_scales, scale_bytes, scales,
};
use super::tiles::{Ahead, Block, for_tiles};
use crate::simd::{Dot, Simd, int8_tiers};

int8_tiers! {
    /// The most rows for which this is faster than decoding a slice first; zero where it never is.
    pub(super) fn most_rows() -> usize = most_rows_of;
}
int8_tiers! {
    /// Q4_K.
    pub(super) fn long_block(block: &Block) = long_tiles;
}
int8_tiers! {
    /// Q4_0.
    pub(super) fn short_block(block: &Block) = short_tiles;
}
int8_tiers! {
    /// Q4_1.
    pub(super) fn short_min_block(block: &Block) = short_min_tiles;
}

#[inline(always)]
fn most_rows_of<D: Dot>() -> usize {
    D::NIBBLE_ROWS
}

#[inline(always)]
unsafe fn long_tiles<D: Dot>(block: &Block) {
    if const { D::NIBBLE_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| long_tile::<D, R>(block, at));
    }
}

#[inline(always)]
unsafe fn short_tiles<D: Dot>(block: &Block) {
    if const { D::NIBBLE_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| short_tile::<D, { scales::HALF }, R>(block, at));
    }
}

#[inline(always)]
unsafe fn short_min_tiles<D: Dot>(block: &Block) {
    if const { D::NIBBLE_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| short_tile::<D, { scales::HALF_MIN }, R>(block, at));
    }
}

/// Blocks of 256 with 8-bit scales and minima.
#[inline(always)]
unsafe fn long_tile<D: Dot, const R: usize>(block: &Block, at: usize) {
    let p = 2 * D::V::LANES;
    let (rows, mut out) = begin::<D, R>(block, at);
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 32);
    let mut source = block.weights;
    for number in 0..block.k_len / 256 {
        let d = load_scales::<D::V, { scales::HALF }>(source);
        let dmin = load_scales::<D::V, { scales::HALF }>(source.add(2 * p));
        let dmin = dmin.map(|dmin| D::V::sub(D::V::splat(0.0), dmin));
        for i in 0..8 {
            if R > 1 {
                ahead.step();
            }
            let a_at = (8 * number + i) * block_bytes(D::GROUP);
            let sums = integer_sums::<D, R>(&rows, a_at, source.add((20 + 16 * i) * p), [0; R]);
            add_scaled::<D, R>(&rows, a_at, &sums, times::<D>(d, source.add((4 + i) * p)), &mut out);
            add_minima::<D, R>(&rows, a_at, times::<D>(dmin, source.add((12 + i) * p)), &mut out);
        }
        source = source.add(148 * p);
    }
    end::<D, R>(block, at, &out);
}

/// `unit` times the bytes at `p`.
#[inline(always)]
unsafe fn times<D: Dot>(unit: Scales<D>, p: *const u8) -> Scales<D> {
    [
        D::V::mul(unit[0], D::V::load_u8(p)),
        D::V::mul(unit[1], D::V::load_u8(p.add(D::V::LANES))),
    ]
}

/// Blocks of 32; quants without a minimum are 8 above what they stand for.
#[inline(always)]
unsafe fn short_tile<D: Dot, const KIND: u8, const R: usize>(block: &Block, at: usize) {
    let p = 2 * D::V::LANES;
    let (rows, mut out) = begin::<D, R>(block, at);
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 32);
    let mut source = block.weights;
    for number in 0..block.k_len / 32 {
        if R > 1 {
            ahead.step();
        }
        let a_at = number * block_bytes(D::GROUP);
        let mut starts = [0; R];
        if KIND == scales::HALF {
            for r in 0..R {
                let start = rows[r].add(a_at + record_at(D::GROUP) + START_AT).cast::<i32>();
                // A start is -128 times the sum of the activations.
                starts[r] = start.read_unaligned() / 16;
            }
        }
        let quants = source.add(scale_bytes(KIND) * p);
        let sums = integer_sums::<D, R>(&rows, a_at, quants, starts);
        add_scaled::<D, R>(&rows, a_at, &sums, load_scales::<D::V, KIND>(source), &mut out);
        if KIND != scales::HALF {
            add_minima::<D, R>(&rows, a_at, load_minima::<D, KIND>(source), &mut out);
        }
        source = quants.add(16 * p);
    }
    end::<D, R>(block, at, &out);
}

/// Multiplies the activations of a block of 32 with the nibbles at `packed`: the first half of the stream is in the low ones.
#[inline(always)]
unsafe fn integer_sums<D: Dot, const R: usize>(
    rows: &[*const u8; R],
    a_at: usize,
    packed: *const u8,
    starts: [i32; R],
) -> Integers<D, R> {
    let mut sums = [[D::V::splat_i(0); 2]; R];
    let mut blocks = *rows;
    for r in 0..R {
        sums[r] = [D::V::splat_i(starts[r]); 2];
        blocks[r] = rows[r].add(a_at);
    }
    D::add_nibble_products(&mut sums, &blocks, packed);
    sums
}
