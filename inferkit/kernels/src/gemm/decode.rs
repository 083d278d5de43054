//! Slices of 4- to 6-bit panels, widened to 8 bits in the first-level cache.
//!
//! Each 32 k become `[p]` f32 scales, `[p]` f32 minima (Q6_K: scales of the last 16), and a stream of bytes. Shifts move whole
//! lanes of 32 bits: what crosses a byte is masked away.
//!
//! Blocks of 32 with their scales in f16 (Q4_0, Q4_1) become what an 8-bit panel of them would be.

use crate::simd::{Simd, float_tiers, prefetch};
use crate::weights::Kind;

/// Bytes that 32 k of one row of a panel take once decoded.
pub(super) const DECODED: usize = 40;

/// How many blocks ahead memory is asked for: those of one slice.
const AHEAD: usize = 2;

/// Blocks to decode, of 256 k or (Q4, Q4Min) of 32.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) kind: Kind,
    /// What quants are combined with by exclusive or.
    pub(super) bias: u8,
    pub(super) source: *const u8,
    pub(super) blocks: usize,
    /// Rows of the panel.
    pub(super) panel: usize,
    /// Room for `panel * DECODED` bytes for each 32 k.
    pub(super) target: *mut u8,
    /// Whether to ask memory for what follows: not where the tiles do.
    pub(super) looks_ahead: bool,
}

float_tiers! {
    /// Decodes all blocks of a slice.
    pub(super) fn decode(slice: &Slice) = decode_slice;
}

#[inline(always)]
unsafe fn decode_slice<S: Simd>(slice: &Slice) {
    // A panel of quants is two vectors wide, on every tier.
    let p = 2 * S::LANES;
    debug_assert_eq!(slice.panel, p);
    match slice.kind {
        Kind::Q4 => return decode_short::<S, 1, 0xF8>(slice),
        Kind::Q4Min => return decode_short::<S, 2, 0>(slice),
        _ => {}
    }
    let (header, part) = match slice.kind {
        Kind::Q4K => (20 * p, 16 * p),
        Kind::Q5K => (20 * p, 20 * p),
        _ => (18 * p, 24 * p),
    };
    for block in 0..slice.blocks {
        let size = header + 8 * part;
        let source = slice.source.add(block * size);
        // The slice after this one: while its predecessor is multiplied nothing else would ask for it. It may lie beyond
        // the panel, where a prefetch does no harm.
        let ahead = source.wrapping_add(AHEAD * size);
        for i in 0..8 {
            if slice.looks_ahead {
                for line in (i * size / 8..(i + 1) * size / 8).step_by(64) {
                    prefetch(ahead.wrapping_add(line));
                }
            }
            let target = slice.target.add((block * 8 + i) * DECODED * p);
            decode_scales::<S>(slice.kind, source, i, target.cast());
            let (quants, low) = (target.add(8 * p), source.add(header + i * part));
            match slice.kind {
                Kind::Q4K => nibbles::<S, 0>(low, slice.bias, quants),
                Kind::Q5K => five_bits::<S>(low, slice.bias, quants),
                _ => six_bits::<S>(low, slice.bias, quants),
            }
        }
    }
}

/// Blocks of 32 k with one or two vectors of scales in f16, which stay as they are; OFFSET is added to each quant.
#[inline(always)]
unsafe fn decode_short<S: Simd, const SCALES: usize, const OFFSET: u8>(slice: &Slice) {
    /// Blocks ahead: as far as a slice of long blocks is.
    const SHORT_AHEAD: usize = 8 * AHEAD;
    let vector = 4 * S::LANES;
    let size = (SCALES + HALF) * vector;
    for block in 0..slice.blocks {
        let source = slice.source.add(block * size);
        let target = slice.target.add(block * (SCALES + 2 * HALF) * vector);
        if slice.looks_ahead {
            for line in (0..size).step_by(64) {
                prefetch(source.wrapping_add(SHORT_AHEAD * size + line));
            }
        }
        for i in 0..SCALES {
            S::store_i(target.add(i * vector).cast(), load::<S>(source, i));
        }
        nibbles::<S, OFFSET>(source.add(SCALES * vector), slice.bias, target.add(SCALES * vector));
    }
}

#[inline(always)]
unsafe fn decode_scales<S: Simd>(kind: Kind, source: *const u8, i: usize, target: *mut f32) {
    let p = 2 * S::LANES;
    for at in [0, S::LANES] {
        let d = S::load_f16(source.cast::<u16>().add(at));
        let (scale, second) = if kind == Kind::Q6K {
            let scales = source.add(2 * p + 2 * i * p + at).cast::<i8>();
            (S::load_i8(scales), S::mul(d, S::load_i8(scales.add(p))))
        } else {
            let dmin = S::sub(S::splat(0.0), S::load_f16(source.cast::<u16>().add(p + at)));
            (
                S::load_u8(source.add((4 + i) * p + at)),
                S::mul(dmin, S::load_u8(source.add((12 + i) * p + at))),
            )
        };
        S::store(target.add(at), S::mul(d, scale));
        S::store(target.add(p + at), second);
    }
}

#[inline(always)]
unsafe fn load<S: Simd>(source: *const u8, vector: usize) -> S::I {
    S::load_i(source.cast::<i32>().add(vector * S::LANES))
}

/// Writes quants to a stream, in the form that the tier multiplies.
#[inline(always)]
unsafe fn store<S: Simd>(target: *mut u8, vector: usize, quants: S::I, bias: S::I) {
    S::store_i(target.cast::<i32>().add(vector * S::LANES), S::xor(quants, bias));
}

/// The same byte everywhere.
#[inline(always)]
unsafe fn bytes<S: Simd>(byte: u8) -> S::I {
    S::splat_i(i32::from_ne_bytes([byte; 4]))
}

/// Vectors in half a stream, which is 32 bytes a lane.
const HALF: usize = 8;

#[inline(always)]
unsafe fn nibbles<S: Simd, const OFFSET: u8>(low: *const u8, bias: u8, target: *mut u8) {
    let (bias, nibble) = (bytes::<S>(bias), bytes::<S>(0x0F));
    for i in 0..HALF {
        let packed = load::<S>(low, i);
        let mut lower = S::and(packed, nibble);
        let mut upper = S::and(S::shift_right::<4>(packed), nibble);
        if OFFSET != 0 {
            lower = S::add_bytes(lower, bytes::<S>(OFFSET));
            upper = S::add_bytes(upper, bytes::<S>(OFFSET));
        }
        store::<S>(target, i, lower, bias);
        store::<S>(target, HALF + i, upper, bias);
    }
}

#[inline(always)]
unsafe fn five_bits<S: Simd>(low: *const u8, bias: u8, target: *mut u8) {
    let high = low.add(HALF * 4 * S::LANES);
    // An eighth of the stream is two vectors: bit s of the high plane belongs to its slice number s.
    for i in 0..HALF / 4 {
        let bits = load::<S>(high, i);
        five_bits_of_slice::<S>(low, bias, target, i, S::shift_left::<4>(bits), bits);
        five_bits_of_slice::<S>(
            low,
            bias,
            target,
            2 + i,
            S::shift_left::<3>(bits),
            S::shift_right::<1>(bits),
        );
        five_bits_of_slice::<S>(
            low,
            bias,
            target,
            4 + i,
            S::shift_left::<2>(bits),
            S::shift_right::<2>(bits),
        );
        five_bits_of_slice::<S>(
            low,
            bias,
            target,
            6 + i,
            S::shift_left::<1>(bits),
            S::shift_right::<3>(bits),
        );
    }
}

/// `first` and `second` hold the high bits in bit 4, of vector `i` of the first and of the second half.
#[inline(always)]
unsafe fn five_bits_of_slice<S: Simd>(low: *const u8, bias: u8, target: *mut u8, i: usize, first: S::I, second: S::I) {
    let (bias, nibble, bit) = (bytes::<S>(bias), bytes::<S>(0x0F), bytes::<S>(0x10));
    let packed = load::<S>(low, i);
    store::<S>(target, i, S::or(S::and(packed, nibble), S::and(first, bit)), bias);
    let upper = S::and(S::shift_right::<4>(packed), nibble);
    store::<S>(target, HALF + i, S::or(upper, S::and(second, bit)), bias);
}

#[inline(always)]
unsafe fn six_bits<S: Simd>(low: *const u8, bias: u8, target: *mut u8) {
    let high = low.add(HALF * 4 * S::LANES);
    // A quarter of the stream is four vectors: bits 2 s and 2 s + 1 of the high plane belong to its slice number s.
    for i in 0..HALF / 2 {
        let bits = load::<S>(high, i);
        six_bits_of_slice::<S>(low, bias, target, i, S::shift_left::<4>(bits), bits);
        six_bits_of_slice::<S>(
            low,
            bias,
            target,
            4 + i,
            S::shift_left::<2>(bits),
            S::shift_right::<2>(bits),
        );
    }
}

/// `first` and `second` hold the high bits in bits 4 and 5, of vector `i` of the first and of the second half.
#[inline(always)]
unsafe fn six_bits_of_slice<S: Simd>(low: *const u8, bias: u8, target: *mut u8, i: usize, first: S::I, second: S::I) {
    let (bias, nibble, pair) = (bytes::<S>(bias), bytes::<S>(0x0F), bytes::<S>(0x30));
    let minus_32 = bytes::<S>(0xE0);
    let packed = load::<S>(low, i);
    let lower = S::or(S::and(packed, nibble), S::and(first, pair));
    store::<S>(target, i, S::add_bytes(lower, minus_32), bias);
    let upper = S::or(S::and(S::shift_right::<4>(packed), nibble), S::and(second, pair));
    store::<S>(target, HALF + i, S::add_bytes(upper, minus_32), bias);
}
