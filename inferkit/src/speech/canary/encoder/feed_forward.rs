//! A feed-forward block: out to a greater width, and back.

use candle_core::Result;
use candle_core::Tensor;

use super::super::config::EncoderConfig;
use super::super::loader::Loader;
use crate::nn::Activation;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::consume;

/// `x + ½ · linear2(silu(linear1(norm(x))))`
#[derive(Debug)]
pub(super) struct FeedForward {
    norm: LayerNorm,
    outward: Linear,
    inward: Linear,
}

impl FeedForward {
    /// The tensors of the block and of the norm before it.
    pub(super) fn load(config: &EncoderConfig, norm: &Loader<'_>, block: &Loader<'_>) -> crate::error::Result<Self> {
        let (width, inner) = (config.width, config.inner);
        Ok(Self {
            norm: norm.layer_norm(width)?,
            outward: block.at("linear1").linear(&[inner, width], config.biases)?,
            inward: block.at("linear2").linear(&[width, inner], config.biases)?,
        })
    }

    /// `[t, d]` to `[t, d]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        consume(self.inside(x)?, |inner| self.inward.forward_onto_scaled(inner, x, 0.5))
    }

    /// `[t, d]` to `[t, inner]`.
    fn inside(&self, x: &Tensor) -> Result<Tensor> {
        consume(self.norm.forward(x)?, |x| {
            self.outward.forward_activated(x, Activation::Silu)
        })
    }

    /// The block alone, without half and residual.
    #[cfg(test)]
    pub(super) fn alone(&self, x: &Tensor) -> Result<Tensor> {
        self.inward.forward(&self.inside(x)?)
    }
}
