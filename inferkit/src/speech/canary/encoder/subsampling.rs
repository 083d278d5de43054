//! Features to an eighth of their frames, by depthwise-separable convolutions over time and frequency.
//!
//! The original multiplies by a mask before every step, so that whatever stands beyond a window's end is zero; here a
//! window ends where its frames end, and convolutions see zeros there by themselves.
//!
//! Source: NeMo, `ConvSubsampling` with `dw_striding`, masked as in release 2.

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
use crate::nn::device_fault;

/// The first halving, those that follow, and the projection of what is left of frequency.
#[derive(Debug)]
pub(super) struct Subsampling {
    first: Spread,
    halvings: Vec<(DepthwiseReduction, Linear)>,
    output: Linear,
    bins: usize,
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
        })
    }

    /// Windows of features, each `[t, m]`, to the rows of all: `[t/8, d]`.
    pub(super) fn forward(&self, windows: &[Features], device: &Device) -> Result<(Tensor, Sequences)> {
        let rows: Vec<Tensor> = windows
            .iter()
            .map(|window| self.window(window, device))
            .collect::<candle_core::Result<_>>()
            .map_err(device_fault)?;
        let lengths = rows
            .iter()
            .map(|rows| rows.dims().first().copied().unwrap_or(0))
            .collect();
        let joined = match rows.as_slice() {
            [one] => Ok(one.clone()),
            [] => Tensor::zeros((0, 1), candle_core::DType::F32, device),
            several => Tensor::cat(several, 0),
        };
        let projected = joined.and_then(|rows| self.output.forward(&rows));
        Ok((projected.map_err(device_fault)?, Sequences::new(lengths)))
    }

    /// One window, but for the projection: `[t/8, f·c]`.
    fn window(&self, features: &Features, device: &Device) -> candle_core::Result<Tensor> {
        let shape = (features.frames(), self.bins);
        let mut maps = self
            .first
            .forward(&Tensor::from_slice(features.values(), shape, device)?)?;
        for (depthwise, pointwise) in &self.halvings {
            let reduced = depthwise.forward(&maps)?;
            let (frames, lines, channels) = reduced.dims3()?;
            let places = reduced.reshape((frames * lines, channels))?;
            maps = pointwise
                .forward_activated(&places, Activation::Relu)?
                .reshape((frames, lines, channels))?;
        }
        maps.flatten_from(1)
    }
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
