//! Softmax of rows.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::for_rows;
use crate::simd::{Simd, exp2, float_tiers};
use crate::{Isa, Pool, RowsMut};

/// Replaces each row by `exp(x * scale)` divided by its sum.
///
/// Minus infinity and the lowest number give zero, and a row of nothing else gives zeros. A NaN or plus infinity makes the row
/// NaN. The relative error of a value is at most 4e-7, and 1.5e-7 for each unit of `scale` times its distance from the greatest.
///
/// # Panics
/// When `scale` is not within 1e-30..=1e30.
pub fn softmax(pool: &Pool, isa: Isa, mut x: RowsMut<'_>, scale: f32) {
    check_scale(scale);
    let (target, stride, width) = (x.shared(), x.stride(), x.width());
    for_rows(pool, x.rows(), width, |row| {
        // SAFETY: the row holds `width` values and belongs to this unit.
        unsafe { softmax_row(isa, target.get().add(row * stride), width, scale) };
    });
}

/// Within these limits what is hidden, as the lowest number, is far below zero in units of any scale.
pub(crate) fn check_scale(scale: f32) {
    assert!(
        (1e-30..=1e30).contains(&scale),
        "a scale of {scale}, which is not within 1e-30..=1e30"
    );
}

float_tiers! {
    fn softmax_row(x: *mut f32, width: usize, scale: f32) = normalise;
}

#[inline(always)]
unsafe fn normalise<S: Simd>(x: *mut f32, width: usize, scale: f32) {
    let mut greatest = S::splat(f32::MIN);
    let whole = width / S::LANES * S::LANES;
    for at in (0..whole).step_by(S::LANES) {
        greatest = S::max(S::load(x.add(at)), greatest);
    }
    // A row's end is looked at lane by lane: zeros beyond it could be the greatest.
    let mut greatest = S::reduce_max(greatest);
    for at in whole..width {
        greatest = greatest.max(*x.add(at));
    }
    // In f32 within 256 values, in f64 above: the sum of a long row must not lose its small terms.
    let mut sum = 0.0_f64;
    for start in (0..width).step_by(256) {
        sum += f64::from(powers::<S>(x, start..width.min(start + 256), greatest, scale));
    }
    let sum = sum as f32;
    if sum == 0.0 {
        return;
    }
    for at in (0..width).step_by(S::LANES) {
        let lanes = S::LANES.min(width - at);
        S::store_head(x.add(at), lanes, S::div(S::load_head(x.add(at), lanes), S::splat(sum)));
    }
}

/// Replaces some values by `exp((value - greatest) * scale)`; returns their sum.
#[inline(always)]
unsafe fn powers<S: Simd>(x: *mut f32, values: Range<usize>, greatest: f32, scale: f32) -> f32 {
    // Where none is above the lowest number, none may be the greatest: all are far below zero.
    let shift = S::splat(if greatest > f32::MIN { greatest } else { 0.0 });
    let scale = S::splat(scale * LOG2_E);
    let mut sum = S::splat(0.0);
    for at in values.clone().step_by(S::LANES) {
        let lanes = S::LANES.min(values.end - at);
        let value = S::load_head(x.add(at), lanes);
        let power = exp2::<S>(S::mul(S::sub(value, shift), scale));
        S::store_head(x.add(at), lanes, power);
        sum = S::add(
            sum,
            if lanes == S::LANES {
                power
            } else {
                S::load_head(x.add(at), lanes)
            },
        );
    }
    S::reduce_add(sum)
}
