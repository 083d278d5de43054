//! Tiles of 4- to 6-bit quants for few rows: widened in registers each time they are multiplied.
//!
//! Writing a slice out as bytes pays only when many tiles read it. With one or two, it costs up to half of the time, and memory
//! rests meanwhile. Quants are multiplied as they are packed, from 0 up: integer sums, and with them every result, are those of
//! the decoded slice.

use std::ops::Range;

use super::activations::{START_AT, block_bytes, record_at};
use super::int8::{
    Floats, Integers, Scales, add_minima, add_scaled, begin, end, load_minima, load_scales, scale_bytes, scales,
};
use super::tiles::{Ahead, Block, STREAM, ask, for_tiles};
use crate::simd::{Dot, Simd, int8_tiers};
use crate::weights::Kind;

int8_tiers! {
    /// The most rows for which this is faster than decoding a slice first; zero where it never is.
    pub(super) fn most_rows(kind: Kind) -> usize = most_rows_of;
}
int8_tiers! {
    pub(super) fn q4_k_block(block: &Block) = q4_k_tiles;
}
int8_tiers! {
    pub(super) fn q5_k_block(block: &Block) = q5_k_tiles;
}
int8_tiers! {
    pub(super) fn q6_k_block(block: &Block) = q6_k_tiles;
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
fn most_rows_of<D: Dot>(kind: Kind) -> usize {
    match kind {
        Kind::Q4 | Kind::Q4Min | Kind::Q4K | Kind::Q5K => D::WIDENED_ROWS,
        // Scales of 16 k leave less to gain.
        Kind::Q6K => D::WIDENED_ROWS.min(8),
        _ => 0,
    }
}

#[inline(always)]
unsafe fn q4_k_tiles<D: Dot>(block: &Block) {
    if const { D::WIDENED_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| long_tile::<D, 0, R>(block, at));
    }
}

#[inline(always)]
unsafe fn q5_k_tiles<D: Dot>(block: &Block) {
    if const { D::WIDENED_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| long_tile::<D, 1, R>(block, at));
    }
}

#[inline(always)]
unsafe fn q6_k_tiles<D: Dot>(block: &Block) {
    if const { D::WIDENED_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| long_tile::<D, 2, R>(block, at));
    }
}

#[inline(always)]
unsafe fn short_tiles<D: Dot>(block: &Block) {
    if const { D::WIDENED_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| short_tile::<D, { scales::HALF }, R>(block, at));
    }
}

#[inline(always)]
unsafe fn short_min_tiles<D: Dot>(block: &Block) {
    if const { D::WIDENED_ROWS > 0 } {
        for_tiles!(block, 6, |at, R| short_tile::<D, { scales::HALF_MIN }, R>(block, at));
    }
}

/// Blocks of 256 with 8-bit scales, of quants with HIGH bits besides the four low ones: Q4_K, Q5_K, Q6_K.
#[inline(always)]
unsafe fn long_tile<D: Dot, const HIGH: usize, const R: usize>(block: &Block, at: usize) {
    let p = 2 * D::V::LANES;
    let (header, part) = (if HIGH == 2 { 18 * p } else { 20 * p }, (16 + 4 * HIGH) * p);
    let size = header + 8 * part;
    let (rows, mut out) = begin::<D, R>(block, at);
    let is_alone = R == block.m;
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 32);
    let mut source = block.weights;
    for number in 0..block.k_len / 256 {
        let d = load_scales::<D::V, { scales::HALF }>(source);
        let dmin = negated::<D>(load_scales::<D::V, { scales::HALF }>(source.add(2 * p)));
        for i in 0..8 {
            if is_alone {
                ask::<STREAM>(source.wrapping_add(i * size / 8), size / 8);
            } else {
                ahead.step();
            }
            let a_at = (8 * number + i) * block_bytes(D::GROUP);
            let packed = source.add(header + i * part);
            if HIGH == 2 {
                let scales = source.add((2 + 2 * i) * p);
                add_half::<D, HIGH, 0, R>(&rows, a_at, packed, signed_times::<D>(d, scales), &mut out);
                add_half::<D, HIGH, 1, R>(&rows, a_at, packed, signed_times::<D>(d, scales.add(p)), &mut out);
            } else {
                let sums = integer_sums::<D, HIGH, R>(&rows, a_at, 0..2, packed, [0; R]);
                add_scaled::<D, R>(&rows, a_at, &sums, times::<D>(d, source.add((4 + i) * p)), &mut out);
                add_minima::<D, R>(&rows, a_at, times::<D>(dmin, source.add((12 + i) * p)), &mut out);
            }
        }
        source = source.add(size);
    }
    end::<D, R>(block, at, &out);
}

/// 16 k with scales of their own. Quants are 32 above what they stand for.
#[inline(always)]
unsafe fn add_half<D: Dot, const HIGH: usize, const HALF: usize, const R: usize>(
    rows: &[*const u8; R],
    a_at: usize,
    packed: *const u8,
    scales: Scales<D>,
    out: &mut Floats<D, R>,
) {
    let starts = starts::<D, R>(rows, a_at, 1 + HALF, 4);
    let sums = integer_sums::<D, HIGH, R>(rows, a_at, HALF..HALF + 1, packed, starts);
    add_scaled::<D, R>(rows, a_at, &sums, scales, out);
}

/// What integer sums start from when quants are `128 / divisor` above what they stand for: a start of a row is -128 times the sum
/// of its activations, number 0 of all 32, numbers 1 and 2 of the halves.
#[inline(always)]
unsafe fn starts<D: Dot, const R: usize>(rows: &[*const u8; R], a_at: usize, number: usize, divisor: i32) -> [i32; R] {
    let at = a_at + record_at(D::GROUP) + START_AT + 4 * number;
    let mut starts = [0; R];
    for r in 0..R {
        starts[r] = rows[r].add(at).cast::<i32>().read_unaligned() / divisor;
    }
    starts
}

#[inline(always)]
unsafe fn negated<D: Dot>(scales: Scales<D>) -> Scales<D> {
    let zero = D::V::splat(0.0);
    [D::V::sub(zero, scales[0]), D::V::sub(zero, scales[1])]
}

/// `unit` times the bytes at `p`.
#[inline(always)]
unsafe fn times<D: Dot>(unit: Scales<D>, p: *const u8) -> Scales<D> {
    [
        D::V::mul(unit[0], D::V::load_u8(p)),
        D::V::mul(unit[1], D::V::load_u8(p.add(D::V::LANES))),
    ]
}

/// `unit` times the signed bytes at `p`.
#[inline(always)]
unsafe fn signed_times<D: Dot>(unit: Scales<D>, p: *const u8) -> Scales<D> {
    let p = p.cast::<i8>();
    [
        D::V::mul(unit[0], D::V::load_i8(p)),
        D::V::mul(unit[1], D::V::load_i8(p.add(D::V::LANES))),
    ]
}

/// As [`STREAM`]: short blocks are read faster.
const SHORT_STREAM: usize = 13 << 10;

/// Blocks of 32; quants without a minimum are 8 above what they stand for.
#[inline(always)]
unsafe fn short_tile<D: Dot, const KIND: u8, const R: usize>(block: &Block, at: usize) {
    let p = 2 * D::V::LANES;
    let (rows, mut out) = begin::<D, R>(block, at);
    let is_alone = R == block.m;
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 32);
    let mut source = block.weights;
    for number in 0..block.k_len / 32 {
        if is_alone {
            ask::<SHORT_STREAM>(source, (scale_bytes(KIND) + 16) * p);
        } else {
            ahead.step();
        }
        let a_at = number * block_bytes(D::GROUP);
        let starts = if KIND == scales::HALF {
            starts::<D, R>(&rows, a_at, 0, 16)
        } else {
            [0; R]
        };
        let quants = source.add(scale_bytes(KIND) * p);
        let sums = integer_sums::<D, 0, R>(&rows, a_at, 0..2, quants, starts);
        add_scaled::<D, R>(&rows, a_at, &sums, load_scales::<D::V, KIND>(source), &mut out);
        if KIND != scales::HALF {
            add_minima::<D, R>(&rows, a_at, load_minima::<D, KIND>(source), &mut out);
        }
        source = quants.add(16 * p);
    }
    end::<D, R>(block, at, &out);
}

/// Multiplies the activations of a block of 32, or one of its halves, with the quants at `packed`.
#[inline(always)]
unsafe fn integer_sums<D: Dot, const HIGH: usize, const R: usize>(
    rows: &[*const u8; R],
    a_at: usize,
    halves: Range<usize>,
    packed: *const u8,
    starts: [i32; R],
) -> Integers<D, R> {
    let mut sums = [[D::V::splat_i(0); 2]; R];
    let mut blocks = *rows;
    for r in 0..R {
        sums[r] = [D::V::splat_i(starts[r]); 2];
        blocks[r] = rows[r].add(a_at);
    }
    D::add_widened_products::<HIGH, R>(&mut sums, &blocks, halves, packed);
    sums
}
