//! The text layer of a chat model: conversation to tokens, and tokens to the pieces of an answer.
//!
//! ```text
//! ChatRequest ─ conversation ─▶ JSON values ─ template ─▶ marked text ─ guard, tokenizer ─▶ Prompt
//! token ─ vocabulary ─▶ bytes ─ characters ─▶ text ─ stop strings ─▶ thinking, tool calls ─▶ Delta
//! ```
//!
//! [`TextLayer`] holds what belongs to a model and is shared by all its requests; [`AnswerDecoder`]
//! holds the state of one answer.
//!
//! **Invariant:** control tokens in a prompt come from the model's own template, never from a text
//! that a caller sent ([`guard`] says how).

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod answer;
mod conversation;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod generation;
mod gguf;
mod guard;
mod layer;
mod template;
mod tokenizer;

pub(crate) use answer::AnswerDecoder;
pub(crate) use layer::Prompt;
pub(crate) use layer::TextLayer;
