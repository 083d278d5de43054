//! What can be wrong with a PyTorch checkpoint.

use super::pickle::PickleError;
use crate::error::Error;
use crate::formats::zip_directory::ZipError;

/// Why a checkpoint is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TorchError {
    /// Not a zip archive.
    #[error("unsupported checkpoint format: the file is {found}, not a zip archive of PyTorch 1.6 or later")]
    OtherFormat { found: &'static str },

    /// The archive is broken.
    #[error("{0}")]
    Zip(ZipError),

    /// An archive of something else.
    #[error("unsupported checkpoint format: the archive holds no data.pkl, hence no PyTorch checkpoint")]
    NoPickle,

    /// Two pickles, and no rule which one counts.
    #[error("the archive holds {first} and {second}, of which there should be one")]
    TwoPickles { first: String, second: String },

    /// Written by a big-endian machine.
    #[error("the checkpoint is big endian, which is not supported")]
    BigEndian,

    /// The pickle is broken or an attack.
    #[error("{0}")]
    Pickle(PickleError),

    /// The pickle is sound and holds no weights.
    #[error("the checkpoint is {found}, where a dictionary of tensors belongs")]
    NoStateDict { found: String },

    /// A tensor's description is broken.
    #[error("tensor {name}: it is not described as PyTorch does")]
    Malformed { name: String },

    /// The numbers are not there.
    #[error("tensor {name}: its storage {key} is missing in the archive")]
    NoStorage { name: String, key: String },

    /// The storage is not as long as the pickle says.
    #[error("tensor {name}: its storage {key} has {found} bytes where {expected} are announced")]
    StorageLength {
        name: String,
        key: String,
        expected: usize,
        found: usize,
    },

    /// The view leads out of its storage.
    #[error("tensor {name}: it reaches beyond its storage of {elements} numbers")]
    OutOfStorage { name: String, elements: usize },

    /// The element count is beyond what its storage can hold.
    #[error("tensor {name}: a shape of more numbers than its storage of {elements} holds")]
    Shape { name: String, elements: usize },

    /// A type that this library does not know, met when somebody asked for the tensor.
    #[error("tensor {name}: storage class {class} is not supported")]
    UnknownType { name: String, class: String },

    /// The checkpoint has no such tensor.
    #[error("tensor {name} is missing")]
    Missing { name: String },
}

impl From<ZipError> for TorchError {
    fn from(fault: ZipError) -> Self {
        Self::Zip(fault)
    }
}

impl TorchError {
    /// The library's error for this fault in `file`, with what to do.
    pub(super) fn in_file(self, file: &str) -> Error {
        match self {
            Self::OtherFormat { .. } | Self::NoPickle | Self::BigEndian => Error::unsupported_model(format!(
                "{file}: {self}; save it again with a current torch.save, or take the published file"
            )),
            Self::UnknownType { .. } => {
                Error::unsupported_model(format!("{file}: {self}; save it again as float32, float16 or bfloat16"))
            }
            Self::Missing { .. } | Self::NoStateDict { .. } => Error::bad_model(format!(
                "{file}: {self}; the file belongs to another model or is incomplete"
            )),
            Self::Pickle(PickleError {
                fault: super::pickle::Fault::Attack { .. },
                ..
            }) => Error::bad_model(format!("{file}: {self}; take the file from its publisher")),
            _ => Error::bad_model(format!("{file}: {self}; download the file again")),
        }
    }
}
