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
unsafe fn quantize_row<S: Simd, const GROUP: usize, const OFFSET: i16>(
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

/// Groups whose greatest magnitude lies below this are zero: its reciprocal would overflow.
const SMALLEST: f32 = 1e-30;

#[inline(always)]
unsafe fn quantize<S: Simd, const GROUP: usize, const OFFSET: i16>(values: impl Values<S>, k: usize, target: *mut u8) {
    for block in 0..k / 32 {
        let target = target.add(block * block_bytes(GROUP));
        // Four vectors of eight lanes or two of sixteen.
        let mut loaded = [S::splat(0.0); 4];
        let (mut greatest, mut finite) = (S::splat(0.0), true);
        for v in 0..32 / S::LANES {
            loaded[v] = values.load(32 * block + v * S::LANES);
            let value = S::abs(loaded[v]);
            finite &= S::all_finite(value);
            greatest = S::max(greatest, value);
        }
        let greatest = S::reduce_max(greatest);
        // A value that is no number makes the whole block, and with it the row, no number.
        let (scale, inverse) = match (finite, greatest >= SMALLEST) {
            (false, _) => (f32::NAN, 0.0),
            (true, true) => (greatest / 127.0, 127.0 / greatest),
            (true, false) => (0.0, 0.0),
        };
        let mut sums = [0.0_f32; 2];
        for v in 0..32 / S::LANES {
            let at = v * S::LANES;
            let value = if finite { loaded[v] } else { S::splat(0.0) };
            let quants = S::round(S::mul(value, S::splat(inverse)));
            sums[at / 16] += S::reduce_add(S::to_f32(quants));
            if GROUP == 4 {
                S::store_i8(target.add(at).cast(), quants);
            } else {
                S::store_i16(target.add(2 * at).cast(), quants);
            }
        }
        let start = f32::from(-OFFSET);
        let record = target.add(record_at(GROUP));
        record
            .cast::<[f32; 2]>()
            .write_unaligned([scale, scale * (sums[0] + sums[1])]);
        let starts = [sums[0] + sums[1], sums[0], sums[1]].map(|sum| (sum * start) as i32);
        record.add(START_AT).cast::<[i32; 3]>().write_unaligned(starts);
    }
}
