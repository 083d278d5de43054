//! Canary: NVIDIA's models for recognition and translation, from `.nemo` files as published.
//!
//! ```text
//! .nemo ─▶ config, tokenizer, checkpoint
//! samples ─ features ─▶ [t, m] ─ encoder ─▶ [t/8, h] ─ decode: decoder + search ─▶ tokens ─▶ text, times
//! ```
//!
//! **Invariant:** a window gives the same text alone and beside others.

mod config;
mod decode;
mod decoder;
mod encoder;
mod features;
mod loader;
mod networks;
mod search;
#[cfg(test)]
mod testing;
#[allow(dead_code, unused_imports, reason = "the wrapper is being put on top")]
mod text;
