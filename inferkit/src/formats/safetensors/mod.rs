//! safetensors: a JSON directory and the tensors' bytes behind it, in one file or in shards named by an index.
//!
//! ```text
//! u64 n │ n bytes of JSON: {"name": {"dtype", "shape", "data_offsets": [start, end]}, …} │ data
//! ```
//!
//! The rules are those of the format's reference (crate `safetensors`), and stricter where it is silent: a name that
//! is listed twice is refused, and every error names the tensor. A type that this library does not know is an
//! error only for who asks for that tensor.

mod checkpoint;
mod element;
mod error;
mod header;
mod index;
mod pairs;
#[cfg(test)]
mod tests;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use element::ElementType;
#[cfg(any(fuzzing, test))]
pub(crate) use header::Header;
pub(crate) use header::TensorView;
#[cfg(any(fuzzing, test))]
pub(crate) use index::Index;
