//! How a token's key and value go into the block of a head.
//!
//! # Safety
//! Both targets of a function are the block of one head, of the width of the token's key and value, which is a multiple of 16.

use super::cache::{BLOCK_TOKENS, SCALE_BYTES};
use crate::gemm::SMALLEST;
use crate::simd::{Simd, float_tiers};

/// A token of one head.
pub(super) struct Token<'a> {
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    /// Position in the block.
    pub(super) at: usize,
}

pub(super) unsafe fn write_f32(keys: *mut f32, values: *mut f32, token: &Token<'_>) {
    let width = token.key.len();
    for (i, (key, value)) in token.key.iter().zip(token.value).enumerate() {
        *keys.add(i * BLOCK_TOKENS + token.at) = *key;
        *values.add(token.at * width + i) = *value;
    }
}

float_tiers! {
    pub(super) fn write_bf16(keys: *mut u16, values: *mut u16, token: &Token<'_>) = write_rounded;
}
float_tiers! {
    pub(super) fn write_int8(keys: *mut u8, values: *mut u8, token: &Token<'_>) = write_scaled;
}

#[inline(always)]
unsafe fn write_rounded<S: Simd>(keys: *mut u16, values: *mut u16, token: &Token<'_>) {
    let width = token.key.len();
    let mut rounded = [0_u16; 16];
    let (pair, half) = (token.at / 2 * width, token.at % 2);
    for start in (0..width).step_by(S::LANES) {
        S::store_bf16(rounded.as_mut_ptr(), S::load(token.key.as_ptr().add(start)));
        for i in 0..S::LANES / 2 {
            let target = keys.add(((start / 2 + i) * BLOCK_TOKENS + token.at) * 2);
            target.cast::<[u16; 2]>().write([rounded[2 * i], rounded[2 * i + 1]]);
        }
        S::store_bf16(rounded.as_mut_ptr(), S::load(token.value.as_ptr().add(start)));
        for i in 0..S::LANES {
            *values.add((pair + start + i) * 2 + half) = rounded[i];
        }
    }
}

#[inline(always)]
unsafe fn write_scaled<S: Simd>(keys: *mut u8, values: *mut u8, token: &Token<'_>) {
    let width = token.key.len();
    let mut quants = [0_i8; 16];
    let measure = measure_of::<S>(token.key);
    *keys.cast::<f32>().add(token.at) = measure.scale;
    let column = keys.add(SCALE_BYTES).cast::<i8>().add(token.at);
    for start in (0..width).step_by(S::LANES) {
        S::store_i8(quants.as_mut_ptr(), measure.quants::<S>(token.key.as_ptr().add(start)));
        for i in 0..S::LANES {
            *column.add((start + i) * BLOCK_TOKENS) = quants[i];
        }
    }
    let measure = measure_of::<S>(token.value);
    *values.cast::<f32>().add(token.at) = measure.scale;
    let row = values.add(SCALE_BYTES).cast::<i8>().add(token.at * width);
    for start in (0..width).step_by(S::LANES) {
        S::store_i8(row.add(start), measure.quants::<S>(token.value.as_ptr().add(start)));
    }
}

/// What the values of a row are counted in.
#[derive(Clone, Copy)]
struct Measure {
    /// NaN where a value is no number: then all of them become none.
    scale: f32,
    inverse: f32,
}

#[inline(always)]
unsafe fn measure_of<S: Simd>(row: &[f32]) -> Measure {
    let (mut greatest, mut finite) = (S::splat(0.0), true);
    for start in (0..row.len()).step_by(S::LANES) {
        let value = S::abs(S::load(row.as_ptr().add(start)));
        finite &= S::all_finite(value);
        greatest = S::max(greatest, value);
    }
    let greatest = S::reduce_max(greatest);
    let (scale, inverse) = match (finite, greatest >= SMALLEST) {
        (false, _) => (f32::NAN, 0.0),
        (true, true) => (greatest / 127.0, 127.0 / greatest),
        (true, false) => (0.0, 0.0),
    };
    Measure { scale, inverse }
}

impl Measure {
    /// Of the values at `p`.
    #[inline(always)]
    unsafe fn quants<S: Simd>(self, p: *const f32) -> S::I {
        // What is no number has no quant.
        let value = if self.scale.is_nan() { S::splat(0.0) } else { S::load(p) };
        S::round(S::mul(value, S::splat(self.inverse)))
    }
}
