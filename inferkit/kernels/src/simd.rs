//! Vector operations as one trait, so that each kernel is written once.
//!
//! ```text
//! Simd   f32 and i32 lanes      Lanes8 (plain Rust) · V128x2 (NEON) · V256 (AVX2) · V512 (AVX-512)
//! Dot    8-bit products         one type for each way a processor multiplies them
//! Tiles  products of matrices   Amx · TileModel (plain Rust)
//! ```
//!
//! A kernel is a generic function marked `#[inline(always)]`; [`float_tiers`] and [`int8_tiers`] wrap it in one function a
//! tier that has the tier's `#[target_feature]`. Everything is inlined into that wrapper, and only there do the intrinsics
//! become instructions.
//!
//! **Invariant:** [`Lanes8`](portable::Lanes8) is the definition of every operation. Where the vector form rounds
//! differently (only `fma`, which plain Rust writes as two operations), its doc says so.
//!
//! # Safety
//! Every function of these traits requires that the processor has the instructions of the implementing type, and that
//! pointers are valid for the lanes the name says. Pointers need no alignment. Kernels carry the same contract, which is
//! why they and these implementations are `unsafe fn` without inner blocks.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
mod dot;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(any(test, target_arch = "x86_64"))]
mod tiles;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::V256;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::V512;
pub(crate) use dispatch::{float_tiers, int8_tiers};
pub(crate) use dot::Dot;
pub(crate) use dot::PortableDot;
#[cfg(target_arch = "aarch64")]
pub(crate) use dot::{MatrixNeon, QuadNeon, WideNeon};
#[cfg(target_arch = "x86_64")]
pub(crate) use dot::{Pair256, Pair512, Quad256, Quad512};
pub(crate) use math::{exp2, gelu, gelu_tanh, sigmoid, silu, tanh};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::V128x2;
pub(crate) use portable::Lanes8;
#[cfg(target_arch = "x86_64")]
pub(crate) use tiles::Amx;
#[cfg(test)]
pub(crate) use tiles::TileModel;
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub(crate) use tiles::bf16_is_as_defined;
#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) use tiles::{Shape, Tiles};

/// Vectors of f32 and i32 with the same number of lanes.
pub(crate) trait Simd: Copy {
    /// A vector of f32.
    type F: Copy;
    /// A vector of i32, or of raw 32-bit patterns.
    type I: Copy;
    /// Lanes of a vector: 8 or 16.
    const LANES: usize;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn store(p: *mut f32, v: Self::F);
    /// The first `n <= LANES` values; the other lanes are zero and their memory is not touched.
    unsafe fn load_head(p: *const f32, n: usize) -> Self::F;
    /// Writes the first `n <= LANES` lanes.
    unsafe fn store_head(p: *mut f32, n: usize, v: Self::F);

    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// `a < b ? a : b`: the second where either is NaN.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    /// `a > b ? a : b`: the second where either is NaN.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once; twice in plain Rust, where one rounding would be a slow library call.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    unsafe fn abs(a: Self::F) -> Self::F;
    /// `a < b ? x : y`; `y` where either of `a`, `b` is NaN.
    unsafe fn select_lt(a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// Whether no lane is infinite or NaN.
    unsafe fn all_finite(a: Self::F) -> bool;
    /// Sum of the lanes, halves added to halves.
    unsafe fn reduce_add(a: Self::F) -> f32;
    /// Greatest lane. NaN lanes give an unspecified lane.
    unsafe fn reduce_max(a: Self::F) -> f32;

    /// Sum of the lanes, modulo 2^32.
    unsafe fn reduce_add_i(a: Self::I) -> i32;
    unsafe fn splat_i(x: i32) -> Self::I;
    unsafe fn load_i(p: *const i32) -> Self::I;
    unsafe fn store_i(p: *mut i32, v: Self::I);
    unsafe fn and(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn or(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn xor(a: Self::I, b: Self::I) -> Self::I;
    /// Each lane shifted right by N bits, zeros moving in.
    unsafe fn shift_right<const N: u32>(a: Self::I) -> Self::I;
    /// Each lane shifted left by N bits.
    unsafe fn shift_left<const N: u32>(a: Self::I) -> Self::I;
    /// Sums of single bytes, modulo 256.
    unsafe fn add_bytes(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn to_f32(a: Self::I) -> Self::F;
    /// Nearest integer, halves to even; unspecified where it does not fit.
    unsafe fn round(a: Self::F) -> Self::I;
    /// Nearest whole number, halves to even, of magnitudes below 2^22; greater ones stay or are rounded. NaN stays NaN, and the
    /// sign of zero is unspecified.
    unsafe fn nearest(a: Self::F) -> Self::F;
    /// `a * 2^n` for a whole `-127 < n < 128`, if neither `a` nor that is denormal; NaN where `a` is NaN and `n`
    /// NaN or such a number. Other values are unspecified.
    unsafe fn scale_by_power(a: Self::F, n: Self::F) -> Self::F;
    /// Reads `LANES` signed bytes.
    unsafe fn load_i8(p: *const i8) -> Self::F;
    /// Reads `LANES` unsigned bytes.
    unsafe fn load_u8(p: *const u8) -> Self::F;
    /// Reads `LANES` half-precision numbers.
    unsafe fn load_f16(p: *const u16) -> Self::F;
    /// Reads `LANES` bfloat16 numbers.
    unsafe fn load_bf16(p: *const u16) -> Self::F;
    /// Writes `LANES` bfloat16 numbers, rounded to nearest even; a NaN stays one.
    unsafe fn store_bf16(p: *mut u16, v: Self::F);
    /// Writes `LANES` values within -128..=127 as bytes.
    unsafe fn store_i8(p: *mut i8, v: Self::I);
    /// Writes `LANES` values within -32768..=32767 as 16-bit numbers.
    unsafe fn store_i16(p: *mut i16, v: Self::I);
    /// The lower 16 bits of each lane, read as bfloat16.
    unsafe fn bf16_low(a: Self::I) -> Self::F;
    /// The upper 16 bits of each lane, read as bfloat16.
    unsafe fn bf16_high(a: Self::I) -> Self::F;
}

/// Asks for the cache line at `p`, which need not exist, into the first level.
#[inline(always)]
pub(crate) fn prefetch<T>(p: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch is a hint that cannot fault, and every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above, on every aarch64 processor.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) p, options(nostack, readonly, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = p;
}

/// Asks for the cache line at `p`, which need not exist, into the second level.
#[inline(always)]
pub(crate) fn prefetch_far<T>(p: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above, on every aarch64 processor.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) p, options(nostack, readonly, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = p;
}

#[cfg(test)]
mod tests;
