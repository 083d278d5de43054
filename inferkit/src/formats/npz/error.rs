//! What can be wrong with an `.npz` file.

use crate::error::Error;
use crate::formats::zip_directory::ZipError;

/// Why a file or an array in it is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NpzError {
    /// Not a zip archive.
    #[error("the file is no zip archive, hence no .npz file")]
    OtherFormat,
    /// The archive is broken.
    #[error("{0}")]
    Zip(#[from] ZipError),
    /// There is no such array.
    #[error("array {name} is missing")]
    Missing { name: String },
    /// The header is not that of an array.
    #[error("array {name}: its header is broken")]
    Header { name: String },
    /// A type that is not read.
    #[error("array {name}: numbers of type {descr} are not read; <f4, <f8 and <i8 are")]
    Type { name: String, descr: String },
    /// The numbers are not as many as the shape says.
    #[error("array {name}: {found} bytes of numbers where shape {shape:?} needs {expected}")]
    Length {
        name: String,
        shape: Vec<usize>,
        expected: usize,
        found: usize,
    },
}

impl NpzError {
    /// The library's error for this fault in `file`, with what to do.
    pub(super) fn in_file(self, file: &str) -> Error {
        match self {
            Self::OtherFormat => Error::bad_model(format!("{file}: {self}; check which file the model names")),
            Self::Type { .. } => Error::unsupported_model(format!("{file}: {self}; save it again as float64")),
            Self::Missing { .. } => Error::bad_model(format!("{file}: {self}; the file belongs to another model")),
            _ => Error::bad_model(format!("{file}: {self}; download the file again")),
        }
    }
}
