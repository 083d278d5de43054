//! One layer: attention, then a feed-forward block, each on a normalised stream and added to it.

use candle_core::Result;
use candle_core::Tensor;

use crate::nn::AttentionPlan;
use crate::nn::Linear;
use crate::nn::Mixture;
use crate::nn::Mlp;
use crate::nn::PagedCache;
use crate::nn::RmsNorm;
use crate::nn::Rotation;

/// One layer's weights.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    pub(super) attention: Attention,
    pub(super) feed_forward_norm: RmsNorm,
    pub(super) feed_forward: FeedForward,
}

/// The attention of a layer.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    /// Over each head of queries and of keys, before the rotation.
    pub(super) head_norms: Option<(RmsNorm, RmsNorm)>,
    pub(super) head_dim: usize,
    pub(super) window: Option<usize>,
}

/// The feed-forward block of a layer.
#[derive(Debug)]
pub(super) enum FeedForward {
    Dense(Mlp),
    Sparse(Mixture),
}

/// What all layers share in a step.
pub(super) struct Shared<'a> {
    pub(super) rotation: &'a Rotation,
    pub(super) cache: &'a mut PagedCache,
    pub(super) plan: &'a AttentionPlan,
}

impl Layer {
    /// The stream `x`, `[t, hidden]`, behind layer number `index`.
    pub(super) fn forward(&self, x: &Tensor, index: usize, shared: &mut Shared<'_>) -> Result<Tensor> {
        let mixed = self.attention.mix(&self.attention_norm, x, index, shared)?;
        let x = self.attention.output.forward_onto(&mixed, x)?;
        match &self.feed_forward {
            FeedForward::Dense(mlp) => mlp.forward_onto(&self.feed_forward_norm, &x),
            FeedForward::Sparse(mixture) => {
                let normalised = self.feed_forward_norm.forward(&x)?;
                x + mixture.forward(&normalised)?
            }
        }
    }
}

impl Attention {
    /// What each row takes from the rows it sees, before the output matrix; `norm` comes first.
    fn mix(&self, norm: &RmsNorm, x: &Tensor, index: usize, shared: &mut Shared<'_>) -> Result<Tensor> {
        let layers = [&self.query, &self.key, &self.value];
        let [queries, keys, values] = Linear::forward_all_normalised(layers, norm, x)?;
        let (mut queries, mut keys) = (self.heads(&queries)?, self.heads(&keys)?);
        let values = self.heads(&values)?;
        if let Some((of_queries, of_keys)) = &self.head_norms {
            queries = of_queries.forward(&queries)?;
            keys = of_keys.forward(&keys)?;
        }
        let (queries, keys) = (shared.rotation.apply(&queries)?, shared.rotation.apply(&keys)?);
        shared.cache.write(index, &keys, &values, shared.plan)?;
        shared.cache.attend(index, &queries, shared.plan, self.window)
    }

    /// `[t, heads · d]` to `[t, heads, d]`.
    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        x.reshape((rows, width / self.head_dim, self.head_dim))
    }
}
