//! Depthwise convolution over time: each channel with its own taps.

use super::taps::{Outputs, TOGETHER, Taps, several, single, taps_inside};
use crate::ops::for_rows;
use crate::simd::{Simd, float_tiers};
use crate::{Activation, Isa, Pool};

/// A convolution in which each channel sees only itself; batch norm is folded into weight and bias.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseConv1d<'a> {
    /// `[taps, channels]`: a PyTorch weight `[channels, 1, taps]` transposed.
    pub weight: &'a [f32],
    /// `[channels]`.
    pub bias: &'a [f32],
    /// Frames of zeros before the first.
    pub padding: usize,
    /// Applied to each output.
    pub activation: Activation,
}

impl DepthwiseConv1d<'_> {
    /// Convolves `x` (`[t, channels]`) into `out` (`[t, channels]`): output frame t reads the frames from `t - padding` on.
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn apply(&self, pool: &Pool, isa: Isa, x: &[f32], out: &mut [f32]) {
        /// Frames of a unit.
        const UNIT: usize = 32;
        let channels = self.bias.len();
        assert!(
            channels > 0 && self.weight.len().is_multiple_of(channels),
            "whole taps of {channels} channels"
        );
        assert!(
            x.len().is_multiple_of(channels) && x.len() == out.len(),
            "whole frames, as many out as in"
        );
        let frames = x.len() / channels;
        let target = crate::aligned::SharedMut::new(out);
        for_rows(pool, frames.div_ceil(UNIT), UNIT * channels, |unit| {
            let frames = unit * UNIT..((unit + 1) * UNIT).min(frames);
            // SAFETY: input and output hold the same whole frames, and the frames of a unit are its own. The ISA exists.
            unsafe { convolve_frames(isa, self, x, target.get(), frames) };
        });
    }
}

float_tiers! {
    fn convolve_frames(
        conv: &DepthwiseConv1d<'_>,
        x: &[f32],
        out: *mut f32,
        frames: std::ops::Range<usize>,
    ) = convolve;
}

#[inline(always)]
unsafe fn convolve<S: Simd>(conv: &DepthwiseConv1d<'_>, x: &[f32], out: *mut f32, frames: std::ops::Range<usize>) {
    let channels = conv.bias.len();
    let (count, total) = (conv.weight.len() / channels, x.len() / channels);
    let taps = Taps {
        weight: conv.weight,
        bias: conv.bias,
        wide: count,
        row_step: 0,
        step: channels,
        activation: conv.activation,
    };
    let mut t = frames.start;
    while t < frames.end {
        let columns = taps_inside(t, conv.padding, count, total);
        let last = taps_inside(t + TOGETHER - 1, conv.padding, count, total);
        let outputs = Outputs {
            source: x
                .as_ptr()
                .wrapping_add(t * channels)
                .wrapping_sub(conv.padding * channels),
            rows: 0..1,
            columns,
            out: out.add(t * channels),
            ahead: (std::ptr::null(), 0),
        };
        if t + TOGETHER <= frames.end && outputs.columns == (0..count) && last == (0..count) {
            several::<S>(&taps, &outputs);
            t += TOGETHER;
        } else {
            single::<S>(&taps, &outputs);
            t += 1;
        }
    }
}
