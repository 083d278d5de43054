//! Two-dimensional convolution as a product whose rows are windows of the map.
//!
//! With channels last, the taps of one row of a window are one run of `taps * channels` consecutive values. A product reads
//! its rows run by run from a copy of the map that has its zeros around it: nine times less to write than the matrix of all
//! windows. Only where a run is too short to pay (a few channels) are windows copied out; a single channel has a kernel of its
//! own.

use super::maps::{FeatureMaps, Window, clear_rest};
use super::single_channel;
use crate::aligned::SharedMut;
use crate::gemm::{Source, Windows, gemm_windows, pad_map};
use crate::scratch::Scratch;
use crate::{Activation, Epilogue, PackedWeight, Pool, Precision, Product, Residual, Rows, RowsMut, gemm};

/// A convolution over height and width with all channels; batch norm is folded into weight and bias.
#[derive(Debug, Clone, Copy)]
pub struct Conv2d<'a> {
    /// `[out channels, taps * in channels]`, taps row by row and channels innermost: a PyTorch weight `[out, in, h, w]` as
    /// `[out, h, w, in]`. A batch norm is folded by a factor for each row.
    pub weight: &'a PackedWeight,
    /// `[out channels]`.
    pub bias: Option<&'a [f32]>,
    /// Channels of the input.
    pub channels: usize,
    /// Taps, strides and padding.
    pub window: Window,
    /// Applied to each output, after the residual was added.
    pub activation: Activation,
}

impl Conv2d<'_> {
    /// Shape of what maps of `shape` (`[b, h, w, in channels]`) become.
    pub fn shape_out(&self, shape: [usize; 4]) -> [usize; 4] {
        self.window.shape_out(shape, self.weight.n())
    }

    /// Convolves `x` into `out` (`[b, h out, w out, out channels]`): `activation(conv(x) + bias + residual)`.
    ///
    /// * `residual`: nothing, what `out` holds, or `[b * h out * w out, out channels]`
    ///
    /// Rows of a map beyond those that count are zero in `out`.
    ///
    /// # Panics
    /// When shapes do not fit, or a stride is zero.
    pub fn apply(
        &self,
        pool: &Pool,
        precision: Precision,
        x: FeatureMaps<'_>,
        residual: Residual<'_>,
        out: &mut [f32],
    ) {
        x.check(self.channels);
        let [taps_high, taps_wide] = self.window.taps;
        assert_eq!(
            self.weight.k(),
            taps_high * taps_wide * self.channels,
            "k of the weight is taps times channels"
        );
        let shape = self.shape_out(x.shape);
        let [maps, height, width, n] = shape;
        assert_eq!(
            out.len(),
            maps * height * width * n,
            "the output has the shape {shape:?}"
        );
        if out.is_empty() {
            return;
        }
        if matches!(residual, Residual::None) && single_channel::fits(self) {
            assert!(
                self.bias.is_none_or(|bias| bias.len() == n),
                "a bias has one value for each output"
            );
            let out = SharedMut::new(out);
            single_channel::apply(pool, self, &x, shape, out);
            clear_rest(&x, &self.window, shape, out);
            return;
        }
        let epilogue = Epilogue {
            bias: self.bias,
            ..Epilogue::default()
        }
        .with_residual(residual)
        .with_last(self.activation);
        let product = Product::new(self.weight, RowsMut::new(&mut *out, n)).with_epilogue(epilogue);
        let run = taps_wide * self.channels;
        if run < SHORT || self.weight.needs_whole_rows(self.channels) {
            let mut windows = Scratch::floats(maps * height * width * self.weight.k());
            let windows = &mut windows.as_f32_mut()[..maps * height * width * self.weight.k()];
            self.copy_windows(pool, &x, shape, windows);
            gemm(pool, Rows::new(windows, self.weight.k()), precision, &mut [product]);
        } else {
            self.multiply(pool, precision, &x, product);
        }
        clear_rest(&x, &self.window, shape, SharedMut::new(out));
    }

    /// Runs the product on windows that are read where they stand.
    fn multiply(&self, pool: &Pool, precision: Precision, x: &FeatureMaps<'_>, product: Product<'_>) {
        let [maps, height, width, _] = self.shape_out(x.shape);
        let [padding_high, padding_wide] = self.window.padding;
        let padded = [x.shape[1] + 2 * padding_high, x.shape[2] + 2 * padding_wide];
        let [down, right] = self.window.stride;
        let heights: Vec<usize> = (0..maps).map(|map| x.height(map)).collect();
        let source = Source {
            values: x.values,
            shape: x.shape,
            heights: &heights,
            padding: self.window.padding,
            is_rounded: self.weight.rounds(precision),
        };
        let values = pad_map(pool, self.weight.isa(), &source);
        assert!(
            u32::try_from(maps * padded[0] * padded[1]).is_ok(),
            "{maps} maps of {padded:?} pixels are too many for one convolution"
        );
        let starts: Vec<u32> = (0..maps * height * width)
            .map(|position| {
                let (column, row) = (position % width, position / width % height);
                let map = position / (width * height);
                ((map * padded[0] + row * down) * padded[1] + column * right) as u32
            })
            .collect();
        // Rows that do not count are not computed.
        let ranges: Vec<_> = heights
            .iter()
            .enumerate()
            .map(|(map, &rows)| {
                let counted = self.window.side_out(0, rows).min(height);
                map * height * width..(map * height + counted) * width
            })
            .collect();
        let windows = Windows {
            values: &values,
            starts: &starts,
            step: self.channels,
            run: self.window.taps[1] * self.channels,
            run_distance: padded[1] * self.channels,
        };
        gemm_windows(pool, &windows, &ranges, product);
    }

    /// Writes every window as a row.
    fn copy_windows(
        &self,
        pool: &Pool,
        x: &FeatureMaps<'_>,
        [maps, height, width, _]: [usize; 4],
        windows: &mut [f32],
    ) {
        let (k, channels) = (self.weight.k(), self.channels);
        let Window { taps, stride, padding } = self.window;
        let target = SharedMut::new(windows);
        pool.run(maps * height, |line| {
            let (map, row) = (line / height, line % height);
            // SAFETY: the windows of a line of the output are its own, `width` rows of k values.
            let windows = unsafe { std::slice::from_raw_parts_mut(target.get().add(line * width * k), width * k) };
            for (column, window) in windows.chunks_exact_mut(k).enumerate() {
                for (tap, pixel) in window.chunks_exact_mut(channels).enumerate() {
                    let source_row = (row * stride[0] + tap / taps[1]).checked_sub(padding[0]);
                    let source_column = (column * stride[1] + tap % taps[1]).checked_sub(padding[1]);
                    match (source_row, source_column) {
                        (Some(row), Some(column)) if row < x.height(map) && column < x.shape[2] => {
                            let at = ((map * x.shape[1] + row) * x.shape[2] + column) * channels;
                            pixel.copy_from_slice(&x.values[at..at + channels]);
                        }
                        _ => pixel.fill(0.0),
                    }
                }
            }
        });
    }
}

/// Runs of fewer values are copied together: sums are loaded and stored once a run.
const SHORT: usize = 24;
