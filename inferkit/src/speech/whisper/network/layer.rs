//! What both stacks are made of.

use candle_core::Result;
use candle_core::Tensor;

use crate::nn::Activation;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::consume;
use crate::nn::reuse;

/// The four matrices of an attention. Keys have no bias.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) norm: LayerNorm,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) heads: usize,
}

/// A feed-forward block: up, GELU by the error function, down.
#[derive(Debug)]
pub(super) struct FeedForward {
    pub(super) norm: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl Attention {
    /// `[t, heads · d]` to `[t, heads, d]`.
    pub(super) fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        x.reshape((rows, self.heads, width / self.heads))
    }

    /// Queries, keys and values of a sequence that attends to itself, `[t, heads, d]` each.
    pub(super) fn project(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        let normed = self.norm.forward(x)?;
        let [queries, keys, values] = Linear::forward_all([&self.query, &self.key, &self.value], &normed)?;
        reuse(normed);
        Ok([self.split(&queries)?, self.split(&keys)?, self.split(&values)?])
    }
}

impl FeedForward {
    /// The stream `x`, `[t, d]`, behind the block.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = consume(self.norm.forward(x)?, |x| {
            self.up.forward_activated(x, Activation::Gelu)
        })?;
        consume(inner, |inner| self.down.forward_onto(inner, x))
    }
}
