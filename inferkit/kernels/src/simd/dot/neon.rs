//! 8-bit products with NEON, both operands signed: four consecutive k a lane, or eight of two rows and two columns.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vaddq_s32, vcombine_s8, vdupq_n_s8, vdupq_n_s32, vget_high_s8, vget_low_s8, vld1_s8,
    vld1q_s8, vmull_s8, vpaddlq_s16, vpaddq_s32, vreinterpretq_s8_s32, vreinterpretq_s32_s64, vreinterpretq_s64_s32,
    vzip1q_s64, vzip2q_s64,
};
use std::arch::asm;
use std::ops::Range;

use super::super::V128x2;
use super::{Dot, LaneDot};

/// SDOT, of processors with the dot product extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuadNeon;

/// Widening products, added in pairs: every processor with NEON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WideNeon;

#[inline(always)]
unsafe fn weights(p: *const u8) -> [int8x16_t; 2] {
    [vld1q_s8(p.cast()), vld1q_s8(p.cast::<i8>().add(16))]
}

#[inline(always)]
unsafe fn activations(p: *const u8) -> int8x16_t {
    vreinterpretq_s8_s32(vdupq_n_s32(p.cast::<i32>().read_unaligned()))
}

impl LaneDot for QuadNeon {
    type V = V128x2;
    type W = [int8x16_t; 2];
    type A = int8x16_t;
    const GROUP: usize = 4;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> Self::W {
        weights(p)
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> Self::A {
        activations(p)
    }
    #[inline(always)]
    unsafe fn dot(sum: [int32x4_t; 2], w: Self::W, a: Self::A) -> [int32x4_t; 2] {
        // The intrinsic for it is not stable in Rust.
        let [mut low, mut high] = sum;
        asm!(
            ".arch_extension dotprod",
            "sdot {low:v}.4s, {w0:v}.16b, {a:v}.16b",
            "sdot {high:v}.4s, {w1:v}.16b, {a:v}.16b",
            low = inout(vreg) low,
            high = inout(vreg) high,
            w0 = in(vreg) w[0],
            w1 = in(vreg) w[1],
            a = in(vreg) a,
            options(pure, nomem, nostack, preserves_flags)
        );
        [low, high]
    }
}

impl LaneDot for WideNeon {
    type V = V128x2;
    type W = [int8x16_t; 2];
    type A = int8x16_t;
    const GROUP: usize = 4;

    #[inline(always)]
    unsafe fn weights(p: *const u8) -> Self::W {
        weights(p)
    }
    #[inline(always)]
    unsafe fn activations(p: *const u8) -> Self::A {
        activations(p)
    }
    #[inline(always)]
    unsafe fn dot(sum: [int32x4_t; 2], w: Self::W, a: Self::A) -> [int32x4_t; 2] {
        [0, 1].map(|half| {
            let first = vpaddlq_s16(vmull_s8(vget_low_s8(w[half]), vget_low_s8(a)));
            let second = vpaddlq_s16(vmull_s8(vget_high_s8(w[half]), vget_high_s8(a)));
            vaddq_s32(sum[half], vpaddq_s32(first, second))
        })
    }
}

/// SMMLA, of processors with the extension for matrices of 8-bit integers.
///
/// An instruction multiplies two rows with two columns over eight k. A row without a partner is its own: then half of the
/// result is the same again, and what remains is as much as SDOT does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatrixNeon;

/// Pairs of columns in a panel of 16, and the most pairs of rows of a tile.
const COLUMN_PAIRS: usize = 8;
const MOST_ROW_PAIRS: usize = 3;

impl Dot for MatrixNeon {
    type V = V128x2;
    const GROUP: usize = 4;
    const WIDENED_ROWS: usize = 0;

    #[inline(always)]
    unsafe fn add_products<const R: usize>(
        sums: &mut [[[int32x4_t; 2]; 2]; R],
        rows: &[*const u8; R],
        bytes: Range<usize>,
        quants: *const u8,
    ) {
        let pairs = R.div_ceil(2);
        let mut results = [[vdupq_n_s32(0); COLUMN_PAIRS]; MOST_ROW_PAIRS];
        for byte in bytes.step_by(8) {
            let mut a = [vdupq_n_s8(0); MOST_ROW_PAIRS];
            for pair in 0..pairs {
                let (first, second) = (rows[2 * pair], rows[partner::<R>(pair)]);
                a[pair] = vcombine_s8(vld1_s8(first.add(byte).cast()), vld1_s8(second.add(byte).cast()));
            }
            for column in 0..COLUMN_PAIRS {
                let w = vld1q_s8(quants.add(16 * (byte + column)).cast());
                for pair in 0..pairs {
                    results[pair][column] = multiply_matrices(results[pair][column], a[pair], w);
                }
            }
        }
        for pair in 0..pairs {
            let (first, second) = (2 * pair, partner::<R>(pair));
            for four in 0..COLUMN_PAIRS / 2 {
                // Each result is row 0, columns 0 and 1; row 1, columns 0 and 1.
                let [left, right] = [2 * four, 2 * four + 1].map(|at| vreinterpretq_s64_s32(results[pair][at]));
                let sum = &mut sums[first][four / 2][four % 2];
                *sum = vaddq_s32(*sum, vreinterpretq_s32_s64(vzip1q_s64(left, right)));
                if second != first {
                    let sum = &mut sums[second][four / 2][four % 2];
                    *sum = vaddq_s32(*sum, vreinterpretq_s32_s64(vzip2q_s64(left, right)));
                }
            }
        }
    }
}

/// The second row of a pair: the first again where there is none.
#[inline(always)]
fn partner<const R: usize>(pair: usize) -> usize {
    (2 * pair + 1).min(R - 1)
}

/// Adds the products of two rows `a` and two columns `w`, eight k each, to a matrix of 2 x 2.
#[inline(always)]
unsafe fn multiply_matrices(mut sums: int32x4_t, a: int8x16_t, w: int8x16_t) -> int32x4_t {
    // The intrinsic for it is not stable in Rust.
    asm!(
        ".arch_extension i8mm",
        "smmla {sums:v}.4s, {a:v}.16b, {w:v}.16b",
        sums = inout(vreg) sums,
        a = in(vreg) a,
        w = in(vreg) w,
        options(pure, nomem, nostack, preserves_flags)
    );
    sums
}
