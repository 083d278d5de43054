//! A decoder in memory: one step over flattened sequences.

use candle_core::DType;
use candle_core::Tensor;

use super::layer::Layer;
use super::layer::Shared;
use crate::chat::runner::Runner;
use crate::chat::runner::RunnerCapabilities;
use crate::chat::runner::StepBatch;
use crate::error::Error;
use crate::error::Result;
use crate::nn::AttentionPlan;
use crate::nn::Embedding;
use crate::nn::Linear;
use crate::nn::PagedCache;
use crate::nn::Placement;
use crate::nn::RmsNorm;
use crate::nn::RotaryTable;
use crate::nn::SequencePlan;
use crate::nn::device_fault;
use crate::wrapper::MemoryUse;

/// A decoder in memory with its key/value blocks.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(super) embedding: Embedding,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: RmsNorm,
    pub(super) head: Linear,
    pub(super) rotary: RotaryTable,
    pub(super) cache: PagedCache,
    pub(super) placement: Placement,
    pub(super) max_model_len: usize,
    pub(super) vocabulary: usize,
    pub(super) memory: MemoryUse,
    pub(super) weight_type: String,
}

impl Decoder {
    /// The memory it takes.
    pub(crate) const fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// The type of its weights, such as `f32` or `q4_1`.
    pub(crate) fn weight_type(&self) -> &str {
        &self.weight_type
    }

    fn forward(&mut self, batch: &StepBatch, plan: &AttentionPlan) -> candle_core::Result<Vec<f32>> {
        let device = &self.placement.device;
        let rotation = self.rotary.rotation(&batch.positions, self.placement.dtype, device)?;
        let mut shared = Shared {
            rotation: &rotation,
            cache: &mut self.cache,
            plan,
        };
        let mut x = self.embedding.forward(&Tensor::new(batch.tokens.as_slice(), device)?)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, index, &mut shared)?;
        }
        if batch.logit_rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows = x.index_select(&Tensor::new(batch.logit_rows.as_slice(), device)?, 0)?;
        let logits = self.head.forward(&self.norm.forward(&rows)?)?;
        logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}

impl Runner for Decoder {
    fn capabilities(&self) -> RunnerCapabilities {
        RunnerCapabilities {
            block_size: self.cache.shape().block_size,
            blocks: self.cache.shape().blocks,
            max_model_len: self.max_model_len,
            vocabulary: self.vocabulary,
        }
    }

    fn step(&mut self, batch: &StepBatch, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        if batch.tokens.is_empty() {
            return Ok(());
        }
        let plan = plan(batch, &self.capabilities())?;
        *logits = self.forward(batch, &plan).map_err(device_fault)?;
        Ok(())
    }
}

/// Turns a batch into what attention needs, or says which promise it breaks.
///
/// A step reads and writes memory by the batch's numbers, so that each is checked once a step: all of them
/// together are a few numbers a token.
fn plan(batch: &StepBatch, limits: &RunnerCapabilities) -> Result<AttentionPlan> {
    let tokens = batch.tokens.len();
    if batch.positions.len() != tokens || batch.slot_mapping.len() != tokens {
        return Err(broken("tokens, positions and slots differ in number"));
    }
    if batch.tokens.iter().any(|token| *token as usize >= limits.vocabulary) {
        return Err(broken("a token is not in the vocabulary"));
    }
    let slots = limits.block_size..limits.blocks * limits.block_size;
    if batch.slot_mapping.iter().any(|slot| !slots.contains(&(*slot as usize))) {
        return Err(broken("a slot lies outside the cache or in block 0"));
    }
    if batch.logit_rows.iter().any(|row| *row as usize >= tokens) {
        return Err(broken("a row of logits is not in the batch"));
    }
    let mut next_row = 0;
    let mut sequences = Vec::with_capacity(batch.sequences.len());
    for sequence in &batch.sequences {
        let rows = sequence.tokens.clone();
        if rows.start != next_row || rows.end < rows.start || rows.end > tokens {
            return Err(broken("the sequences do not follow one another"));
        }
        next_row = rows.end;
        let blocks = batch.block_tables.get(sequence.block_table.clone()).unwrap_or_default();
        let needed = sequence.context_len.div_ceil(limits.block_size);
        if sequence.context_len < rows.len() || sequence.context_len > limits.max_model_len || blocks.len() < needed {
            return Err(broken(
                "a context is shorter than its tokens, too long, or longer than its blocks",
            ));
        }
        if blocks[..needed]
            .iter()
            .any(|block| *block as usize >= limits.blocks || *block == 0)
        {
            return Err(broken("a block table holds a block that is not there"));
        }
        let first = sequence.context_len - rows.len();
        if batch.positions[rows.clone()]
            .iter()
            .zip(first..)
            .any(|(found, expected)| *found as usize != expected)
        {
            return Err(broken("positions are not the last ones of their context"));
        }
        sequences.push(SequencePlan {
            rows,
            context: sequence.context_len,
            blocks: blocks[..needed].to_vec(),
        });
    }
    if next_row != tokens {
        return Err(broken("a token belongs to no sequence"));
    }
    Ok(AttentionPlan::new(sequences, &batch.slot_mapping))
}

fn broken(promise: &str) -> Error {
    Error::internal(format!("a step breaks a promise: {promise}; please report it"))
}
