//! Operations on single values.

use super::for_rows;
use crate::gemm::activate as activate_vector;
use crate::simd::{Simd, float_tiers, silu};
use crate::{Activation, Isa, Pool, Rows, RowsMut};

/// `out += x`, both `[t, d]`.
///
/// # Panics
/// When shapes differ.
pub fn add(pool: &Pool, isa: Isa, mut out: RowsMut<'_>, x: Rows<'_>) {
    assert_eq!(
        [x.rows(), x.width()],
        [out.rows(), out.width()],
        "both sides of an addition have one shape"
    );
    let (target, stride, width) = (out.shared(), out.stride(), out.width());
    for_rows(pool, out.rows(), width, |row| {
        // SAFETY: both rows hold `width` values, and the output row belongs to this unit.
        unsafe { add_row(isa, target.get().add(row * stride), x.row(row).as_ptr(), width) };
    });
}

/// `out = silu(gate) * up`, all `[t, d]`.
///
/// # Panics
/// When shapes differ.
pub fn silu_mul(pool: &Pool, isa: Isa, gate: Rows<'_>, up: Rows<'_>, mut out: RowsMut<'_>) {
    let shape = [out.rows(), out.width()];
    assert_eq!([gate.rows(), gate.width()], shape, "gate and output have one shape");
    assert_eq!([up.rows(), up.width()], shape, "up and output have one shape");
    let (target, stride) = (out.shared(), out.stride());
    for_rows(pool, shape[0], shape[1], |row| {
        // SAFETY: the three rows have the same width, and the output row belongs to this unit.
        unsafe { silu_mul_row(isa, gate.row(row), up.row(row).as_ptr(), target.get().add(row * stride)) };
    });
}

/// Applies `activation` to each value.
pub fn activate(pool: &Pool, isa: Isa, activation: Activation, mut x: RowsMut<'_>) {
    let (target, stride, width) = (x.shared(), x.stride(), x.width());
    for_rows(pool, x.rows(), width, |row| {
        // SAFETY: the row holds `width` values and belongs to this unit.
        unsafe { activate_row(isa, activation, target.get().add(row * stride), width) };
    });
}

float_tiers! {
    /// Adds `width` values of `x` to `out`.
    pub(super) fn add_row(out: *mut f32, x: *const f32, width: usize) = add_values;
}
float_tiers! {
    fn silu_mul_row(gate: &[f32], up: *const f32, out: *mut f32) = silu_mul_values;
}
float_tiers! {
    fn activate_row(activation: Activation, x: *mut f32, width: usize) = activate_values;
}

#[inline(always)]
unsafe fn add_values<S: Simd>(out: *mut f32, x: *const f32, width: usize) {
    for at in (0..width).step_by(S::LANES) {
        let lanes = S::LANES.min(width - at);
        let sum = S::add(S::load_head(out.add(at), lanes), S::load_head(x.add(at), lanes));
        S::store_head(out.add(at), lanes, sum);
    }
}

#[inline(always)]
unsafe fn silu_mul_values<S: Simd>(gate: &[f32], up: *const f32, out: *mut f32) {
    for at in (0..gate.len()).step_by(S::LANES) {
        let lanes = S::LANES.min(gate.len() - at);
        let value = silu::<S>(S::load_head(gate.as_ptr().add(at), lanes));
        S::store_head(out.add(at), lanes, S::mul(value, S::load_head(up.add(at), lanes)));
    }
}

#[inline(always)]
unsafe fn activate_values<S: Simd>(activation: Activation, x: *mut f32, width: usize) {
    for at in (0..width).step_by(S::LANES) {
        let lanes = S::LANES.min(width - at);
        S::store_head(
            x.add(at),
            lanes,
            activate_vector::<S>(activation, S::load_head(x.add(at), lanes)),
        );
    }
}
