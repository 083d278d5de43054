//! One layer: attention to the tokens so far, attention to the states, feed-forward.

use candle_core::Result;
use candle_core::Tensor;

use super::super::config::DecoderConfig;
use super::super::loader::Loader;
use super::session::Session;
use super::session::StepPlan;
use crate::nn::Activation;
use crate::nn::LayerNorm;
use crate::nn::Linear;

/// Source: arXiv 1706.03762, section 3.1, with norms before the blocks where the model was trained so.
#[derive(Debug)]
pub(super) struct Layer {
    norms: [LayerNorm; 3],
    tokens: Attention,
    states: Attention,
    outward: Linear,
    inward: Linear,
    activation: Activation,
    norm_first: bool,
}

/// Projections of an attention.
#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl Layer {
    /// The tensors below `transf_decoder._decoder.layers.N.`.
    pub(super) fn load(config: &DecoderConfig, loader: &Loader<'_>) -> crate::error::Result<Self> {
        let norm = |number: usize| loader.at(format_args!("layer_norm_{number}")).layer_norm(config.width);
        let feed_forward = loader.at("third_sub_layer");
        Ok(Self {
            norms: [norm(1)?, norm(2)?, norm(3)?],
            tokens: Attention::load(config, &loader.at("first_sub_layer"))?,
            states: Attention::load(config, &loader.at("second_sub_layer"))?,
            outward: feed_forward
                .at("dense_in")
                .linear(&[config.inner, config.width], true)?,
            inward: feed_forward
                .at("dense_out")
                .linear(&[config.width, config.inner], true)?,
            activation: config.activation,
            norm_first: config.norm_first,
        })
    }

    /// Keys and values of an encoder's states, `[t, heads, d]` each.
    pub(super) fn keys_and_values_of(&self, states: &Tensor) -> Result<[Tensor; 2]> {
        let Attention { key, value, heads, .. } = &self.states;
        let [keys, values] = Linear::forward_all([key, value], states)?;
        Ok([by_heads(&keys, *heads)?, by_heads(&values, *heads)?])
    }

    /// `[t, h]` to `[t, h]`; the tokens' keys and values go to the session's cache.
    pub(super) fn forward(&self, index: usize, x: &Tensor, session: &mut Session, plan: &StepPlan) -> Result<Tensor> {
        let x = self.block(0, x, |x, stream| {
            let Attention {
                query,
                key,
                value,
                heads,
                output,
            } = &self.tokens;
            let [query, key, value] = Linear::forward_all([query, key, value], x)?;
            let [query, key, value] = [&query, &key, &value].map(|x| by_heads(x, *heads));
            output.forward_onto(&session.attend_tokens(index, [&query?, &key?, &value?], plan)?, stream)
        })?;
        let x = self.block(1, &x, |x, stream| {
            let Attention {
                query, heads, output, ..
            } = &self.states;
            let query = by_heads(&query.forward(x)?, *heads)?;
            output.forward_onto(&session.attend_states(index, &query, plan)?, stream)
        })?;
        self.block(2, &x, |x, stream| {
            self.inward
                .forward_onto(&self.outward.forward_activated(x, self.activation)?, stream)
        })
    }

    /// A block with its norm and its residual; `run` gets the block's input and the stream to add to.
    fn block(&self, number: usize, x: &Tensor, run: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let norm = &self.norms[number];
        if self.norm_first {
            run(&norm.forward(x)?, x)
        } else {
            norm.forward(&run(x, x)?)
        }
    }
}

impl Attention {
    fn load(config: &DecoderConfig, loader: &Loader<'_>) -> crate::error::Result<Self> {
        let linear = |name: &str| loader.at(name).linear(&[config.width, config.width], true);
        Ok(Self {
            query: linear("query_net")?,
            key: linear("key_net")?,
            value: linear("value_net")?,
            output: linear("out_projection")?,
            heads: config.heads,
        })
    }
}

/// `[t, heads · d]` to `[t, heads, d]`.
fn by_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    x.reshape((rows, heads, width / heads))
}
