//! Operations on single values.

use super::for_rows;
use crate::gemm::activate as activate_vector;
use crate::simd::{Simd, float_tiers, sigmoid, silu};
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
pub fn silu_mul(pool: &Pool, isa: Isa, gate: Rows<'_>, up: Rows<'_>, out: RowsMut<'_>) {
    gated(pool, [gate, up], out, |gate, up, out| {
        // SAFETY: `gated` checked that the three rows have the same width, and the output row belongs to one unit.
        unsafe { silu_mul_row(isa, gate, up, out) };
    });
}

/// `out = sigmoid(gate) * x`, all `[t, d]`: a gated linear unit, whose two halves are strided rows of one matrix.
///
/// # Panics
/// When shapes differ.
pub fn sigmoid_mul(pool: &Pool, isa: Isa, gate: Rows<'_>, x: Rows<'_>, out: RowsMut<'_>) {
    gated(pool, [gate, x], out, |gate, x, out| {
        // SAFETY: as above.
        unsafe { sigmoid_mul_row(isa, gate, x, out) };
    });
}

/// Calls `row` with each row of both inputs and of the output, once their shapes were compared.
fn gated(
    pool: &Pool,
    [gate, x]: [Rows<'_>; 2],
    mut out: RowsMut<'_>,
    row: impl Fn(&[f32], *const f32, *mut f32) + Sync,
) {
    let shape = [out.rows(), out.width()];
    assert_eq!([gate.rows(), gate.width()], shape, "gate and output have one shape");
    assert_eq!([x.rows(), x.width()], shape, "what is gated and output have one shape");
    let (target, stride) = (out.shared(), out.stride());
    for_rows(pool, shape[0], shape[1], |index| {
        let out = target.get().wrapping_add(index * stride);
        row(gate.row(index), x.row(index).as_ptr(), out);
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
    fn sigmoid_mul_row(gate: &[f32], x: *const f32, out: *mut f32) = sigmoid_mul_values;
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
unsafe fn sigmoid_mul_values<S: Simd>(gate: &[f32], x: *const f32, out: *mut f32) {
    for at in (0..gate.len()).step_by(S::LANES) {
        let lanes = S::LANES.min(gate.len() - at);
        let value = sigmoid::<S>(S::load_head(gate.as_ptr().add(at), lanes));
        S::store_head(out.add(at), lanes, S::mul(value, S::load_head(x.add(at), lanes)));
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
