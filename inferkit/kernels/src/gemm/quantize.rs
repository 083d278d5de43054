//! Rows become quants, and are normalised on the way where a norm comes first.
//!
//! A norm needs its row twice: for the sum of squares, and scaled. The second time it is quantized while it is in registers, so
//! that normalised values are never written.
//!
//! **Invariant:** quants of a norm are, bit for bit, those of its rows normalised before.

use super::activations::{START_AT, block_bytes, record_at};
use crate::Isa;
use crate::ops::{RmsNorm, factor_of};
use crate::simd::{Simd, float_tiers};

/// Quantizes one row: values, the norm that comes first, target.
pub(super) type QuantKernel = unsafe fn(Isa, &[f32], Option<&RmsNorm<'_>>, *mut u8);

float_tiers! {
    /// Quants of one byte, for weights that are stored plus 128.
    pub(super) fn quantize_rows_to_bytes(row: &[f32], norm: Option<&RmsNorm<'_>>, target: *mut u8) = quantize_bytes;
}
float_tiers! {
    /// Quants of one byte, for weights that are stored as they are.
    pub(super) fn quantize_rows_to_plain_bytes(row: &[f32], norm: Option<&RmsNorm<'_>>, target: *mut u8) = quantize_plain_bytes;
}
float_tiers! {
    /// Quants of two bytes.
    pub(super) fn quantize_rows_to_words(row: &[f32], norm: Option<&RmsNorm<'_>>, target: *mut u8) = quantize_words;
}

#[inline(always)]
unsafe fn quantize_bytes<S: Simd>(row: &[f32], norm: Option<&RmsNorm<'_>>, target: *mut u8) {
    quantize_row::<S, 4, 128>(row, norm, target);
}

#[inline(always)]
unsafe fn quantize_plain_bytes<S: Simd>(row: &[f32], norm: Option<&RmsNorm<'_>>, target: *mut u8) {
    quantize_row::<S, 4, 0>(row, norm, target);
}

#[inline(always)]
unsafe fn quantize_words<S: Simd>(row: &[f32], norm: Option<&RmsNorm<'_>>, target: *mut u8) {
    quantize_row::<S, 2, 0>(row, norm, target);
}

#[inline(always)]
unsafe fn quantize_row<S: Simd, const GROUP: usize, const OFFSET: i32>(
    row: &[f32],
    norm: Option<&RmsNorm<'_>>,
    target: *mut u8,
) {
    let (k, row) = (row.len(), row.as_ptr());
    match norm {
        None => quantize::<S, GROUP, OFFSET>(Plain(row), k, target),
        Some(norm) => {
            let normalised = Normalised::<S> {
                row,
                weight: norm.weight.as_ptr(),
                factor: S::splat(factor_of::<S>(row, k, norm.epsilon)),
            };
            quantize::<S, GROUP, OFFSET>(normalised, k, target);
        }
    }
}

/// Where the values of a row come from.
trait Values<S: Simd>: Copy {
    /// A vector of them, from number `at` on.
    unsafe fn load(self, at: usize) -> S::F;
}

/// They stand in memory.
#[derive(Clone, Copy)]
struct Plain(*const f32);

impl<S: Simd> Values<S> for Plain {
    #[inline(always)]
    unsafe fn load(self, at: usize) -> S::F {
        S::load(self.0.add(at))
    }
}

/// They are what a norm makes of a row.
#[derive(Clone, Copy)]
struct Normalised<S: Simd> {
    row: *const f32,
    weight: *const f32,
    factor: S::F,
}

impl<S: Simd> Values<S> for Normalised<S> {
    #[inline(always)]
    unsafe fn load(self, at: usize) -> S::F {
        S::mul(
            S::mul(S::load(self.row.add(at)), self.factor),
            S::load(self.weight.add(at)),
        )
    }
}

/// Blocks whose greatest magnitude lies below this are zero: its reciprocal would overflow.
pub(crate) const SMALLEST: f32 = 1e-30;

/// Scales of as many blocks as a vector has lanes are computed together: a division takes as long for one as for all.
#[inline(always)]
unsafe fn quantize<S: Simd, const GROUP: usize, const OFFSET: i32>(values: impl Values<S>, k: usize, target: *mut u8) {
    let blocks = k / 32;
    for first in (0..blocks).step_by(S::LANES) {
        let count = S::LANES.min(blocks - first);
        // As many as the widest tier has lanes.
        let (mut magnitudes, mut scales, mut inverses) = ([0.0_f32; 16], [0.0_f32; 16], [0.0_f32; 16]);
        for (block, magnitude) in magnitudes.iter_mut().enumerate().take(count) {
            *magnitude = greatest_magnitude(values, 32 * (first + block));
        }
        let greatest = S::load(magnitudes.as_ptr());
        let (most, smallest, zero) = (S::splat(127.0), S::splat(SMALLEST), S::splat(0.0));
        let scale = S::select_lt(greatest, smallest, zero, S::div(greatest, most));
        S::store(scales.as_mut_ptr(), scale);
        let inverse = S::select_lt(greatest, smallest, zero, S::div(most, greatest));
        S::store(inverses.as_mut_ptr(), inverse);
        for block in 0..count {
            let target = target.add((first + block) * block_bytes(GROUP));
            let measures = [scales[block], inverses[block]];
            quantize_block::<S, GROUP, OFFSET>(values, 32 * (first + block), measures, target);
        }
    }
}

/// The greatest magnitude of 32 values; NaN where one of them is no finite number.
#[inline(always)]
unsafe fn greatest_magnitude<S: Simd>(values: impl Values<S>, at: usize) -> f32 {
    let (mut greatest, mut total) = (S::splat(0.0), S::splat(0.0));
    for v in 0..32 / S::LANES {
        let value = S::abs(values.load(at + v * S::LANES));
        greatest = S::max(greatest, value);
        total = S::add(total, value);
    }
    // One look for all of them. What is no finite number makes the total none; so do finite values whose total is too large.
    if !S::all_finite(total) {
        for v in 0..32 / S::LANES {
            if !S::all_finite(values.load(at + v * S::LANES)) {
                return f32::NAN;
            }
        }
    }
    S::reduce_max(greatest)
}

/// Quantizes 32 values by their scale and what they are multiplied with.
#[inline(always)]
unsafe fn quantize_block<S: Simd, const GROUP: usize, const OFFSET: i32>(
    values: impl Values<S>,
    at: usize,
    [scale, inverse]: [f32; 2],
    target: *mut u8,
) {
    let mut sums = [0_i32; 2];
    for v in 0..32 / S::LANES {
        // A value that is no number makes the whole block, and with it the row, no number, by its scale.
        let value = if scale.is_nan() {
            S::splat(0.0)
        } else {
            S::mul(values.load(at + v * S::LANES), S::splat(inverse))
        };
        let quants = S::round(value);
        let number = v * S::LANES;
        sums[number / 16] += S::reduce_add_i(quants);
        if GROUP == 4 {
            S::store_i8(target.add(number).cast(), quants);
        } else {
            S::store_i16(target.add(2 * number).cast(), quants);
        }
    }
    let sum = sums[0] + sums[1];
    let record = target.add(record_at(GROUP));
    record.cast::<[f32; 2]>().write_unaligned([scale, scale * sum as f32]);
    let starts = [sum, sums[0], sums[1]].map(|sum| -OFFSET * sum);
    record.add(START_AT).cast::<[i32; 3]>().write_unaligned(starts);
}
