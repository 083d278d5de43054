//! Why bytes could not be packed.

use std::fmt;

use super::Format;

/// Why bytes could not be packed as a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// A weight without rows or without columns.
    Empty {
        /// Rows.
        n: usize,
        /// Values per row.
        k: usize,
    },
    /// The shape calls for more memory than there are addresses.
    TooLarge {
        /// Rows.
        n: usize,
        /// Values per row.
        k: usize,
    },
    /// A row does not consist of whole blocks.
    Block {
        /// The format of the weight.
        format: Format,
        /// Values per row.
        k: usize,
        /// Values per block.
        block: usize,
    },
    /// There are more or fewer bytes than the shape calls for.
    Length {
        /// The format of the weight.
        format: Format,
        /// Rows.
        n: usize,
        /// Values per row.
        k: usize,
        /// Bytes that the shape calls for.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { n, k } => {
                write!(
                    f,
                    "a weight of {n} x {k} has no values: the file is damaged, download it again"
                )
            }
            Self::TooLarge { n, k } => {
                write!(
                    f,
                    "a weight of {n} x {k} exceeds the address space: the file is damaged, download it again"
                )
            }
            Self::Block { format, k, block } => write!(
                f,
                "a {format} weight has {k} values a row, which is not a multiple of {block}: quantize this tensor in \
                 another format"
            ),
            Self::Length {
                format,
                n,
                k,
                expected,
                found,
            } => write!(
                f,
                "a {format} weight of {n} x {k} takes {expected} bytes, the file holds {found}: it is damaged or not \
                 complete, download it again"
            ),
        }
    }
}

impl std::error::Error for PackError {}
