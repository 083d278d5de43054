//! 8-bit products with NEON: four consecutive k a lane, both operands signed.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vaddq_s32, vdupq_n_s32, vget_high_s8, vget_low_s8, vld1q_s8, vmull_s8, vpaddlq_s16,
    vpaddq_s32, vreinterpretq_s8_s32,
};
use std::arch::asm;

use super::super::V128x2;
use super::Dot;

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

impl Dot for QuadNeon {
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

impl Dot for WideNeon {
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
