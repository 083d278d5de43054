//! Eight lanes with NEON: two registers of four.

#![allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their origin in their names; the lint is silent in tests"
)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::Simd;

/// Pairs of 128-bit vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct V128x2;

/// Applies a function to both halves.
macro_rules! halves {
    (|$($x:ident),+| $value:expr) => {{
        let [low, high] = [0, 1].map(|half| {
            $(let $x = $x[half];)+
            $value
        });
        [low, high]
    }};
}

impl Simd for V128x2 {
    type F = [float32x4_t; 2];
    type I = [int32x4_t; 2];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [vdupq_n_f32(x); 2]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        [vld1q_f32(p), vld1q_f32(p.add(4))]
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::F) {
        vst1q_f32(p, v[0]);
        vst1q_f32(p.add(4), v[1]);
    }
    #[inline(always)]
    unsafe fn load_head(p: *const f32, n: usize) -> Self::F {
        if n == Self::LANES {
            return Self::load(p);
        }
        let mut lanes = [0.0_f32; 8];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        Self::load(lanes.as_ptr())
    }
    #[inline(always)]
    unsafe fn store_head(p: *mut f32, n: usize, v: Self::F) {
        if n == Self::LANES {
            Self::store(p, v);
            return;
        }
        let mut lanes = [0.0_f32; 8];
        Self::store(lanes.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        halves!(|a, b| vaddq_f32(a, b))
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        halves!(|a, b| vsubq_f32(a, b))
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        halves!(|a, b| vmulq_f32(a, b))
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        halves!(|a, b| vdivq_f32(a, b))
    }
    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        // Not FMIN, which returns a NaN wherever it stands.
        halves!(|a, b| vbslq_f32(vcltq_f32(a, b), a, b))
    }
    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        halves!(|a, b| vbslq_f32(vcgtq_f32(a, b), a, b))
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        halves!(|a, b, c| vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    unsafe fn abs(a: Self::F) -> Self::F {
        halves!(|a| vabsq_f32(a))
    }
    #[inline(always)]
    unsafe fn select_lt(a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        halves!(|a, b, x, y| vbslq_f32(vcltq_f32(a, b), x, y))
    }
    #[inline(always)]
    unsafe fn all_finite(a: Self::F) -> bool {
        let [low, high] = halves!(|a| vcltq_f32(vabsq_f32(a), vdupq_n_f32(f32::INFINITY)));
        vminvq_u32(vandq_u32(low, high)) == u32::MAX
    }
    #[inline(always)]
    unsafe fn reduce_add(a: Self::F) -> f32 {
        let four = vaddq_f32(a[0], a[1]);
        let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
        vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
    }
    #[inline(always)]
    unsafe fn reduce_max(a: Self::F) -> f32 {
        let mut lanes = [0.0_f32; 8];
        Self::store(lanes.as_mut_ptr(), a);
        lanes.into_iter().fold(f32::MIN, f32::max)
    }
    #[inline(always)]
    unsafe fn reduce_add_i(a: Self::I) -> i32 {
        vaddvq_s32(vaddq_s32(a[0], a[1]))
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> Self::I {
        [vdupq_n_s32(x); 2]
    }
    #[inline(always)]
    unsafe fn load_i(p: *const i32) -> Self::I {
        [vld1q_s32(p), vld1q_s32(p.add(4))]
    }
    #[inline(always)]
    unsafe fn store_i(p: *mut i32, v: Self::I) {
        vst1q_s32(p, v[0]);
        vst1q_s32(p.add(4), v[1]);
    }
    #[inline(always)]
    unsafe fn and(a: Self::I, b: Self::I) -> Self::I {
        halves!(|a, b| vandq_s32(a, b))
    }
    #[inline(always)]
    unsafe fn or(a: Self::I, b: Self::I) -> Self::I {
        halves!(|a, b| vorrq_s32(a, b))
    }
    #[inline(always)]
    unsafe fn xor(a: Self::I, b: Self::I) -> Self::I {
        halves!(|a, b| veorq_s32(a, b))
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(a: Self::I) -> Self::I {
        // A shift to the left by a negative number, of unsigned lanes so that zeros move in.
        let places = vdupq_n_s32(-(N as i32));
        halves!(|a| vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), places)))
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(a: Self::I) -> Self::I {
        let places = vdupq_n_s32(N as i32);
        halves!(|a| vshlq_s32(a, places))
    }
    #[inline(always)]
    unsafe fn add_bytes(a: Self::I, b: Self::I) -> Self::I {
        halves!(|a, b| vreinterpretq_s32_s8(vaddq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))))
    }
    #[inline(always)]
    unsafe fn to_f32(a: Self::I) -> Self::F {
        halves!(|a| vcvtq_f32_s32(a))
    }
    #[inline(always)]
    unsafe fn round(a: Self::F) -> Self::I {
        halves!(|a| vcvtnq_s32_f32(a))
    }
    #[inline(always)]
    unsafe fn nearest(a: Self::F) -> Self::F {
        halves!(|a| vrndnq_f32(a))
    }
    #[inline(always)]
    unsafe fn scale_by_power(a: Self::F, n: Self::F) -> Self::F {
        halves!(|a, n| {
            let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        })
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        let words = vmovl_s8(vld1_s8(p));
        [
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))),
            vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))),
        ]
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> Self::F {
        let words = vmovl_u8(vld1_u8(p));
        [
            vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))),
            vcvtq_f32_u32(vmovl_u16(vget_high_u16(words))),
        ]
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // Every processor with NEON converts half precision; the type for it is not stable in Rust.
        let halves = vld1q_u16(p);
        let (low, high): (float32x4_t, float32x4_t);
        asm!(
            "fcvtl {low:v}.4s, {halves:v}.4h",
            "fcvtl2 {high:v}.4s, {halves:v}.8h",
            low = out(vreg) low,
            high = lateout(vreg) high,
            halves = in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags)
        );
        [low, high]
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        let words = vld1q_u16(p);
        let wide = [vmovl_u16(vget_low_u16(words)), vmovl_u16(vget_high_u16(words))];
        halves!(|wide| vreinterpretq_f32_u32(vshlq_n_u32::<16>(wide)))
    }
    #[inline(always)]
    unsafe fn store_bf16(p: *mut u16, v: Self::F) {
        let rounded = halves!(|v| {
            let bits = vreinterpretq_u32_f32(v);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
            let quiet = vorrq_u32(bits, vdupq_n_u32(0x0040_0000));
            vshrn_n_u32::<16>(vbslq_u32(vceqq_f32(v, v), rounded, quiet))
        });
        vst1q_u16(p, vcombine_u16(rounded[0], rounded[1]));
    }
    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, v: Self::I) {
        vst1_s8(p, vmovn_s16(vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]))));
    }
    #[inline(always)]
    unsafe fn store_i16(p: *mut i16, v: Self::I) {
        vst1q_s16(p, vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1])));
    }
    #[inline(always)]
    unsafe fn bf16_low(a: Self::I) -> Self::F {
        halves!(|a| vreinterpretq_f32_s32(vshlq_n_s32::<16>(a)))
    }
    #[inline(always)]
    unsafe fn bf16_high(a: Self::I) -> Self::F {
        halves!(|a| vreinterpretq_f32_s32(vandq_s32(a, vdupq_n_s32(0xFFFF_0000_u32 as i32))))
    }
}
