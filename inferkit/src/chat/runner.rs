//! The border between scheduling and computing: one step over flattened sequences.

use std::ops::Range;

use crate::error::Result;

/// Computes the steps of one model. Owned by the engine's thread; keeps weights and key/value blocks.
pub(crate) trait Runner: Send {
    /// What the runner can take; constant over its life.
    fn capabilities(&self) -> RunnerCapabilities;

    /// Computes one step and writes the logits of `batch.logit_rows`, `[rows, vocabulary]`, into `logits`.
    ///
    /// Keys and values of the batch's tokens are written to their slots first and read back from
    /// there, so that a sequence gives the same result however it is cut into steps.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the device fails; the step's slots then hold nothing of worth.
    fn step(&mut self, batch: &StepBatch, logits: &mut Vec<f32>) -> Result<()>;
}

/// What a runner can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunnerCapabilities {
    /// Tokens a key/value block holds.
    pub(crate) block_size: usize,
    /// Number of blocks; block 0 is never read and pads block tables.
    pub(crate) blocks: usize,
    /// Longest sequence in tokens.
    pub(crate) max_model_len: usize,
    /// Length of a row of logits.
    pub(crate) vocabulary: usize,
}

/// One step's work, flattened over its sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StepBatch {
    /// Token ids of all sequences, one after the other, `[t]`.
    pub(crate) tokens: Vec<u32>,
    /// Position of each token in its sequence, `[t]`.
    pub(crate) positions: Vec<u32>,
    /// Where each token's key and value go: block · block size + place in the block, `[t]`.
    pub(crate) slot_mapping: Vec<u32>,
    /// The sequences, in the order of their tokens.
    pub(crate) sequences: Vec<SequenceSlice>,
    /// Block tables of all sequences, one after the other.
    pub(crate) block_tables: Vec<u32>,
    /// Rows of `tokens` whose logits are wanted, ascending.
    pub(crate) logit_rows: Vec<u32>,
}

/// One sequence of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceSlice {
    /// Its tokens in [`StepBatch::tokens`].
    pub(crate) tokens: Range<usize>,
    /// Tokens it sees in all: those in the cache and those of this step.
    pub(crate) context_len: usize,
    /// Its block table in [`StepBatch::block_tables`]; covers `context_len` tokens.
    pub(crate) block_table: Range<usize>,
}
