//! Which files a model has, which of them are present, and how to fetch the rest.

use std::path::PathBuf;

/// A model's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInventory {
    /// The files known; may be empty before the first download.
    pub files: Vec<ModelFile>,
    /// Whether all files that loading needs are present.
    pub complete: bool,
    /// The commit that the source's revision was last seen at, where the files are a repository's.
    pub resolved_revision: Option<String>,
}

impl FileInventory {
    /// An inventory of `files`, which are all that is needed when `complete`.
    pub const fn new(files: Vec<ModelFile>, complete: bool) -> Self {
        Self {
            files,
            complete,
            resolved_revision: None,
        }
    }

    /// Number of files present.
    pub fn present(&self) -> usize {
        self.files.iter().filter(|file| file.present).count()
    }

    /// Bytes of the files present.
    pub fn bytes_present(&self) -> u64 {
        self.files
            .iter()
            .filter(|file| file.present)
            .filter_map(|file| file.bytes)
            .sum()
    }

    /// Bytes of all files, if all sizes are known.
    pub fn bytes_total(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelFile {
    /// Its path inside the repository or folder.
    pub path: PathBuf,
    /// Its size, where known.
    pub bytes: Option<u64>,
    /// Whether it is on the disk.
    pub present: bool,
}

impl ModelFile {
    /// A file that is present with `bytes` bytes.
    pub fn present(path: impl Into<PathBuf>, bytes: u64) -> Self {
        Self {
            path: path.into(),
            bytes: Some(bytes),
            present: true,
        }
    }

    /// A file that is missing.
    pub fn missing(path: impl Into<PathBuf>, bytes: Option<u64>) -> Self {
        Self {
            path: path.into(),
            bytes,
            present: false,
        }
    }
}

/// How to download.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadOptions {
    /// Branch, tag or commit instead of the source's own.
    pub revision: Option<String>,
    /// Checks the content of files that are there already, and fetches those that differ.
    pub force: bool,
}

impl DownloadOptions {
    /// Takes the branch, tag or commit `revision` instead of the source's own.
    #[must_use]
    pub fn with_revision(self, revision: impl Into<String>) -> Self {
        Self {
            revision: Some(revision.into()),
            ..self
        }
    }

    /// Checks the content of files that are there and fetches what differs.
    #[must_use]
    pub fn with_force(self, force: bool) -> Self {
        Self { force, ..self }
    }
}
