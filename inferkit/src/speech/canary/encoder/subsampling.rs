//! Features to an eighth of their frames, by depthwise-separable convolutions over time and frequency.
//!
//! The original multiplies by a mask before every step, so that whatever stands beyond a window's end is zero; here a
//! window ends where its frames end, and convolutions see zeros there by themselves.
//!
//! Source: NeMo, `ConvSubsampling` with `dw_striding`, masked as in release 2.

use std::ops::Range;

use candle_core::DType;
use candle_core::Device;
use candle_core::Tensor;

use super::super::config::EncoderConfig;
use super::super::loader::Loader;
use crate::audio::Features;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::DepthwiseReduction;
use crate::nn::Linear;
use crate::nn::Sequences;
use crate::nn::Spread;
use crate::nn::Weight;
use crate::nn::consume;
use crate::nn::device_fault;
use crate::nn::reuse;

/// The first halving, those that follow, and the projection of what is left of frequency.
#[derive(Debug)]
pub(super) struct Subsampling {
    first: Spread,
    halvings: Vec<(DepthwiseReduction, Linear)>,
    output: Linear,
    bins: usize,
    /// Numbers of a frame in front of the projection.
    columns: usize,
    /// The computing type.
    dtype: DType,
}

impl Subsampling {
    /// The tensors below `encoder.pre_encode.`.
    pub(super) fn load(config: &EncoderConfig, loader: &Loader<'_>) -> Result<Self> {
        let (channels, convolutions) = (config.channels, loader.at("conv"));
        let kernels = loader.placement().layer_kernels();
        let taps = |index: usize| {
            let loader = convolutions.at(index);
            let weight = loader.plain("weight", &[channels, 1, 3, 3])?;
            Ok((weight, loader.plain("bias", &[channels])?))
        };
        let (weight, bias) = taps(0)?;
        // Modules are numbered with the rectifiers between them: 0, then 2 and 3, then 5 and 6.
        let halving = |number: usize| {
            let (weight, bias) = taps(3 * number - 1)?;
            let depthwise = DepthwiseReduction::new(&weight, &bias, Activation::Identity, kernels);
            let pointwise = convolutions.at(3 * number).linear(&[channels, channels, 1, 1], true)?;
            Ok((depthwise.map_err(device_fault)?, pointwise))
        };
        let lines = (0..config.halvings).fold(config.bins, |lines, _| lines.div_ceil(2));
        Ok(Self {
            first: Spread::new(&weight, &bias, Activation::Relu, kernels).map_err(device_fault)?,
            halvings: (1..config.halvings).map(halving).collect::<Result<_>>()?,
            output: output(&loader.at("out"), [config.width, channels, lines])?,
            bins: config.bins,
            columns: channels * lines,
            dtype: loader.placement().dtype,
        })
    }

    /// Windows of features, each `[t, m]`, to the rows of all: `[t/8, d]`.
    pub(super) fn forward(&self, windows: &[Features], device: &Device) -> Result<(Tensor, Sequences)> {
        let lengths = windows.iter().map(|window| window.frames().div_ceil(self.factor()));
        let lengths: Vec<usize> = lengths.collect();
        let pieces: Vec<Tensor> = windows
            .iter()
            .flat_map(|window| pieces(window.frames(), self.factor()).map(move |piece| (window, piece)))
            .map(|(window, piece)| self.piece(window, &piece, device))
            .collect::<candle_core::Result<_>>()
            .map_err(device_fault)?;
        let joined = match joined(pieces).map_err(device_fault)? {
            Some(joined) => Ok(joined),
            None => Tensor::zeros((0, self.columns), self.dtype, device),
        };
        let projected = joined.and_then(|rows| consume(rows, |rows| self.output.forward(rows)));
        Ok((projected.map_err(device_fault)?, Sequences::new(lengths)))
    }

    /// Frames of features that become one.
    fn factor(&self) -> usize {
        1 << (1 + self.halvings.len())
    }

    /// A piece of a window, but for the projection: `[t/8, f·c]`.
    fn piece(&self, features: &Features, piece: &Piece, device: &Device) -> candle_core::Result<Tensor> {
        let values = features
            .values()
            .get(piece.from.start * self.bins..piece.from.end * self.bins);
        let shape = (piece.from.len(), self.bins);
        let features = Tensor::from_slice(values.unwrap_or_default(), shape, device)?.to_dtype(self.dtype)?;
        let mut maps = self.first.forward(&features)?;
        for (depthwise, pointwise) in &self.halvings {
            let reduced = consume(maps, |maps| depthwise.forward(maps))?;
            let (frames, lines, channels) = reduced.dims3()?;
            maps = consume(reduced, |reduced| {
                let places = reduced.reshape((frames * lines, channels))?;
                pointwise.forward_activated(&places, Activation::Relu)
            })?
            .reshape((frames, lines, channels))?;
        }
        maps.flatten_from(1)?.narrow(0, piece.extra, piece.frames)
    }
}

/// Pieces one after the other, if there are any.
fn joined(mut pieces: Vec<Tensor>) -> candle_core::Result<Option<Tensor>> {
    if pieces.len() < 2 {
        return Ok(pieces.pop());
    }
    let joined = Tensor::cat(&pieces, 0)?;
    pieces.into_iter().for_each(reuse);
    Ok(Some(joined))
}

/// Frames of the result that are computed at a time: the maps of more do not stay in the caches, and would be the largest
/// memory of all.
const PIECE_FRAMES: usize = 48;

/// A part of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    /// The frames of features that it is computed from.
    from: Range<usize>,
    /// Frames at the beginning of the result that lack what stands before them, and belong to the piece before.
    extra: usize,
    /// Frames of the result behind those.
    frames: usize,
}

/// The pieces of a window of so many frames of features, `factor` of which become one.
///
/// A frame of the result looks at fewer than `factor` frames before its own and at none behind them, hence one frame more
/// than the piece's own is enough for the same numbers, bit by bit.
fn pieces(frames: usize, factor: usize) -> impl Iterator<Item = Piece> {
    let results = frames.div_ceil(factor);
    (0..results).step_by(PIECE_FRAMES).map(move |start| {
        let end = (start + PIECE_FRAMES).min(results);
        let extra = usize::from(start > 0);
        Piece {
            from: (start - extra) * factor..(end * factor).min(frames),
            extra,
            frames: end - start,
        }
    })
}

/// The projection, whose columns are stored by channel, then frequency, and used the other way round.
fn output(loader: &Loader<'_>, [width, channels, lines]: [usize; 3]) -> Result<Linear> {
    let placement = loader.placement();
    let stored = loader.plain("weight", &[width, channels * lines])?;
    let turned = stored
        .reshape((width, channels, lines))
        .and_then(|weight| weight.transpose(1, 2)?.contiguous()?.reshape((width, lines * channels)))
        .map_err(device_fault)?;
    let weight = Weight::of_tensor("encoder.pre_encode.out.weight", &turned, placement)?;
    let bias = loader.plain("bias", &[width])?;
    Linear::new(&weight, Some(bias)).map_err(device_fault)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::difference;
    use super::super::super::testing::load;
    use super::*;
    use crate::nn;

    #[test]
    fn pieces_follow_one_another_and_begin_a_frame_early() {
        let found: Vec<Piece> = pieces(8 * PIECE_FRAMES + 3, 8).collect();
        let first = Piece {
            from: 0..8 * PIECE_FRAMES,
            extra: 0,
            frames: PIECE_FRAMES,
        };
        let second = Piece {
            from: 8 * PIECE_FRAMES - 8..8 * PIECE_FRAMES + 3,
            extra: 1,
            frames: 1,
        };
        assert_eq!(found, [first, second]);
        assert_eq!(pieces(0, 8).count(), 0);
    }

    #[test]
    fn a_window_in_pieces_is_what_it_is_at_once_bit_by_bit() {
        let golden = load("canary-180m-flash");
        let (subsampling, device) = (
            &golden.networks.encoder.subsampling,
            golden.networks.encoder.device.clone(),
        );
        let frames = 8 * 2 * PIECE_FRAMES + 5;
        let values = (0..frames * 128).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let features = Features::new(128, values);
        let (found, windows) = subsampling.forward(std::slice::from_ref(&features), &device).unwrap();
        let whole = Piece {
            from: 0..frames,
            extra: 0,
            frames: frames.div_ceil(8),
        };
        let at_once = subsampling.piece(&features, &whole, &device).unwrap();
        let expected = subsampling.output.forward(&at_once).unwrap();
        assert_eq!(windows.lengths(), [frames.div_ceil(8)]);
        assert!(
            difference(&found, &expected) <= nn::Device::under_test().noise(),
            "not a bit differs"
        );
    }
}
