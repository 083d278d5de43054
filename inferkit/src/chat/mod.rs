//! Chat models: from a conversation to a stream of text.
//!
//! ```text
//! ChatRequest ─ text: template, tokenizer ─▶ tokens ─ engine: queue, blocks, steps ─▶ runner: logits
//!      ◀─ text: detokenizer, stop rules, thinking and tool calls ◀─ sampler ◀──────────────┘
//! ```
//!
//! **Invariant:** the engine knows a model only as a [`runner::Runner`] and a text layer; families
//! differ by a configuration, not by copies of code.

mod answer;
mod check;
mod decoder;
mod engine;
mod files;
mod model;
mod qwen;
mod runner;
mod sampler;
mod text;

pub use qwen::QwenModel;
pub use qwen::QwenOptions;
#[cfg(any(fuzzing, test))]
pub(crate) use text::fuzzing;
