//! Room on the disks that models and temporary files lie on.

use std::path::Path;
use std::path::PathBuf;

/// Files that are counted at most; beyond, the sum is not known.
const MAX_FILES: usize = 100_000;

/// What a disk is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DiskRole {
    /// The models directory.
    Models,
    /// Temporary files.
    Temp,
}

impl DiskRole {
    /// The spelling used over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Temp => "temp",
        }
    }
}

/// Room on the disk of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskSample {
    /// What the folder is for.
    pub role: DiskRole,
    /// The folder.
    pub path: PathBuf,
    /// Size of its disk.
    pub total_bytes: Option<u64>,
    /// Room left on it for this process.
    pub free_bytes: Option<u64>,
    /// Size of the files in the folder, for [`DiskRole::Models`].
    pub used_by_models_bytes: Option<u64>,
}

/// The sum of the files in `folder` and below, each counted once: links are not followed.
pub(super) fn used_bytes(folder: &Path) -> Option<u64> {
    let (mut sum, mut files, mut folders) = (0_u64, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            files += 1;
            if files > MAX_FILES {
                return None;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file() {
                sum = sum.saturating_add(metadata.len());
            }
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_through_folders_and_not_through_links() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("a"), "123").unwrap();
        std::fs::write(folder.path().join("sub/b"), "45").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("a"), folder.path().join("link")).unwrap();
        assert_eq!(used_bytes(folder.path()), Some(5));
        assert_eq!(used_bytes(&folder.path().join("gone")), None);
    }
}
