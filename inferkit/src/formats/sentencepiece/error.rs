//! What can be wrong with a SentencePiece model.

use crate::error::Error;

/// Why a model is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SentencePieceError {
    /// Longer than any model.
    #[error("the file has {length} bytes, of which there can be {longest}")]
    TooLong { length: usize, longest: usize },
    /// Not the protobuf that it should be.
    #[error("the file is no SentencePiece model: it cannot be read at byte {at}")]
    Wire { at: usize },
    /// A piece that is none.
    #[error("piece {id} is broken: {reason}")]
    Piece { id: usize, reason: &'static str },
    /// A piece stands twice.
    #[error("piece {piece} stands twice")]
    Duplicate { piece: String },
    /// More pieces than any model has.
    #[error("more than {most} pieces")]
    TooMany { most: usize },
    /// No piece for what the vocabulary lacks, or several.
    #[error("{count} pieces stand for unknown text, where one does")]
    Unknown { count: usize },
    /// The table of replacements is broken.
    #[error("the table of character replacements is broken")]
    Charsmap,
    /// A way of cutting text that is not read.
    #[error("models of type {kind} are not supported, unigram (1) and BPE (2) are")]
    ModelType { kind: u64 },
    /// A setting that is not read.
    #[error("a model that puts the mark of spaces behind words is not supported")]
    Suffix,
}

impl SentencePieceError {
    /// The library's error for this fault in `file`, with what to do.
    pub(super) fn in_file(self, file: &str) -> Error {
        match self {
            Self::ModelType { .. } | Self::Suffix => {
                Error::unsupported_model(format!("{file}: {self}; take a model with a supported tokenizer"))
            }
            _ => Error::bad_model(format!("{file}: {self}; download the model again")),
        }
    }
}
