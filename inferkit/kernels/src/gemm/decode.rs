//! Slices of 4- to 6-bit panels, widened to 8 bits in the first-level cache.
//!
//! Each 32 k become `[p]` f32 scales, `[p]` f32 minima (Q6_K: scales of the last 16), and a stream of bytes. The loops over
//! bytes are plain Rust: compiled for the tier they become vector code.

use crate::simd::{Simd, float_tiers};
use crate::weights::Kind;

/// Bytes that 32 k of one row of a panel take once decoded.
pub(super) const DECODED: usize = 40;

/// Blocks of 256 k to decode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) kind: Kind,
    /// What quants are combined with by exclusive or.
    pub(super) bias: u8,
    pub(super) source: *const u8,
    pub(super) blocks: usize,
    /// Rows of the panel.
    pub(super) panel: usize,
    /// Room for `blocks * 8 * panel * DECODED` bytes.
    pub(super) target: *mut u8,
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
    let (header, part) = match slice.kind {
        Kind::Q4K => (20 * p, 16 * p),
        Kind::Q5K => (20 * p, 20 * p),
        _ => (18 * p, 24 * p),
    };
    for block in 0..slice.blocks {
        let source = slice.source.add(block * (header + 8 * part));
        for i in 0..8 {
            let target = slice.target.add((block * 8 + i) * DECODED * p);
            decode_scales::<S>(slice.kind, source, i, target.cast());
            let (quants, low) = (target.add(8 * p), source.add(header + i * part));
            match slice.kind {
                Kind::Q4K => nibbles::<S>(low, slice.bias, quants),
                Kind::Q5K => five_bits::<S>(low, slice.bias, quants),
                _ => six_bits::<S>(low, slice.bias, quants),
            }
        }
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
unsafe fn nibbles<S: Simd>(low: *const u8, bias: u8, target: *mut u8) {
    let half = 32 * S::LANES;
    for i in 0..half {
        let byte = *low.add(i);
        *target.add(i) = byte & 0x0F ^ bias;
        *target.add(half + i) = byte >> 4 ^ bias;
    }
}

#[inline(always)]
unsafe fn five_bits<S: Simd>(low: *const u8, bias: u8, target: *mut u8) {
    let (half, eighth) = (32 * S::LANES, 8 * S::LANES);
    let high = low.add(half);
    for slice in 0..4 {
        for i in 0..eighth {
            let (byte, bits) = (*low.add(slice * eighth + i), *high.add(i) >> slice);
            *target.add(slice * eighth + i) = (byte & 0x0F | (bits & 1) << 4) ^ bias;
            *target.add(half + slice * eighth + i) = (byte >> 4 | bits & 0x10) ^ bias;
        }
    }
}

#[inline(always)]
unsafe fn six_bits<S: Simd>(low: *const u8, bias: u8, target: *mut u8) {
    let (half, quarter) = (32 * S::LANES, 16 * S::LANES);
    let high = low.add(half);
    for slice in 0..2 {
        for i in 0..quarter {
            let (byte, bits) = (*low.add(slice * quarter + i), *high.add(i) >> (2 * slice));
            *target.add(slice * quarter + i) = (byte & 0x0F | (bits & 3) << 4).wrapping_sub(32) ^ bias;
            *target.add(half + slice * quarter + i) = (byte >> 4 | bits & 0x30).wrapping_sub(32) ^ bias;
        }
    }
}
