//! One-dimensional convolution as a product with overlapping rows.

use crate::{Epilogue, PackedWeight, Pool, Precision, Product, Rows, RowsMut, gemm};

/// A convolution over time with all channels: output frame t is the product of the weight and the frames
/// `t * stride - padding ..` of the input, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Conv1d<'a> {
    /// `[out channels, taps * in channels]`, taps outermost: a PyTorch weight `[out, in, taps]` with its last two axes swapped.
    pub weight: &'a PackedWeight,
    /// `[out channels]`.
    pub bias: Option<&'a [f32]>,
    /// Channels of the input.
    pub channels: usize,
    /// Input frames from one output frame to the next.
    pub stride: usize,
    /// Frames of zeros before the first and after the last.
    pub padding: usize,
    /// Applied to each output.
    pub activation: crate::Activation,
}

impl Conv1d<'_> {
    /// Frames that the kernel covers.
    ///
    /// # Panics
    /// When k of the weight is not a multiple of the channels.
    pub fn taps(&self) -> usize {
        let k = self.weight.k();
        assert!(
            self.channels > 0 && k.is_multiple_of(self.channels),
            "{k} values are no taps of {}",
            self.channels
        );
        k / self.channels
    }

    /// Frames that `frames` frames become.
    pub fn frames_out(&self, frames: usize) -> usize {
        (frames + 2 * self.padding)
            .checked_sub(self.taps())
            .map_or(0, |rest| rest / self.stride.max(1) + 1)
    }

    /// Convolves `x` (`[t, channels]`) into `out` (`[frames_out(t), out channels]`).
    ///
    /// Frames in the middle are read where they stand; only windows that reach into the padding are copied.
    ///
    /// # Panics
    /// When shapes do not fit or the stride is zero.
    pub fn apply(&self, pool: &Pool, precision: Precision, x: &[f32], out: &mut [f32]) {
        assert!(
            self.stride > 0 && x.len().is_multiple_of(self.channels),
            "whole frames, and a stride above zero"
        );
        let (frames, taps, n) = (x.len() / self.channels, self.taps(), self.weight.n());
        let total = self.frames_out(frames);
        assert_eq!(out.len(), total * n, "the output holds {total} frames of {n}");
        let window_start = |t: usize| (t * self.stride).checked_sub(self.padding);
        let inside = |t: usize| window_start(t).is_some_and(|start| start + taps <= frames);
        let first = (0..total).find(|&t| inside(t)).unwrap_or(total);
        let end = (first..total).find(|&t| !inside(t)).unwrap_or(total);
        let epilogue = Epilogue {
            bias: self.bias,
            ..Epilogue::default()
        }
        .with_activation(self.activation);
        let mut run = |rows: Rows<'_>, frames: std::ops::Range<usize>| {
            let out = RowsMut::new(&mut out[frames.start * n..frames.end * n], n);
            gemm(
                pool,
                rows,
                precision,
                &mut [Product::new(self.weight, out).with_epilogue(epilogue)],
            );
        };
        let k = taps * self.channels;
        for edge in [0..first, end..total] {
            let mut windows = vec![0.0; edge.len() * k];
            for (window, t) in windows.chunks_mut(k).zip(edge.clone()) {
                for (tap, frame) in window.chunks_mut(self.channels).enumerate() {
                    let source = (t * self.stride + tap)
                        .checked_sub(self.padding)
                        .filter(|&source| source < frames);
                    if let Some(source) = source {
                        frame.copy_from_slice(&x[source * self.channels..][..self.channels]);
                    }
                }
            }
            run(Rows::new(&windows, k), edge);
        }
        if first < end {
            let start = (first * self.stride - self.padding) * self.channels;
            run(
                Rows::strided(&x[start..], end - first, k, self.stride * self.channels),
                first..end,
            );
        }
    }
}
