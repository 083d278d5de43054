//! Canary's text: tokens, prompts, times, and how the parts of a long recording are joined. No tensors here.
//!
//! ```text
//! archive ─▶ tokenizer ─▶ prompt: slots ─▶ ids                        before the decoder
//! ids ─▶ tokenizer ─▶ timestamps: `<|3|> Hello<|8|>` ─▶ words, segments   after it
//! log-probabilities, text ─▶ aligner ─▶ words, segments               where the file holds an aligner
//! samples ─▶ chunks ─▶ … ─▶ merge, characters ─▶ one text             for long recordings
//! ```
//!
//! **Invariant:** ids and sizes come from the model's own files.

mod aligner;
mod characters;
mod chunks;
mod merge;
mod prompt;
mod slots;
#[cfg(test)]
mod testing;
mod timed;
mod timestamps;
mod tokenizer;

pub(super) use aligner::Character;
pub(super) use aligner::Labels;
pub(super) use aligner::LogProbabilities;
pub(super) use characters::ChunkCharacters;
pub(super) use characters::join_characters;
pub(super) use characters::join_settled_characters;
pub(super) use chunks::FIXED_CHUNK_COLUMNS;
pub(super) use chunks::FIXED_CHUNK_COLUMNS_WITH_TIMES;
pub(super) use chunks::fixed_chunks;
pub(super) use chunks::hours;
pub(super) use chunks::overlapping_chunks;
pub(super) use merge::Merged;
pub(super) use prompt::PromptFormat;
pub(super) use slots::PromptSlots;
pub(super) use slots::PromptTask;
pub(super) use timed::Timed;
pub(super) use timed::TimedText;
pub(super) use tokenizer::CanaryTokenizer;
