//! What can be wrong with a safetensors file or its index.

use crate::error::Error;
use crate::formats::shown::quoted;

/// Why a safetensors file or its index is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SafetensorsError {
    /// Not even the length of the header is there.
    #[error("the file has {length} bytes, less than the 8 that every safetensors file begins with")]
    Short { length: usize },

    /// The file is of another format.
    #[error("the file begins like {found}, not like safetensors")]
    OtherFormat { found: &'static str },

    /// The header is longer than the file, or than any honest header.
    #[error("the header claims {claimed} bytes; {available} may follow")]
    HeaderLength { claimed: u64, available: usize },

    /// The header is not the JSON that the format asks for.
    #[error("the header is broken: {reason}")]
    Header { reason: String },

    /// A name stands twice in one file.
    #[error("tensor {name} is listed twice")]
    Duplicate { name: String },

    /// The element count is beyond what a machine can count, or the shape has too many dimensions.
    #[error("tensor {name}: a shape of {rank} dimensions whose size cannot be counted")]
    Shape { name: String, rank: usize },

    /// The bytes are outside of the file, or end before they begin.
    #[error(
        "tensor {name}: bytes {start} to {end}, but the file holds {length} bytes of data; it is cut short or damaged"
    )]
    OutOfFile {
        name: String,
        start: u64,
        end: u64,
        length: usize,
    },

    /// Offsets and shape disagree.
    #[error("tensor {name}: {needed} bytes by its type and shape, {found} by its offsets")]
    Size { name: String, needed: usize, found: usize },

    /// Tensors must lie back to back; this one begins early (overlap) or late (gap).
    #[error("tensor {name}: begins at byte {found} where byte {expected} follows the tensor before it")]
    Layout {
        name: String,
        expected: usize,
        found: usize,
    },

    /// Bytes that belong to no tensor.
    #[error("{count} bytes after the last tensor belong to none")]
    Trailing { count: usize },

    /// A type that this library does not know.
    #[error("tensor {name}: type {dtype} is not supported")]
    UnknownType { name: String, dtype: String },

    /// The checkpoint has no such tensor.
    #[error("tensor {name} is missing")]
    Missing { name: String },

    /// The index is not the JSON that the format asks for.
    #[error("the index is broken: {reason}")]
    Index { reason: String },

    /// A shard's name could lead out of the folder.
    #[error("tensor {name}: shard {shard} is not the name of a file in the same folder")]
    ShardName { name: String, shard: String },

    /// The index names a shard that does not hold the tensor.
    #[error("tensor {name}: the index places it in {shard}, which does not hold it")]
    NotInShard { name: String, shard: String },

    /// Two shards hold the same tensor.
    #[error("tensor {name}: in {first} and in {second}")]
    InTwoShards {
        name: String,
        first: String,
        second: String,
    },
}

impl SafetensorsError {
    /// `name` is missing.
    pub(super) fn missing(name: &str) -> Self {
        Self::Missing { name: quoted(name) }
    }

    /// The library's error for this fault in `file`, with what to do.
    pub(super) fn in_file(self, file: &str) -> Error {
        match self {
            Self::UnknownType { .. } => {
                Error::unsupported_model(format!("{file}: {self}; convert it to F32, F16 or BF16"))
            }
            Self::Missing { .. } => Error::bad_model(format!(
                "{file}: {self}; the file belongs to another model or is incomplete"
            )),
            Self::OtherFormat { .. } => Error::bad_model(format!("{file}: {self}; check which file the model names")),
            _ => Error::bad_model(format!("{file}: {self}; download the model again")),
        }
    }
}
