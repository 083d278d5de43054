//! GGUF: metadata, a directory of tensors, and their bytes, in one file or split over several.
//!
//! ```text
//! "GGUF" │ version │ tensor count │ key count │ keys and values │ directory │ padding │ data
//! ```
//!
//! The format is that of ggml's `docs/gguf.md`, versions 2 and 3, little endian. Files are mapped; tensors are handed
//! out as they lie there, quantized blocks included. A type that this library does not know is an error only for
//! who asks for that tensor.
//!
//! **Invariant:** shapes are turned around when they are read: here as everywhere in the library, the first
//! dimension is the outermost.

mod cursor;
mod directory;
mod error;
mod file;
mod metadata;
mod split;
mod tensor_type;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;

#[cfg(any(fuzzing, test))]
pub(crate) use directory::Directory;
pub(crate) use directory::TensorView;
#[cfg(any(fuzzing, test))]
pub(crate) use error::GgufError;
pub(crate) use file::Gguf;
pub(crate) use metadata::Metadata;
pub(crate) use tensor_type::GgmlType;
#[cfg(test)]
pub(crate) use testing::GgufWriter;
#[cfg(any(fuzzing, test))]
pub(crate) use value::Array;
#[cfg(any(fuzzing, test))]
pub(crate) use value::Value;
