//! `.nemo` archives: a tar of a configuration, tokenizers and checkpoints, plain or gzipped.
//!
//! ```text
//! file ─▶ plain tar ────────────────────────────▶ members: ranges of the mapped file, never copied
//!       └ gzip ─▶ unlinked temporary file, mapped ┘
//! ```
//!
//! Nothing is extracted. A member is named without the leading `./` that most archives write; an archive with a name that
//! leads out of it, a link, a device or a name that stands twice is refused as a whole.

mod archive;
mod error;
mod gzip;
mod members;
#[cfg(test)]
mod tests;

pub(crate) use archive::NemoArchive;
#[cfg(any(fuzzing, test))]
pub(crate) use members::Members;
