//! The transformer decoder: tokens and an encoder's states to the logits of the next token.
//!
//! ```text
//! ids ─ embedding + positions, norm ─▶ [t, h] ─ layers: own cache, cache of the states ─▶ norm ─ head ─▶ logits [v]
//! ```
//!
//! Keys and values of the states are computed once a window, those of tokens once a token. A step takes rows of any
//! number of hypotheses; each sees its own tokens and the states of its window only.

mod layer;
mod session;
#[cfg(test)]
mod tests;

use candle_core::DType;
use candle_core::Tensor;

use self::layer::Layer;
pub(super) use self::session::Session;
use self::session::StepPlan;
use super::config::DecoderConfig;
use super::encoder::States;
use super::loader::Loader;
use crate::error::Error;
use crate::error::Result;
use crate::nn::CacheShape;
use crate::nn::Embedding;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::PagedCache;
use crate::nn::Placement;
use crate::nn::device_fault;
use crate::nn::reuse;

/// The decoder of a model.
#[derive(Debug)]
pub(super) struct Decoder {
    tokens: Embedding,
    /// `[n, h]`
    positions: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    final_norm: Option<LayerNorm>,
    head: Linear,
    /// Sizes of a cache without blocks.
    cache: CacheShape,
    placement: Placement,
}

/// Tokens that a hypothesis goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepRow {
    /// Its place in the session.
    pub(super) slot: usize,
    /// One or more tokens; the first step takes the prompt.
    pub(super) tokens: Vec<u32>,
}

/// How much room the hypotheses of a window need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Hypotheses at once.
    pub(super) hypotheses: usize,
    /// Most tokens of each, prompt included.
    pub(super) tokens: usize,
}

impl Decoder {
    /// The tensors below `transf_decoder.` and `log_softmax.`; `block_size` is the device's.
    pub(super) fn load(config: &DecoderConfig, root: &Loader<'_>, block_size: usize) -> Result<Self> {
        let form = [config.vocabulary, config.width];
        let embedding = root.at("transf_decoder._embedding");
        let decoder = root.at("transf_decoder._decoder");
        let table = embedding.matrix("token_embedding.weight", &form)?;
        let tied = root.is_same(
            "transf_decoder._embedding.token_embedding.weight",
            "log_softmax.mlp.layer0.weight",
        )?;
        let output = root.at("log_softmax.mlp.layer0");
        let head = if tied {
            table.clone()
        } else {
            output.matrix("weight", &form)?
        };
        let bias = output.plain("bias", &[config.vocabulary])?;
        let layer = |index: usize| Layer::load(config, &decoder.at("layers").at(index));
        let placement = root.placement();
        Ok(Self {
            tokens: Embedding::new(table, placement.dtype),
            positions: embedding.plain("position_embedding.pos_enc", &[config.max_positions, config.width])?,
            norm: embedding.at("layer_norm").layer_norm(config.width)?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            final_norm: config
                .final_norm
                .then(|| decoder.at("final_layer_norm").layer_norm(config.width))
                .transpose()?,
            head: Linear::new(&head, Some(bias)).map_err(device_fault)?,
            cache: CacheShape {
                layers: config.layers,
                blocks: 0,
                block_size,
                kv_heads: config.heads,
                head_dim: config.width / config.heads,
            },
            placement: placement.clone(),
        })
    }

    /// Begins to decode windows: keys and values of their states, and room for their hypotheses.
    ///
    /// * `states`: as wide as the decoder
    /// * `rooms`: one for each window
    pub(super) fn begin(&self, states: &States, rooms: &[Room]) -> Result<Session> {
        if states.windows.lengths().len() != rooms.len() {
            return Err(Error::internal("each window to decode needs room for its hypotheses"));
        }
        let lengths = states.windows.lengths().to_vec();
        let mut session = Session::new(lengths, rooms, &self.cache, |shape| self.new_cache(shape))?;
        for (index, layer) in self.layers.iter().enumerate() {
            let written = layer.keys_and_values_of(&states.rows).and_then(|[keys, values]| {
                session.write_states(index, &keys, &values)?;
                [keys, values].into_iter().for_each(reuse);
                Ok(())
            });
            written.map_err(device_fault)?;
        }
        Ok(session)
    }

    /// One step: the logits after the last token of each row, `[rows, v]`, in f32 and in the order of the rows.
    ///
    /// # Errors
    /// [`Error::Internal`] for a row that has no room.
    pub(super) fn step(&self, session: &mut Session, rows: &[StepRow]) -> Result<Vec<f32>> {
        let plan = session.plan(rows)?;
        let logits = self.embed(&plan).and_then(|x| {
            let x = self.run(session, x, &plan)?;
            let last = Tensor::new(plan.last_rows.as_slice(), x.device())?;
            self.logits(&x.index_select(&last, 0)?)?.flatten_all()?.to_vec1()
        });
        logits.map_err(device_fault)
    }

    /// `[t]` tokens to `[t, h]`.
    fn embed(&self, plan: &StepPlan) -> candle_core::Result<Tensor> {
        let device = &self.placement.device;
        let tokens = self.tokens.forward(&Tensor::new(plan.tokens.as_slice(), device)?)?;
        let positions = Tensor::new(plan.positions.as_slice(), device)?;
        self.norm
            .forward(&(tokens + self.positions.index_select(&positions, 0)?)?)
    }

    /// All layers and the last norm, `[t, h]` to `[t, h]`.
    fn run(&self, session: &mut Session, mut x: Tensor, plan: &StepPlan) -> candle_core::Result<Tensor> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(index, &x, session, plan)?;
        }
        match &self.final_norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }

    /// `[t, h]` to `[t, v]`, f32.
    fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.head.forward(x)?.to_dtype(DType::F32)
    }

    fn new_cache(&self, shape: CacheShape) -> Result<PagedCache> {
        let Placement { device, kernels, .. } = &self.placement;
        PagedCache::new(shape, self.placement.cache_dtype(), device, kernels.as_ref()).map_err(device_fault)
    }
}
