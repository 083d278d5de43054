//! Canary: NVIDIA's models for recognition and translation, from `.nemo` files as published.
//!
//! ```text
//! .nemo ─▶ config, tokenizer, checkpoint
//! samples ─ features ─▶ [t, m] ─ encoder ─▶ [t/8, h] ─ decode: decoder + search ─▶ tokens ─▶ text, times
//! ```
//!
//! **Invariant:** a window gives the same text alone and beside others.

mod aligner;
mod config;
mod decode;
mod decoder;
mod encoder;
mod engine;
mod features;
#[cfg(test)]
mod figures;
mod languages;
mod networks;
mod plan;
mod search;
mod source;
#[cfg(test)]
mod testing;
mod text;
mod transcriber;
mod transcript;
mod wrapper;

use crate::nn::loader;

pub use wrapper::CanaryAsrModel;
pub use wrapper::CanaryOptions;
