//! Whisper: what is said in a recording, in some hundred languages or translated to English.
//!
//! ```text
//! WhisperModel (wrapper) ─ load ─▶ config, tokens, network ─▶ engine (thread) ─▶ Transcriber (task object)
//! recording ─▶ windows of 30 s ─ mel ─ encoder ─▶ decoder, many texts at once ─ decoding: rules, search ─▶ segments, words
//! ```
//!
//! The text is what the original implementation writes: the same windows, rules, thresholds and prompts. Word times come from
//! the cross-attention heads that follow the sound.
//!
//! Source: arXiv 2212.04356; openai/whisper, revision of 2025-06-25.

mod config;
mod decoding;
mod engine;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod mel;
mod network;
mod tokens;
mod transcriber;
mod words;
mod wrapper;

#[cfg(test)]
mod tests;

pub use wrapper::WhisperModel;
pub use wrapper::WhisperOptions;
