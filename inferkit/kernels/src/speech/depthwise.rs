//! Depthwise convolution over time: each channel with its own taps.

use crate::gemm::activate;
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
        /// Frames of a unit: the taps of a vector of channels stay in registers meanwhile.
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
    for channel in (0..channels).step_by(S::LANES) {
        let lanes = S::LANES.min(channels - channel);
        for t in frames.clone() {
            frame::<S>(conv, x, out, (t, channel, lanes));
        }
    }
}

#[inline(always)]
unsafe fn frame<S: Simd>(
    conv: &DepthwiseConv1d<'_>,
    x: &[f32],
    out: *mut f32,
    (t, channel, lanes): (usize, usize, usize),
) {
    let channels = conv.bias.len();
    let (taps, total) = (conv.weight.len() / channels, x.len() / channels);
    // Taps that meet a frame which exists: t + tap - padding in 0..total.
    let first = conv.padding.saturating_sub(t);
    let end = taps.min((total + conv.padding).saturating_sub(t));
    let mut sum = S::load_head(conv.bias.as_ptr().add(channel), lanes);
    for tap in first..end {
        let weight = S::load_head(conv.weight.as_ptr().add(tap * channels + channel), lanes);
        let value = S::load_head(x.as_ptr().add((t + tap - conv.padding) * channels + channel), lanes);
        sum = S::fma(weight, value, sum);
    }
    S::store_head(
        out.add(t * channels + channel),
        lanes,
        activate::<S>(conv.activation, sum),
    );
}
