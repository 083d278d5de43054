//! Convolution of 3 x 3 taps by a quarter of the products, after Winograd.
//!
//! ```text
//! tiles of 6 x 6 pixels ─Bᵀ·B─▶ 36 matrices [tiles, c] ─36 products─▶ [tiles, n] ─Aᵀ·A─▶ tiles of 4 x 4 outputs
//! ```
//!
//! A tile of 4 x 4 outputs takes 36 products a pair of channels instead of 144. The transforms are sums with small factors,
//! channel by channel, and cost the less the more channels there are. A unit of work is a block of tiles that stays in the
//! second-level cache between its three steps.
//!
//! Sums are of another order than in [`Conv2d`](super::Conv2d): results differ by some 1e-6 of the largest value.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), F(4 x 4, 3 x 3).

mod transform;

use super::maps::{FeatureMaps, Window};
use crate::aligned::SharedMut;
use crate::gemm::panel_sums;
use crate::scratch::Scratch;
use crate::{Activation, Format, Isa, PackError, PackedWeight, Pool};
use transform::{Inputs, Outputs, transform_inputs, transform_outputs, transform_weight};

/// A convolution of 3 x 3 taps that moves by single pixels, with one zero around the map.
#[derive(Debug)]
pub struct WinogradConv2d {
    /// One for each position of a transformed tile, `[n, c]`.
    weights: Vec<PackedWeight>,
    bias: Vec<f32>,
    channels: usize,
}

/// What is done to a convolution's result: `activation(conv + bias + residual)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// As many values as the output has.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
}

/// Outputs of a tile along an axis.
const OUT: usize = 4;
/// Pixels of a tile along an axis.
const IN: usize = 6;
/// Positions of a transformed tile.
const POSITIONS: usize = IN * IN;

impl WinogradConv2d {
    /// Whether a convolution of this kind is worth it: below some channels the transforms cost more than they save.
    pub fn fits(window: &Window, channels: usize, outputs: usize) -> bool {
        *window == Window::three([1, 1]) && channels >= 16 && outputs >= 16
    }

    /// Transforms and packs `weight`, `[n, channels, 3, 3]` as PyTorch keeps it, with a `bias` of `[n]`.
    ///
    /// # Errors
    /// [`PackError`] when the shape is empty or too large.
    ///
    /// # Panics
    /// When `weight` does not hold as many values as `channels` and `bias` call for.
    pub fn pack(pool: &Pool, isa: Isa, channels: usize, weight: &[f32], bias: &[f32]) -> Result<Self, PackError> {
        let n = bias.len();
        assert_eq!(weight.len(), n * channels * 9, "nine taps for each pair of channels");
        let mut matrices = vec![Vec::new(); POSITIONS];
        for taps in weight.as_chunks::<9>().0 {
            for (matrix, value) in matrices.iter_mut().zip(transform_weight(taps)) {
                matrix.extend_from_slice(&value.to_le_bytes());
            }
        }
        let pack = |matrix: &Vec<u8>| PackedWeight::pack(pool, isa, Format::F32, [n, channels], matrix);
        Ok(Self {
            weights: matrices.iter().map(pack).collect::<Result<_, _>>()?,
            bias: bias.to_vec(),
            channels,
        })
    }

    /// Memory that the packed copy takes.
    pub fn bytes(&self) -> usize {
        self.weights.iter().map(PackedWeight::bytes).sum::<usize>() + 4 * self.bias.len()
    }

    /// Convolves `x` into `out`, `[b, h, w, n]`. All rows of the maps count.
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn apply(&self, pool: &Pool, x: FeatureMaps<'_>, finish: Finish<'_>, out: &mut [f32]) {
        x.check(self.channels);
        let ([maps, height, width, channels], n) = (x.shape, self.bias.len());
        assert_eq!(out.len(), maps * height * width * n, "the output has the maps' size");
        if let Some(residual) = finish.residual {
            assert_eq!(residual.len(), out.len(), "a residual has the shape of the output");
        }
        let Some(first) = self.weights.first() else { return };
        let (isa, panels, columns) = (first.isa(), first.panels(), first.layout().panel);
        let [high, wide] = [height, width].map(|side| side.div_ceil(OUT));
        let (tiles, block) = (maps * high * wide, block(channels, n));
        let target = SharedMut::new(out);
        pool.run(tiles.div_ceil(block), |unit| {
            let first = unit * block;
            let count = block.min(tiles - first);
            let inputs = Inputs {
                values: x.values,
                size: [height, width],
                tiles: [high, wide],
                channels,
                first,
                count,
            };
            let mut transformed = Scratch::floats(POSITIONS * count * channels);
            let transformed = &mut transformed.as_f32_mut()[..POSITIONS * count * channels];
            // SAFETY: the maps hold `maps` images of this size, and the tiles from `first` on lie in them; the target has
            // room for 36 matrices of these tiles. The ISA is that of the weights.
            unsafe { transform_inputs(isa, &inputs, transformed.as_mut_ptr()) };
            let matrix = panels * count * columns;
            let mut products = Scratch::floats(POSITIONS * matrix);
            let products = &mut products.as_f32_mut()[..POSITIONS * matrix];
            for (position, weight) in self.weights.iter().enumerate() {
                let rows = transformed[position * count * channels..].as_ptr();
                for panel in 0..panels {
                    let sums = products[position * matrix + panel * count * columns..].as_mut_ptr();
                    // SAFETY: `count` rows of as many values as the weight takes begin at `rows`, and as many rows of a
                    // panel's columns have room from `sums` on.
                    unsafe { panel_sums(weight, panel, rows, count, sums) };
                }
            }
            let outputs = Outputs {
                products,
                panel: columns,
                bias: &self.bias,
                residual: finish.residual,
                activation: finish.activation,
                out: target.get(),
            };
            // SAFETY: the products are 36 matrices of panels of these tiles; the output and the residual have the maps' size,
            // and the outputs of a tile belong to this unit alone.
            unsafe { transform_outputs(isa, &inputs, &outputs) };
        });
    }
}

/// Tiles of a block: their transforms fill about half of a second-level cache.
fn block(channels: usize, outputs: usize) -> usize {
    const BYTES: usize = 700_000;
    (BYTES / (4 * POSITIONS * (channels + outputs))).clamp(24, 96)
}

#[cfg(test)]
mod tests;
