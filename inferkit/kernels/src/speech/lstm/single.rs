//! All steps of a single sequence in one call.
//!
//! With one row, a tile of one panel is a few chains of dependent multiply-adds, and their latency is all the time there is.
//! Here several panels are multiplied side by side, so that eight or sixteen chains are open at once. Each chain is the one
//! that the product of a batch has: the results are the same, bit for bit.

use super::gate;
use crate::PackedWeight;
use crate::simd::{Simd, float_tiers};
use crate::weights::Kind;

/// Where the steps of one or several sequences lie.
pub(super) struct Steps<'a> {
    pub(super) recurrent: &'a PackedWeight,
    /// `[steps][sequences][4 * hidden]`: products of the inputs, to which those of the hidden state are added.
    pub(super) gates: *mut f32,
    pub(super) hidden: &'a mut [f32],
    pub(super) cell: &'a mut [f32],
    /// Rows `out_width` apart.
    pub(super) out: *mut f32,
    pub(super) out_width: usize,
}

/// Whether the weight has whole groups of panels, and whole pairs where it is bfloat16.
pub(super) fn fits(weight: &PackedWeight) -> bool {
    let layout = weight.layout();
    // A panel is two vectors of eight lanes or four of sixteen; a narrow one is two of sixteen.
    let panels = if layout.panel == 16 { 4 } else { 2 };
    let is_plain = match layout.kind {
        Kind::F32 => true,
        Kind::Bf16 => weight.k().is_multiple_of(2),
        _ => false,
    };
    is_plain && layout.panel != 32 && weight.n().is_multiple_of(panels * layout.panel)
}

float_tiers! {
    /// Takes the steps that `numbers` yields, in its order.
    pub(super) fn take_steps(steps: &mut Steps<'_>, numbers: &mut dyn Iterator<Item = usize>) = steps_of;
}

#[inline(always)]
unsafe fn steps_of<S: Simd>(steps: &mut Steps<'_>, numbers: &mut dyn Iterator<Item = usize>) {
    let hidden = steps.hidden.len();
    for number in numbers {
        let gates = steps.gates.add(number * 4 * hidden);
        // Two multiply-adds begin in each cycle and take four: eight chains are the least, twice as many leave some slack.
        if S::LANES == 16 && steps.recurrent.panels().is_multiple_of(4) {
            add_products::<S, 4, 4>(steps.recurrent, steps.hidden.as_ptr(), gates);
        } else if S::LANES == 16 {
            add_products::<S, 2, 4>(steps.recurrent, steps.hidden.as_ptr(), gates);
        } else {
            add_products::<S, 4, 2>(steps.recurrent, steps.hidden.as_ptr(), gates);
        }
        gate::<S>(gates, steps.cell, steps.hidden.as_mut_ptr());
        let out = steps.out.add(number * steps.out_width);
        std::ptr::copy_nonoverlapping(steps.hidden.as_ptr(), out, hidden);
    }
}

/// Adds the products of the hidden state with all rows, P panels of V vectors at a time.
#[inline(always)]
unsafe fn add_products<S: Simd, const P: usize, const V: usize>(
    weight: &PackedWeight,
    hidden: *const f32,
    gates: *mut f32,
) {
    let width = V * S::LANES;
    let is_bf16 = weight.layout().kind == Kind::Bf16;
    for group in 0..weight.n() / (P * width) {
        let mut panels = [std::ptr::null::<u8>(); P];
        for (p, panel) in panels.iter_mut().enumerate() {
            *panel = weight.panel(group * P + p).as_ptr();
        }
        let sums = if is_bf16 {
            bf16_sums::<S, P, V>(&panels, hidden, weight.k())
        } else {
            f32_sums::<S, P, V>(&panels, hidden, weight.k())
        };
        for p in 0..P {
            for v in 0..V {
                let place = gates.add((group * P + p) * width + v * S::LANES);
                S::store(place, S::add(sums[p][v], S::load(place)));
            }
        }
    }
}

#[inline(always)]
unsafe fn f32_sums<S: Simd, const P: usize, const V: usize>(
    panels: &[*const u8; P],
    hidden: *const f32,
    k: usize,
) -> [[S::F; V]; P] {
    let mut sums = [[S::splat(0.0); V]; P];
    for at in 0..k {
        let a = S::splat(*hidden.add(at));
        for p in 0..P {
            let weights = panels[p].cast::<f32>().add(at * V * S::LANES);
            for v in 0..V {
                sums[p][v] = S::fma(a, S::load(weights.add(v * S::LANES)), sums[p][v]);
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn bf16_sums<S: Simd, const P: usize, const V: usize>(
    panels: &[*const u8; P],
    hidden: *const f32,
    k: usize,
) -> [[S::F; V]; P] {
    let mut sums = [[S::splat(0.0); V]; P];
    for pair in 0..k / 2 {
        let (first, second) = (S::splat(*hidden.add(2 * pair)), S::splat(*hidden.add(2 * pair + 1)));
        for p in 0..P {
            let weights = panels[p].cast::<i32>().add(pair * V * S::LANES);
            for v in 0..V {
                let both = S::load_i(weights.add(v * S::LANES));
                sums[p][v] = S::fma(first, S::bf16_low(both), sums[p][v]);
                sums[p][v] = S::fma(second, S::bf16_high(both), sums[p][v]);
            }
        }
    }
    sums
}
