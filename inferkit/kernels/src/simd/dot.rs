//! Products of 8-bit numbers, summed along k into 32-bit lanes.
//!
//! Processors differ in how many consecutive k one lane takes at once, and so do the packed layouts:
//!
//! | type | instruction | k per lane | weights are stored | activations are stored |
//! |---|---|---|---|---|
//! | `Quad512`, `Quad256`, `PortableDot` | VPDPBUSD | 4 | plus 128, unsigned | as bytes |
//! | `Pair512`, `Pair256` | widen, VPMADDWD | 2 | signed | as 16-bit numbers |
//! | `QuadNeon`, `WideNeon` | SDOT, or SMULL and pairwise sums | 4 | signed | as bytes |
//! | `MatrixNeon` | SMMLA: two rows by two columns | 8 of a column side by side | signed | as bytes |
//!
//! The sum of 32 products fits 32 bits many times over, so every form is exact and all give the same integer.

#![allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their origin in their names; the lint is silent in tests"
)]

#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::{MatrixNeon, QuadNeon, WideNeon};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ops::Range;

use super::{Lanes8, Simd};
#[cfg(target_arch = "x86_64")]
use super::{V256, V512};

/// One way to multiply 8-bit weights and activations.
pub(crate) trait Dot: Copy {
    /// The vectors in which the sums live.
    type V: Simd;
    /// Activations in four bytes.
    const GROUP: usize;
    /// The most rows that multiply 4-bit weights without having them written out as bytes first; only where weights are stored
    /// plus 128.
    const NIBBLE_ROWS: usize;

    /// Adds the products of R rows of activations and two vectors of columns.
    ///
    /// * `rows`: the block of 32 activations of each row
    /// * `bytes`: which of its bytes to take; both ends are a multiple of 8
    /// * `quants`: the first byte of the stream of 32 k
    unsafe fn add_products<const R: usize>(
        sums: &mut [[<Self::V as Simd>::I; 2]; R],
        rows: &[*const u8; R],
        bytes: Range<usize>,
        quants: *const u8,
    );

    /// The same for all 32 k, with weights in the nibbles at `packed`: the first half of the stream is in the low ones. Weights are
    /// 0 to 15, nothing added. Pays where [`NIBBLE_ROWS`](Self::NIBBLE_ROWS) is not zero; elsewhere nibbles are written out as
    /// bytes.
    #[inline(always)]
    unsafe fn add_nibble_products<const R: usize>(
        sums: &mut [[<Self::V as Simd>::I; 2]; R],
        rows: &[*const u8; R],
        packed: *const u8,
    ) {
        const {
            assert!(
                Self::V::LANES <= 16,
                "a stream is as long as two vectors for each of 32 k"
            );
        };
        let mut stream = [0_u8; 32 * 2 * 16];
        let (low, high) = stream.split_at_mut(16 * 2 * Self::V::LANES);
        for (at, (low, high)) in low.iter_mut().zip(high).enumerate() {
            let byte = *packed.add(at);
            (*low, *high) = (byte & 15, byte >> 4);
        }
        Self::add_products(sums, rows, 0..32 * 4 / Self::GROUP, stream.as_ptr());
    }
}

/// A way in which each lane multiplies consecutive k of its own column.
pub(crate) trait LaneDot: Copy {
    /// The vectors in which the sums live.
    type V: Simd;
    /// Weights for all lanes.
    type W: Copy;
    /// Activations, the same for all lanes.
    type A: Copy;
    /// Consecutive k that one step covers.
    const GROUP: usize;
    /// As [`Dot::NIBBLE_ROWS`].
    const NIBBLE_ROWS: usize = 0;

    /// `LANES * GROUP` weights, lane by lane.
    unsafe fn weights(p: *const u8) -> Self::W;
    /// As many weights from the low nibbles of the bytes at `p`, and as many from the high ones: 0 to 15, nothing added.
    #[inline(always)]
    unsafe fn nibbles(p: *const u8) -> [Self::W; 2] {
        let mut halves = [[0_u8; 64]; 2];
        for i in 0..Self::V::LANES * Self::GROUP {
            let byte = *p.add(i);
            (halves[0][i], halves[1][i]) = (byte & 15, byte >> 4);
        }
        [Self::weights(halves[0].as_ptr()), Self::weights(halves[1].as_ptr())]
    }
    /// `GROUP` activations, four bytes, for every lane.
    unsafe fn activations(p: *const u8) -> Self::A;
    /// Adds the products of every lane to `sum`.
    unsafe fn dot(sum: <Self::V as Simd>::I, w: Self::W, a: Self::A) -> <Self::V as Simd>::I;
}

impl<D: LaneDot> Dot for D {
    type V = D::V;
    const GROUP: usize = D::GROUP;
    const NIBBLE_ROWS: usize = D::NIBBLE_ROWS;

    #[inline(always)]
    unsafe fn add_products<const R: usize>(
        sums: &mut [[<D::V as Simd>::I; 2]; R],
        rows: &[*const u8; R],
        bytes: Range<usize>,
        quants: *const u8,
    ) {
        let step = D::V::LANES * D::GROUP;
        let mut byte = bytes.start;
        while byte < bytes.end {
            let quants = quants.add(byte / 4 * 2 * step);
            let (first, second) = (D::weights(quants), D::weights(quants.add(step)));
            for r in 0..R {
                let a = D::activations(rows[r].add(byte));
                sums[r][0] = D::dot(sums[r][0], first, a);
                sums[r][1] = D::dot(sums[r][1], second, a);
            }
            byte += 4;
        }
    }

    #[inline(always)]
    unsafe fn add_nibble_products<const R: usize>(
        sums: &mut [[<D::V as Simd>::I; 2]; R],
        rows: &[*const u8; R],
        packed: *const u8,
    ) {
        let step = D::V::LANES * D::GROUP;
        let half = 16 / D::GROUP;
        for group in 0..half {
            let packed = packed.add(2 * group * step);
            let (first, second) = (D::nibbles(packed), D::nibbles(packed.add(step)));
            for h in 0..2 {
                for r in 0..R {
                    let a = D::activations(rows[r].add(4 * (group + h * half)));
                    sums[r][0] = D::dot(sums[r][0], first[h], a);
                    sums[r][1] = D::dot(sums[r][1], second[h], a);
                }
            }
        }
    }
}

/// Plain Rust over the layout of VPDPBUSD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortableDot;

impl LaneDot for PortableDot {
    type V = Lanes8;
    type W = [[u8; 4]; 8];
    type A = [i8; 4];
    const GROUP: usize = 4;
    const NIBBLE_ROWS: usize = 3;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> Self::W {
        p.cast::<Self::W>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> Self::A {
        p.cast::<Self::A>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn dot(mut sum: [i32; 8], w: Self::W, a: Self::A) -> [i32; 8] {
        for (sum, w) in sum.iter_mut().zip(w) {
            for (w, a) in w.into_iter().zip(a) {
                *sum += i32::from(w) * i32::from(a);
            }
        }
        sum
    }
}

/// 512-bit VPDPBUSD. Not VPDPBUSDS, which saturates.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quad512;

#[cfg(target_arch = "x86_64")]
impl LaneDot for Quad512 {
    type V = V512;
    type W = __m512i;
    type A = __m512i;
    const GROUP: usize = 4;
    const NIBBLE_ROWS: usize = 12;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> __m512i {
        _mm512_loadu_si512(p.cast())
    }
    #[inline(always)]
    unsafe fn nibbles(p: *const u8) -> [__m512i; 2] {
        let (both, nibble) = (_mm512_loadu_si512(p.cast()), _mm512_set1_epi8(15));
        [
            _mm512_and_si512(both, nibble),
            _mm512_and_si512(_mm512_srli_epi16::<4>(both), nibble),
        ]
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> __m512i {
        _mm512_set1_epi32(p.cast::<i32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512i, w: __m512i, a: __m512i) -> __m512i {
        _mm512_dpbusd_epi32(sum, w, a)
    }
}

/// 256-bit VPDPBUSD in the encoding of AVX-VNNI.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quad256;

#[cfg(target_arch = "x86_64")]
impl LaneDot for Quad256 {
    type V = V256;
    type W = __m256i;
    type A = __m256i;
    const GROUP: usize = 4;
    // Sixteen registers hold the sums of four rows and nothing else.
    const NIBBLE_ROWS: usize = 3;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> __m256i {
        _mm256_loadu_si256(p.cast())
    }
    #[inline(always)]
    unsafe fn nibbles(p: *const u8) -> [__m256i; 2] {
        let (both, nibble) = (_mm256_loadu_si256(p.cast()), _mm256_set1_epi8(15));
        [
            _mm256_and_si256(both, nibble),
            _mm256_and_si256(_mm256_srli_epi16::<4>(both), nibble),
        ]
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> __m256i {
        _mm256_set1_epi32(p.cast::<i32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn dot(sum: __m256i, w: __m256i, a: __m256i) -> __m256i {
        _mm256_dpbusd_avx_epi32(sum, w, a)
    }
}

/// 256-bit products of 16-bit pairs. VPMADDUBSW would need fewer steps but saturates at 32,767.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair256;

#[cfg(target_arch = "x86_64")]
impl LaneDot for Pair256 {
    type V = V256;
    type W = __m256i;
    type A = __m256i;
    const GROUP: usize = 2;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> __m256i {
        _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast()))
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> __m256i {
        _mm256_set1_epi32(p.cast::<i32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn dot(sum: __m256i, w: __m256i, a: __m256i) -> __m256i {
        _mm256_add_epi32(sum, _mm256_madd_epi16(w, a))
    }
}

/// The same in 512 bits, for processors with AVX-512 but without VNNI.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair512;

#[cfg(target_arch = "x86_64")]
impl LaneDot for Pair512 {
    type V = V512;
    type W = __m512i;
    type A = __m512i;
    const GROUP: usize = 2;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> __m512i {
        _mm512_cvtepi8_epi16(_mm256_loadu_si256(p.cast()))
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> __m512i {
        _mm512_set1_epi32(p.cast::<i32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512i, w: __m512i, a: __m512i) -> __m512i {
        _mm512_add_epi32(sum, _mm512_madd_epi16(w, a))
    }
}
