//! Files that were split into parts: `NAME-00001-of-00003.gguf` and so on (llama.cpp's `gguf-split`).

use std::path::Path;
use std::path::PathBuf;

use super::error::GgufError;
use super::metadata::Metadata;
use crate::error::Result;

/// Number of this part, from 0.
const NUMBER: &str = "split.no";
/// Number of all parts.
const COUNT: &str = "split.count";
/// Number of the tensors in all parts.
const TENSORS: &str = "split.tensors.count";

/// What a part says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// From 0.
    pub(super) number: u32,
    /// At least 1.
    pub(super) count: u32,
    /// In all parts together, if that is said.
    pub(super) tensors: Option<u64>,
}

impl Split {
    /// What `metadata` says; a file that says nothing is the only part.
    pub(super) fn of(metadata: &Metadata) -> Result<Self> {
        let count = metadata.u32(COUNT)?.unwrap_or(1).max(1);
        let number = metadata.u32(NUMBER)?.unwrap_or(0);
        Ok(Self {
            number,
            count,
            tensors: metadata.u64(TENSORS)?,
        })
    }

    /// The paths of all parts, made from that of this one as they are asked for, since their number is a claim.
    ///
    /// # Errors
    /// [`GgufError::SplitName`] when this part is not named like the part it is.
    pub(super) fn paths(self, own: &Path) -> std::result::Result<impl Iterator<Item = PathBuf>, GgufError> {
        let own_suffix = suffix(self.number, self.count);
        let name = own.file_name().and_then(|name| name.to_str());
        let Some(stem) = name.and_then(|name| name.strip_suffix(&own_suffix)) else {
            let number = self.number.saturating_add(1);
            return Err(GgufError::SplitName {
                number,
                count: self.count,
                suffix: own_suffix,
            });
        };
        let path = move |number| own.with_file_name(format!("{stem}{}", suffix(number, self.count)));
        Ok((0..self.count).map(path))
    }

    /// Checks that the part which was opened as number `number` of `count` is that part.
    pub(super) fn expect(self, number: u32, count: u32) -> std::result::Result<(), GgufError> {
        if (self.number, self.count) == (number, count) {
            return Ok(());
        }
        Err(GgufError::SplitMismatch {
            number: number.saturating_add(1),
            count,
            found_number: self.number.saturating_add(1),
            found_count: self.count,
        })
    }
}

fn suffix(number: u32, count: u32) -> String {
    format!("-{:05}-of-{count:05}.gguf", number.saturating_add(1))
}
