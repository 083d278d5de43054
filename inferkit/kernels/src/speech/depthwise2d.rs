//! Depthwise two-dimensional convolution: each channel with its own taps.
//!
//! There is little to compute, and a few channels of many pixels are no stream that the processor would follow: while a line of
//! the output is computed, memory is asked for the rows that the next one needs.

use super::maps::{FeatureMaps, Window, clear_rest};
use super::taps::{LINE, Outputs, TOGETHER, Taps, several, single, taps_inside};
use crate::aligned::SharedMut;
use crate::simd::{Simd, float_tiers};
use crate::{Activation, Isa, Pool};

/// A convolution over height and width in which each channel sees only itself.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseConv2d<'a> {
    /// `[taps, channels]`, taps row by row: a PyTorch weight `[channels, 1, h, w]` as `[h, w, channels]`.
    pub weight: &'a [f32],
    /// `[channels]`.
    pub bias: &'a [f32],
    /// Taps, strides and padding.
    pub window: Window,
    /// Applied to each output.
    pub activation: Activation,
}

impl DepthwiseConv2d<'_> {
    /// Shape of what maps of `shape` (`[b, h, w, channels]`) become.
    pub fn shape_out(&self, shape: [usize; 4]) -> [usize; 4] {
        self.window.shape_out(shape, self.bias.len())
    }

    /// Convolves `x` into `out` (`[b, h out, w out, channels]`): `activation(conv(x) + bias)`.
    ///
    /// Rows of a map beyond those that count are zero in `out`.
    ///
    /// # Panics
    /// When shapes do not fit, or a stride is zero.
    pub fn apply(&self, pool: &Pool, isa: Isa, x: FeatureMaps<'_>, out: &mut [f32]) {
        let channels = self.bias.len();
        x.check(channels);
        let [taps_high, taps_wide] = self.window.taps;
        assert_eq!(
            self.weight.len(),
            taps_high * taps_wide * channels,
            "one weight for each tap and channel"
        );
        let shape = self.shape_out(x.shape);
        let [maps, height, width, _] = shape;
        assert_eq!(
            out.len(),
            maps * height * width * channels,
            "the output has the shape {shape:?}"
        );
        let target = SharedMut::new(out);
        pool.run(maps * height, |line| {
            let (map, row) = (line / height, line % height);
            if row >= self.window.side_out(0, x.height(map)) {
                return;
            }
            let line = Line {
                conv: self,
                map: &x.values[map * x.shape[1] * x.shape[2] * channels..],
                size: [x.height(map), x.shape[2]],
                row,
                width,
                out: target.get().wrapping_add(line * width * channels),
            };
            // SAFETY: the map holds `size` pixels of `channels` values; the output row has `width` of them and belongs to
            // this unit alone. The ISA exists.
            unsafe { convolve_line(isa, &line) };
        });
        clear_rest(&x, &self.window, shape, target);
    }
}

/// One row of the output.
struct Line<'a> {
    conv: &'a DepthwiseConv2d<'a>,
    /// The map and what follows it.
    map: &'a [f32],
    /// Rows and columns of the map that count.
    size: [usize; 2],
    row: usize,
    /// Pixels of the output row.
    width: usize,
    out: *mut f32,
}

float_tiers! {
    fn convolve_line(line: &Line<'_>) = convolve;
}

#[inline(always)]
unsafe fn convolve<S: Simd>(line: &Line<'_>) {
    let conv = line.conv;
    let channels = conv.bias.len();
    let Window { taps, stride, padding } = conv.window;
    let [height, width] = line.size;
    let top = line.row * stride[0];
    let all = Taps {
        weight: conv.weight,
        bias: conv.bias,
        wide: taps[1],
        row_step: width * channels,
        step: stride[1] * channels,
        activation: conv.activation,
    };
    // The pixel of tap 0 may lie before the map: only the address of those that exist is read.
    let start = line.map.as_ptr().wrapping_add(top * width * channels);
    let start = start.wrapping_sub((padding[0] * width + padding[1]) * channels);
    // Rows that the next line reads and this one does not.
    let below = (top + taps[0]).saturating_sub(padding[0]).min(height);
    let row_lines = stride[0].min(height - below) * width * channels / LINE;
    let (below, share) = (
        line.map.as_ptr().wrapping_add(below * width * channels),
        row_lines.div_ceil(line.width.div_ceil(TOGETHER)),
    );
    let mut column = 0;
    while column < line.width {
        let left = column * stride[1];
        let columns = taps_inside(left, padding[1], taps[1], width);
        let last = taps_inside(left + (TOGETHER - 1) * stride[1], padding[1], taps[1], width);
        let outputs = Outputs {
            source: start.wrapping_add(left * channels),
            rows: taps_inside(top, padding[0], taps[0], height),
            columns,
            out: line.out.add(column * channels),
            ahead: (below.wrapping_add(column / TOGETHER * share * LINE), share),
        };
        if column + TOGETHER <= line.width && outputs.columns == (0..taps[1]) && last == (0..taps[1]) {
            several::<S>(&all, &outputs);
            column += TOGETHER;
        } else {
            single::<S>(&all, &outputs);
            column += 1;
        }
    }
}
