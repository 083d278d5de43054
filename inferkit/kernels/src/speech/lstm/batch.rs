//! All steps of several sequences in one call.
//!
//! A product of a few rows takes microseconds: preparing it as one of any size, step after step, would take as long. Here
//! tiles of up to six sequences by a panel are multiplied one after another. Each sum is the chain of operations that it is
//! everywhere else.

use super::gate;
use super::single::Steps;
use crate::PackedWeight;
use crate::simd::{Simd, float_tiers};
use crate::weights::Kind;

/// Whether the weight has whole panels of plain numbers, and whole pairs where it is bfloat16.
pub(super) fn fits(weight: &PackedWeight) -> bool {
    let layout = weight.layout();
    let is_plain = match layout.kind {
        Kind::F32 => true,
        Kind::Bf16 => weight.k().is_multiple_of(2),
        _ => false,
    };
    is_plain && weight.n().is_multiple_of(layout.panel)
}

float_tiers! {
    /// Takes the steps that `numbers` yields, in its order, of as many sequences as there are rows of hidden states.
    pub(super) fn take_steps(steps: &mut Steps<'_>, numbers: &mut dyn Iterator<Item = usize>) = steps_of;
}

#[inline(always)]
unsafe fn steps_of<S: Simd>(steps: &mut Steps<'_>, numbers: &mut dyn Iterator<Item = usize>) {
    let hidden = steps.recurrent.k();
    let batch = steps.hidden.len() / hidden;
    for number in numbers {
        let gates = steps.gates.add(number * batch * 4 * hidden);
        for panel in 0..steps.recurrent.panels() {
            // A panel is four vectors, or two where it is narrow.
            if steps.recurrent.layout().panel == 4 * S::LANES {
                add_panel::<S, 4>(steps.recurrent, panel, steps.hidden, gates);
            } else {
                add_panel::<S, 2>(steps.recurrent, panel, steps.hidden, gates);
            }
        }
        for row in 0..batch {
            let (cell, own) = (
                &mut steps.cell[row * hidden..][..hidden],
                &mut steps.hidden[row * hidden..][..hidden],
            );
            gate::<S>(gates.add(row * 4 * hidden), cell, own.as_mut_ptr());
            let out = steps.out.add((number * batch + row) * steps.out_width);
            std::ptr::copy_nonoverlapping(own.as_ptr(), out, hidden);
        }
    }
}

/// Adds the products of all hidden states with one panel, in tiles of equal size or nearly so.
#[inline(always)]
unsafe fn add_panel<S: Simd, const V: usize>(weight: &PackedWeight, panel: usize, hidden: &[f32], gates: *mut f32) {
    let k = weight.k();
    let batch = hidden.len() / k;
    let gates = gates.add(panel * V * S::LANES);
    let mut row = 0;
    while row < batch {
        let left = batch - row;
        let (states, gates) = (hidden.as_ptr().add(row * k), gates.add(row * 4 * k));
        row += match left.div_ceil(left.div_ceil(6)) {
            1 => tile::<S, 1, V>(weight, panel, states, gates),
            2 => tile::<S, 2, V>(weight, panel, states, gates),
            3 => tile::<S, 3, V>(weight, panel, states, gates),
            4 => tile::<S, 4, V>(weight, panel, states, gates),
            5 => tile::<S, 5, V>(weight, panel, states, gates),
            _ => tile::<S, 6, V>(weight, panel, states, gates),
        };
    }
}

/// R states, `k` values each, by a panel; the gates of a state stand `4 * k` values from those of the one before.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(
    weight: &PackedWeight,
    panel: usize,
    states: *const f32,
    gates: *mut f32,
) -> usize {
    let k = weight.k();
    let weights = weight.panel(panel).as_ptr().cast::<i32>();
    let mut sums = [[S::splat(0.0); V]; R];
    if weight.layout().kind == Kind::Bf16 {
        for pair in 0..k / 2 {
            let (mut low, mut high) = ([S::splat(0.0); V], [S::splat(0.0); V]);
            for v in 0..V {
                let both = S::load_i(weights.add((pair * V + v) * S::LANES));
                (low[v], high[v]) = (S::bf16_low(both), S::bf16_high(both));
            }
            add::<S, R, V>(&mut sums, states.add(2 * pair), k, &low);
            add::<S, R, V>(&mut sums, states.add(2 * pair + 1), k, &high);
        }
    } else {
        for at in 0..k {
            let mut w = [S::splat(0.0); V];
            for v in 0..V {
                w[v] = S::load(weights.cast::<f32>().add((at * V + v) * S::LANES));
            }
            add::<S, R, V>(&mut sums, states.add(at), k, &w);
        }
    }
    for r in 0..R {
        for v in 0..V {
            let place = gates.add(r * 4 * k + v * S::LANES);
            S::store(place, S::add(sums[r][v], S::load(place)));
        }
    }
    R
}

/// Adds the value at `state`, of R states `k` apart, times the weights.
#[inline(always)]
unsafe fn add<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    state: *const f32,
    k: usize,
    w: &[S::F; V],
) {
    for r in 0..R {
        let a = S::splat(*state.add(r * k));
        for v in 0..V {
            sums[r][v] = S::fma(a, w[v], sums[r][v]);
        }
    }
}
