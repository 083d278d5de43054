//! The sum over the taps of a depthwise convolution, for a few channels.
//!
//! Outputs whose window lies inside the input are computed several at a time: each weight is loaded once for all of them.

use std::ops::Range;

use crate::Activation;
use crate::gemm::activate;
use crate::simd::{Simd, prefetch_far};

/// A convolution's weights, and how its input lies in memory. Distances are in values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taps<'a> {
    /// `[taps high * taps wide, channels]`.
    pub(super) weight: &'a [f32],
    /// `[channels]`.
    pub(super) bias: &'a [f32],
    /// Taps of a row.
    pub(super) wide: usize,
    /// From the input of one tap row to that of the next.
    pub(super) row_step: usize,
    /// From the input of one output to that of the next.
    pub(super) step: usize,
    pub(super) activation: Activation,
}

/// Consecutive outputs, all of whose channels are computed.
#[derive(Debug, Clone)]
pub(super) struct Outputs {
    /// Input of the first output's tap 0 in tap row 0, which may lie in the padding and before the input.
    pub(super) source: *const f32,
    /// Tap rows that meet the input.
    pub(super) rows: Range<usize>,
    /// Taps of a row that meet it.
    pub(super) columns: Range<usize>,
    pub(super) out: *mut f32,
    /// What is read later, and how many cache lines of it to ask for meanwhile.
    pub(super) ahead: (*const f32, usize),
}

/// Values of a cache line.
pub(super) const LINE: usize = 16;

/// Outputs that are computed together.
pub(super) const TOGETHER: usize = 4;

/// Computes [`TOGETHER`] outputs, for which the same taps meet the input.
///
/// # Safety
/// As for all kernels; `outputs` names taps that exist and inputs that exist for them, and room for all channels of each output.
#[inline(always)]
pub(super) unsafe fn several<S: Simd>(taps: &Taps<'_>, outputs: &Outputs) {
    let channels = taps.bias.len();
    let mut channel = 0;
    let (mut ahead, lines) = outputs.ahead;
    let lines = lines.div_ceil((channels / (2 * S::LANES)).max(1));
    while channel + 2 * S::LANES <= channels {
        for _ in 0..lines {
            prefetch_far(ahead);
            ahead = ahead.wrapping_add(LINE);
        }
        tile::<S, TOGETHER, 2>(taps, outputs, channel);
        channel += 2 * S::LANES;
    }
    while channel + S::LANES <= channels {
        tile::<S, TOGETHER, 1>(taps, outputs, channel);
        channel += S::LANES;
    }
    if channel < channels {
        for number in 0..TOGETHER {
            let one = Outputs {
                source: outputs.source.wrapping_add(number * taps.step),
                out: outputs.out.add(number * channels),
                ..outputs.clone()
            };
            rest::<S>(taps, &one, channel);
        }
    }
}

/// Computes one output.
///
/// # Safety
/// As above.
#[inline(always)]
pub(super) unsafe fn single<S: Simd>(taps: &Taps<'_>, output: &Outputs) {
    let channels = taps.bias.len();
    let mut channel = 0;
    while channel + S::LANES <= channels {
        tile::<S, 1, 1>(taps, output, channel);
        channel += S::LANES;
    }
    if channel < channels {
        rest::<S>(taps, output, channel);
    }
}

/// N outputs of V vectors of channels.
#[inline(always)]
unsafe fn tile<S: Simd, const N: usize, const V: usize>(taps: &Taps<'_>, outputs: &Outputs, channel: usize) {
    let channels = taps.bias.len();
    let mut sums = [[S::splat(0.0); V]; N];
    for v in 0..V {
        let bias = S::load(taps.bias.as_ptr().add(channel + v * S::LANES));
        for n in 0..N {
            sums[n][v] = bias;
        }
    }
    for row in outputs.rows.clone() {
        for column in outputs.columns.clone() {
            let weight = taps
                .weight
                .as_ptr()
                .add((row * taps.wide + column) * channels + channel);
            let source = outputs
                .source
                .wrapping_add(row * taps.row_step + column * channels + channel);
            for v in 0..V {
                let weight = S::load(weight.add(v * S::LANES));
                for n in 0..N {
                    let value = S::load(source.wrapping_add(n * taps.step + v * S::LANES));
                    sums[n][v] = S::fma(weight, value, sums[n][v]);
                }
            }
        }
    }
    for n in 0..N {
        for v in 0..V {
            let out = outputs.out.add(n * channels + channel + v * S::LANES);
            S::store(out, activate::<S>(taps.activation, sums[n][v]));
        }
    }
}

/// The last channels of one output, fewer than a vector.
#[inline(always)]
unsafe fn rest<S: Simd>(taps: &Taps<'_>, output: &Outputs, channel: usize) {
    let channels = taps.bias.len();
    let lanes = channels - channel;
    let mut sum = S::load_head(taps.bias.as_ptr().add(channel), lanes);
    for row in output.rows.clone() {
        for column in output.columns.clone() {
            let weight = taps
                .weight
                .as_ptr()
                .add((row * taps.wide + column) * channels + channel);
            let source = output
                .source
                .wrapping_add(row * taps.row_step + column * channels + channel);
            sum = S::fma(S::load_head(weight, lanes), S::load_head(source, lanes), sum);
        }
    }
    S::store_head(output.out.add(channel), lanes, activate::<S>(taps.activation, sum));
}

/// Taps from `position` on that meet an input which exists: `position + tap - padding` in `0..size`.
#[inline(always)]
pub(super) fn taps_inside(position: usize, padding: usize, taps: usize, size: usize) -> Range<usize> {
    let first = padding.saturating_sub(position).min(taps);
    let end = taps.min((size + padding).saturating_sub(position));
    first..end.max(first)
}
