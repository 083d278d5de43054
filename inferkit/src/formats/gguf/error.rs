//! What can be wrong with a GGUF file.

use super::cursor::Fault;
use crate::error::Error;

/// Why a GGUF file is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GgufError {
    /// The file is of another format.
    #[error("the file begins with {found}, a GGUF file with \"GGUF\"")]
    NotGguf { found: String },

    /// A file for big-endian machines.
    #[error("the file is big endian, which is not supported")]
    BigEndian,

    /// A version that is not read.
    #[error("GGUF version {version} is not supported, versions 2 and 3 are")]
    Version { version: u32 },

    /// A part of the header cannot be read.
    #[error("{part}: {fault}")]
    Broken { part: String, fault: Fault },

    /// A key stands twice.
    #[error("key {key} stands twice")]
    DuplicateKey { key: String },

    /// A tensor stands twice, in one file or in two parts.
    #[error("tensor {name} is listed twice")]
    DuplicateTensor { name: String },

    /// The alignment of the data is no power of two.
    #[error("general.alignment is {alignment}, which is no power of two")]
    Alignment { alignment: u32 },

    /// More dimensions than the format has.
    #[error("tensor {name}: {count} dimensions, of which there can be 4")]
    Dimensions { name: String, count: u32 },

    /// The element count is beyond what a machine can count.
    #[error("tensor {name}: a shape whose size cannot be counted")]
    Shape { name: String },

    /// Rows do not consist of whole blocks.
    #[error("tensor {name}: rows of {row} elements, but {kind} packs {block} at a time")]
    PartialBlock {
        name: String,
        row: usize,
        kind: String,
        block: usize,
    },

    /// The tensor does not begin at a multiple of the alignment.
    #[error("tensor {name}: begins at byte {offset}, which is no multiple of {alignment}")]
    Misaligned { name: String, offset: u64, alignment: u32 },

    /// The tensor's bytes are not all there.
    #[error("tensor {name}: its bytes end beyond the end of the file at {length}; it is cut short or damaged")]
    OutOfFile { name: String, length: usize },

    /// Two tensors share bytes.
    #[error("tensors {first} and {second} overlap")]
    Overlap { first: String, second: String },

    /// A type that this library does not know, met when somebody asked for the tensor.
    #[error("tensor {name}: type {kind} is not supported")]
    UnknownType { name: String, kind: String },

    /// The file has no such tensor.
    #[error("tensor {name} is missing")]
    MissingTensor { name: String },

    /// A key that the model needs is not there.
    #[error("key {key} is missing")]
    MissingKey { key: String },

    /// A value is not of the kind asked for, or does not fit.
    #[error("key {key}: {found} where {wanted} belongs")]
    WrongType {
        key: String,
        wanted: &'static str,
        found: String,
    },

    /// A part of a split file is not named so that the others can be found.
    #[error("part {number} of {count} has to be named …{suffix}")]
    SplitName { number: u32, count: u32, suffix: String },

    /// A part says it is another one than its name.
    #[error("part {number} of {count} by its name says that it is part {found_number} of {found_count}")]
    SplitMismatch {
        number: u32,
        count: u32,
        found_number: u32,
        found_count: u32,
    },

    /// The parts together hold fewer or more tensors than the first announces.
    #[error("the parts hold {found} tensors, {announced} were announced")]
    SplitTensors { announced: u64, found: usize },
}

impl GgufError {
    /// The library's error for this fault in `file`, with what to do.
    pub(super) fn in_file(self, file: &str) -> Error {
        match self {
            Self::BigEndian | Self::Version { .. } => Error::unsupported_model(format!(
                "{file}: {self}; convert the model again with a current llama.cpp"
            )),
            Self::UnknownType { .. } => Error::unsupported_model(format!(
                "{file}: {self}; take a file in Q8_0, Q4_K_M or another of the common types"
            )),
            Self::NotGguf { .. } => Error::bad_model(format!("{file}: {self}; check which file the model names")),
            Self::SplitName { .. } => Error::bad_model(format!(
                "{file}: {self}; keep the names that the parts were published under"
            )),
            Self::MissingKey { .. } | Self::WrongType { .. } | Self::MissingTensor { .. } => {
                Error::bad_model(format!("{file}: {self}; convert the model again or take another file"))
            }
            _ => Error::bad_model(format!("{file}: {self}; download the file again")),
        }
    }
}
