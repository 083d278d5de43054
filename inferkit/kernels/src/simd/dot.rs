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
    /// The most rows that multiply weights of 4 to 6 bits without having them written out as bytes first; only where weights are
    /// stored plus 128.
    const WIDENED_ROWS: usize;

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

    /// The same with weights of `4 + HIGH` bits, nothing added, as they are packed: half a stream of bytes with the low bits of the
    /// first half in the low nibbles, then HIGH eighths of a stream with the high bits. `halves` of the 32 k are taken.
    ///
    /// Pays where [`WIDENED_ROWS`](Self::WIDENED_ROWS) is not zero; elsewhere bytes are written out.
    #[inline(always)]
    unsafe fn add_widened_products<const HIGH: usize, const R: usize>(
        sums: &mut [[<Self::V as Simd>::I; 2]; R],
        rows: &[*const u8; R],
        halves: Range<usize>,
        packed: *const u8,
    ) {
        const {
            assert!(
                Self::V::LANES <= 16,
                "a stream is as long as two vectors for each of 32 k"
            );
        };
        let half = 16 * 2 * Self::V::LANES;
        let mut stream = [0_u8; 32 * 2 * 16];
        for at in 0..half {
            // Each slice of the halves is as long as the plane, and has bits of its own in it.
            let plane = half * HIGH / 4;
            let (slice, bits) = match at.checked_div(plane) {
                Some(slice) => (slice * HIGH, *packed.add(half + at % plane)),
                None => (0, 0),
            };
            let byte = *packed.add(at);
            let mask = (1 << HIGH) - 1;
            stream[at] = byte & 15 | (bits >> slice & mask) << 4;
            stream[half + at] = byte >> 4 | (bits >> (slice + 4) & mask) << 4;
        }
        let bytes = 16 * 4 / Self::GROUP;
        Self::add_products(sums, rows, halves.start * bytes..halves.end * bytes, stream.as_ptr());
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
    /// As [`Dot::WIDENED_ROWS`].
    const WIDENED_ROWS: usize = 0;

    /// `LANES * GROUP` weights, lane by lane.
    unsafe fn weights(p: *const u8) -> Self::W;
    /// `GROUP` activations, four bytes, for every lane.
    unsafe fn activations(p: *const u8) -> Self::A;
    /// Adds the products of every lane to `sum`.
    unsafe fn dot(sum: <Self::V as Simd>::I, w: Self::W, a: Self::A) -> <Self::V as Simd>::I;
}

impl<D: LaneDot> Dot for D {
    type V = D::V;
    const GROUP: usize = D::GROUP;
    const WIDENED_ROWS: usize = D::WIDENED_ROWS;

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
    unsafe fn add_widened_products<const HIGH: usize, const R: usize>(
        sums: &mut [[<D::V as Simd>::I; 2]; R],
        rows: &[*const u8; R],
        halves: Range<usize>,
        packed: *const u8,
    ) {
        const { assert!(D::GROUP == 4 || D::WIDENED_ROWS == 0, "a lane is four bytes") };
        add_group::<D, HIGH, 0, R>(sums, rows, halves.clone(), packed);
        add_group::<D, HIGH, 1, R>(sums, rows, halves.clone(), packed);
        add_group::<D, HIGH, 2, R>(sums, rows, halves.clone(), packed);
        add_group::<D, HIGH, 3, R>(sums, rows, halves, packed);
    }
}

/// Widens and multiplies group G of four k, and the one 16 k further on.
#[inline(always)]
unsafe fn add_group<D: LaneDot, const HIGH: usize, const G: usize, const R: usize>(
    sums: &mut [[<D::V as Simd>::I; 2]; R],
    rows: &[*const u8; R],
    halves: Range<usize>,
    packed: *const u8,
) {
    // How far the high bits of this group stand from where those of the first do.
    let step = if HIGH == 2 { G / 2 * 2 } else { G };
    for half in halves {
        let mut quants = [D::V::splat_i(0); 2];
        for (column, quants) in quants.iter_mut().enumerate() {
            let low = vector::<D::V>(packed, 2 * G + column);
            let low = if half == 0 { low } else { D::V::shift_right::<4>(low) };
            *quants = D::V::and(low, bytes::<D::V>(15));
            if HIGH > 0 {
                // Shifts move whole lanes: what crosses a byte is masked away.
                let bits = vector::<D::V>(packed, 8 + (2 * G + column) % (2 * HIGH));
                let bits = match (half, step) {
                    (0, 0) => D::V::shift_left::<4>(bits),
                    (0, 1) => D::V::shift_left::<3>(bits),
                    (0, 2) => D::V::shift_left::<2>(bits),
                    (0, _) => D::V::shift_left::<1>(bits),
                    (_, 0) => bits,
                    (_, 1) => D::V::shift_right::<1>(bits),
                    (_, 2) => D::V::shift_right::<2>(bits),
                    (_, _) => D::V::shift_right::<3>(bits),
                };
                *quants = D::V::or(
                    *quants,
                    D::V::and(bits, bytes::<D::V>(if HIGH == 2 { 0x30 } else { 0x10 })),
                );
            }
        }
        let (first, second) = (in_registers::<D>(quants[0]), in_registers::<D>(quants[1]));
        for r in 0..R {
            let a = D::activations(rows[r].add(4 * (G + 4 * half)));
            sums[r][0] = D::dot(sums[r][0], first, a);
            sums[r][1] = D::dot(sums[r][1], second, a);
        }
    }
}

/// Vector `number` of what is packed.
#[inline(always)]
unsafe fn vector<S: Simd>(packed: *const u8, number: usize) -> S::I {
    S::load_i(packed.cast::<i32>().add(number * S::LANES))
}

/// The same byte everywhere.
#[inline(always)]
unsafe fn bytes<S: Simd>(byte: u8) -> S::I {
    S::splat_i(i32::from_ne_bytes([byte; 4]))
}

/// A vector of bytes as weights: memory that no machine code touches, since what is written is read at once.
#[inline(always)]
unsafe fn in_registers<D: LaneDot>(bytes: <D::V as Simd>::I) -> D::W {
    let mut memory = [0_u8; 64];
    D::V::store_i(memory.as_mut_ptr().cast(), bytes);
    D::weights(memory.as_ptr())
}

/// Plain Rust over the layout of VPDPBUSD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortableDot;

impl LaneDot for PortableDot {
    type V = Lanes8;
    type W = [[u8; 4]; 8];
    type A = [i8; 4];
    const GROUP: usize = 4;
    const WIDENED_ROWS: usize = 3;

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
        // Indices, not iterators: Miri takes several times as long over those.
        let a = [i32::from(a[0]), i32::from(a[1]), i32::from(a[2]), i32::from(a[3])];
        let mut lane = 0;
        while lane < 8 {
            let w = w[lane];
            sum[lane] +=
                i32::from(w[0]) * a[0] + i32::from(w[1]) * a[1] + i32::from(w[2]) * a[2] + i32::from(w[3]) * a[3];
            lane += 1;
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
    const WIDENED_ROWS: usize = 12;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> __m512i {
        _mm512_loadu_si512(p.cast())
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
    const WIDENED_ROWS: usize = 3;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> __m256i {
        _mm256_loadu_si256(p.cast())
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
