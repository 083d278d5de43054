//! The convolution block: a gate, then what stands nearby in time.

use candle_core::Result;
use candle_core::Tensor;

use super::super::config::EncoderConfig;
use super::super::loader::EPSILON;
use super::super::loader::Loader;
use crate::nn::Activation;
use crate::nn::DepthwiseConv;
use crate::nn::FoldedNorm;
use crate::nn::Glu;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::Sequences;
use crate::nn::consume;
use crate::nn::device_fault;

/// `x + pointwise2(silu(norm(depthwise(glu(pointwise1(norm(x)))))))`
#[derive(Debug)]
pub(super) struct Convolution {
    norm: LayerNorm,
    outward: Linear,
    gate: Glu,
    /// With the batch norm folded in.
    depthwise: DepthwiseConv,
    inward: Linear,
}

impl Convolution {
    /// The tensors of the block and of the norm before it.
    pub(super) fn load(config: &EncoderConfig, norm: &Loader<'_>, block: &Loader<'_>) -> crate::error::Result<Self> {
        let (width, biases) = (config.width, config.biases);
        let kernels = block.placement().layer_kernels();
        let depthwise = block.at("depthwise_conv");
        let taps = depthwise.plain("weight", &[width, 1, config.taps])?;
        let bias = depthwise.plain_if(biases, "bias", &[width])?;
        let statistics = block.at("batch_norm");
        let folded = FoldedNorm {
            weight: statistics.plain("weight", &[width])?,
            bias: statistics.plain("bias", &[width])?,
            mean: statistics.plain("running_mean", &[width])?,
            variance: statistics.plain("running_var", &[width])?,
            epsilon: f64::from(EPSILON),
        };
        let depthwise = taps
            .squeeze(1)
            .and_then(|taps| DepthwiseConv::new(&taps, bias.as_ref(), Some(&folded), Activation::Silu, kernels));
        Ok(Self {
            norm: norm.layer_norm(width)?,
            outward: block.at("pointwise_conv1").linear(&[2 * width, width, 1], biases)?,
            gate: Glu::new(kernels),
            depthwise: depthwise.map_err(device_fault)?,
            inward: block.at("pointwise_conv2").linear(&[width, width, 1], biases)?,
        })
    }

    /// `[t, d]` to `[t, d]`.
    pub(super) fn forward(&self, x: &Tensor, windows: &Sequences) -> Result<Tensor> {
        consume(self.inside(x, windows)?, |inner| self.inward.forward_onto(inner, x))
    }

    fn inside(&self, x: &Tensor, windows: &Sequences) -> Result<Tensor> {
        let outward = consume(self.norm.forward(x)?, |x| self.outward.forward(x))?;
        let gated = consume(outward, |x| self.gate.forward(x))?;
        consume(gated, |x| self.depthwise.forward(x, windows))
    }

    /// The block alone, without residual.
    #[cfg(test)]
    pub(super) fn alone(&self, x: &Tensor, windows: &Sequences) -> Result<Tensor> {
        self.inward.forward(&self.inside(x, windows)?)
    }
}
