//! Depthwise two-dimensional convolution: each channel with its own taps.

use super::maps::{FeatureMaps, Window, clear_rest};
use crate::aligned::SharedMut;
use crate::gemm::activate;
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
                // SAFETY: map `map` exists; an output row is one unit's own.
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

/// Taps from `position` on that meet a pixel which exists: `position + tap - padding` in `0..size`.
#[inline(always)]
fn taps_inside(position: usize, padding: usize, taps: usize, size: usize) -> std::ops::Range<usize> {
    let first = padding.saturating_sub(position).min(taps);
    let end = taps.min((size + padding).saturating_sub(position));
    first..end.max(first)
}

#[inline(always)]
unsafe fn convolve<S: Simd>(line: &Line<'_>) {
    let conv = line.conv;
    let channels = conv.bias.len();
    let Window { taps, stride, padding } = conv.window;
    let top = line.row * stride[0];
    let rows = taps_inside(top, padding[0], taps[0], line.size[0]);
    for column in 0..line.width {
        let left = column * stride[1];
        let columns = taps_inside(left, padding[1], taps[1], line.size[1]);
        let out = line.out.add(column * channels);
        for channel in (0..channels).step_by(S::LANES) {
            let lanes = S::LANES.min(channels - channel);
            let mut sum = S::load_head(conv.bias.as_ptr().add(channel), lanes);
            for tap_row in rows.clone() {
                let pixels = line
                    .map
                    .as_ptr()
                    .add((top + tap_row - padding[0]) * line.size[1] * channels + channel);
                let weights = conv.weight.as_ptr().add(tap_row * taps[1] * channels + channel);
                for tap in columns.clone() {
                    let value = S::load_head(pixels.add((left + tap - padding[1]) * channels), lanes);
                    sum = S::fma(S::load_head(weights.add(tap * channels), lanes), value, sum);
                }
            }
            S::store_head(out.add(channel), lanes, activate::<S>(conv.activation, sum));
        }
    }
}
