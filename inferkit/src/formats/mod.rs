//! Readers of model files, which are hostile until read.
//!
//! ```text
//! file → mmap (bytes) → safetensors | gguf | torch (directory, checked as a whole) → views: name, type, shape, bytes
//!                     → nemo → members: torch, yaml, sentencepiece
//!                     → npz → arrays of f64
//! ```
//!
//! A reader checks a file's whole directory when it opens the file, so that a view handed out later is right by
//! construction: its bytes lie inside the file, belong to no other tensor, and are exactly as many as type and
//! shape need. What those bytes mean is for the floors above.
//!
//! **Invariants:** nothing here knows a model or a tensor library. No input makes a reader panic or loop, and what
//! it allocates is in proportion to the bytes that are really there, never to a number that a file claims.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod contain;
pub(crate) mod file_range;
pub(crate) mod gguf;
pub(crate) mod mmap;
pub(crate) mod nemo;
pub(crate) mod npz;
pub(crate) mod safetensors;
pub(crate) mod sentencepiece;
mod shown;
pub(crate) mod torch;
pub(crate) mod yaml;
mod zip_directory;

pub(crate) use contain::contain;
