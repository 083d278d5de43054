//! What can be wrong with a `.nemo` archive.

use crate::error::Error;

/// Why an archive is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NemoError {
    /// Neither tar nor gzip.
    #[error("the file is neither a tar archive nor a gzipped one")]
    OtherFormat,

    /// A header that is none.
    #[error("the header at byte {at} is damaged")]
    Header { at: usize },

    /// The file ends within a member.
    #[error("member {name} ends beyond the end of the file at {length}; it is cut short or damaged")]
    CutShort { name: String, length: usize },

    /// More members than any honest archive has.
    #[error("more than {most} members; no honest archive has as many")]
    TooMany { most: usize },

    /// A header that describes the next one is too long for that.
    #[error("a description of {length} bytes at byte {at}, of which there can be {longest}")]
    LongDescription { at: usize, length: usize, longest: usize },

    /// A name that leads out of the archive, or is none.
    #[error("member {name}: a name that leads out of the archive or is none")]
    Name { name: String },

    /// Link, device, pipe or sparse file.
    #[error("member {name} is a {kind}; only files and folders are read")]
    Kind { name: String, kind: &'static str },

    /// A name stands twice.
    #[error("member {name} stands twice")]
    Duplicate { name: String },

    /// There is no such member.
    #[error("member {name} is missing")]
    Missing { name: String },

    /// Compressed bytes that are damaged.
    #[error("the gzip stream is cut short or damaged")]
    Gzip,

    /// A file made to fill disks.
    #[error("it unfolds to more than {most} bytes; no honest archive does")]
    Bomb { most: u64 },
}

impl NemoError {
    /// The library's error for this fault in `file`, with what to do.
    pub(super) fn in_file(self, file: &str) -> Error {
        match self {
            Self::OtherFormat => Error::bad_model(format!("{file}: {self}; check which file the model names")),
            Self::Missing { .. } => Error::bad_model(format!(
                "{file}: {self}; the archive is of another kind of model or incomplete"
            )),
            Self::Name { .. } | Self::Kind { .. } | Self::Bomb { .. } => {
                Error::bad_model(format!("{file}: {self}; take the archive from its publisher"))
            }
            _ => Error::bad_model(format!("{file}: {self}; download the file again")),
        }
    }
}
