//! Chat models: from a conversation to a stream of text.
//!
//! ```text
//! ChatRequest ─ text: template, tokenizer ─▶ tokens ─ engine: queue, blocks, steps ─▶ runner: logits
//!      ◀─ text: detokenizer, stop rules, thinking and tool calls ◀─ sampler ◀──────────────┘
//! ```
//!
//! **Invariant:** the engine knows a model only as a [`runner::Runner`] and a text layer; families
//! differ by a configuration, not by copies of code.

#![allow(dead_code, unused_imports, reason = "what uses it is the engine")]

mod runner;
mod sampler;
mod text;

#[cfg(any(fuzzing, test))]
pub(crate) use text::fuzzing;
