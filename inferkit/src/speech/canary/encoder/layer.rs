//! One layer: half a feed-forward block, attention, convolution, the other half, a norm.

use candle_core::Result;
use candle_core::Tensor;

use super::super::config::EncoderConfig;
use super::super::loader::Loader;
use super::convolution::Convolution;
use super::feed_forward::FeedForward;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::RelativeAttention;
use crate::nn::Sequences;
use crate::nn::consume;
use crate::nn::device_fault;
use crate::nn::reuse;

/// Source: arXiv 2005.08100, section 2.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) before: FeedForward,
    pub(super) attention: Attention,
    pub(super) convolution: Convolution,
    pub(super) after: FeedForward,
    norm: LayerNorm,
}

/// Self-attention by relative position, with the norm before it.
#[derive(Debug)]
pub(super) struct Attention {
    norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    position: Linear,
    weighing: RelativeAttention,
    output: Linear,
}

impl Layer {
    /// The tensors below `encoder.layers.N.`.
    pub(super) fn load(config: &EncoderConfig, loader: &Loader<'_>) -> crate::error::Result<Self> {
        let half = |number: usize| {
            let norm = loader.at(format_args!("norm_feed_forward{number}"));
            FeedForward::load(config, &norm, &loader.at(format_args!("feed_forward{number}")))
        };
        Ok(Self {
            before: half(1)?,
            attention: Attention::load(config, &loader.at("norm_self_att"), &loader.at("self_attn"))?,
            convolution: Convolution::load(config, &loader.at("norm_conv"), &loader.at("conv"))?,
            after: half(2)?,
            norm: loader.at("norm_out").layer_norm(config.width)?,
        })
    }

    /// What relative positions, `[2·n − 1, d]`, are to this layer.
    pub(super) fn positions(&self, table: &Tensor) -> Result<Tensor> {
        self.attention.position.forward(table)
    }

    /// `[t, d]` to `[t, d]`.
    pub(super) fn forward(&self, x: &Tensor, positions: &Tensor, windows: &Sequences) -> Result<Tensor> {
        let x = self.before.forward(x)?;
        let x = consume(x, |x| self.attention.forward(x, positions, windows))?;
        let x = consume(x, |x| self.convolution.forward(x, windows))?;
        let x = consume(x, |x| self.after.forward(x))?;
        consume(x, |x| self.norm.forward(x))
    }
}

impl Attention {
    fn load(config: &EncoderConfig, norm: &Loader<'_>, block: &Loader<'_>) -> crate::error::Result<Self> {
        let square = [config.width, config.width];
        let biases = [config.heads, config.width / config.heads];
        let content = block.plain("pos_bias_u", &biases)?;
        let position = block.plain("pos_bias_v", &biases)?;
        let kernels = block.placement().layer_kernels();
        Ok(Self {
            norm: norm.layer_norm(config.width)?,
            query: block.at("linear_q").linear(&square, config.biases)?,
            key: block.at("linear_k").linear(&square, config.biases)?,
            value: block.at("linear_v").linear(&square, config.biases)?,
            position: block.at("linear_pos").linear(&square, false)?,
            weighing: RelativeAttention::new(&content, &position, config.sight, kernels).map_err(device_fault)?,
            output: block.at("linear_out").linear(&square, config.biases)?,
        })
    }

    fn forward(&self, x: &Tensor, positions: &Tensor, windows: &Sequences) -> Result<Tensor> {
        consume(self.inside(x, positions, windows)?, |inner| {
            self.output.forward_onto(inner, x)
        })
    }

    fn inside(&self, x: &Tensor, positions: &Tensor, windows: &Sequences) -> Result<Tensor> {
        let normed = self.norm.forward(x)?;
        let projected = Linear::forward_all([&self.query, &self.key, &self.value], &normed)?;
        reuse(normed);
        let answer = self.weighing.forward(projected.each_ref(), positions, windows)?;
        projected.into_iter().for_each(reuse);
        Ok(answer)
    }

    /// The block alone, without residual.
    #[cfg(test)]
    pub(super) fn alone(&self, x: &Tensor, positions: &Tensor, windows: &Sequences) -> Result<Tensor> {
        self.output.forward(&self.inside(x, positions, windows)?)
    }
}
