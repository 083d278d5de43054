//! The one decoder for Llama, Qwen2, Qwen3 and Qwen3-MoE.
//!
//! ```text
//! ModelFiles ─ source: config + stored tensors ─ load ─▶ Decoder: embedding, layers, head, cache
//! StepBatch: tokens, positions, slots, block tables ─ step ─▶ logits of the rows asked for
//! ```
//!
//! Families differ by a [`DecoderConfig`], file types by a [`DecoderSource`]; neither is asked for while
//! computing.
//!
//! **Invariant:** a token's logits depend on its own sequence alone, however it is cut into steps and whatever
//! else is in the batch, up to the rounding of matrix products.

mod config;
mod layer;
mod load;
mod loader;
mod names;
mod source;
mod step;

#[cfg(any(fuzzing, test))]
pub(crate) use config::DecoderConfig;
pub(crate) use load::CacheSize;
pub(crate) use load::DecoderOptions;
pub(crate) use source::DecoderSource;
pub(crate) use source::MemoryEstimate;
pub(crate) use step::Decoder;

#[cfg(test)]
mod tests;
