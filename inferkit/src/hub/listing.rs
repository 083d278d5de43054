//! What a repository holds at one commit, or a folder of this machine: paths and sizes.

use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::hub::FileInventory;
use crate::hub::FileSelection;
use crate::hub::ModelFile;
use crate::hub::repository;

/// Most files that a repository or folder may hold.
pub(crate) const MAX_FILES: usize = 20_000;

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 8;

/// The files of one commit or folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) files: Vec<ListedFile>,
}

/// One file of a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedFile {
    /// Inside the repository, parts separated by `/`; checked by [`repository::checked_file`].
    pub(crate) path: String,
    pub(crate) bytes: Option<u64>,
}

impl Listing {
    /// A listing of the hub or of a remembered file, once all its names are found sound.
    ///
    /// # Errors
    /// [`Error::Hub`] for a name that would leave its folder.
    pub(crate) fn checked(files: Vec<ListedFile>) -> Result<Self> {
        for file in &files {
            repository::checked_file(&file.path)?;
        }
        Ok(Self { files })
    }

    /// The files in `folder` and the folders below it. Links to files count as files, links to folders do not.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the folder cannot be read or holds too much.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(folder, "", 0, &mut files).map_err(|error| {
            let message = format!(
                "{} cannot be read ({error}); correct the folder or its rights",
                folder.display()
            );
            Error::unavailable(UnavailableFault::StorageUnwritable, message).with_source(error)
        })?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { files })
    }

    /// The files that `selection` takes.
    ///
    /// # Errors
    /// As [`FileSelection::select`].
    pub(crate) fn select(&self, selection: &FileSelection) -> Result<Vec<&ListedFile>> {
        let paths: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        let taken = selection.select(&paths)?;
        let mut taken = taken.into_iter().peekable();
        // Both are in the order of the listing.
        Ok(self
            .files
            .iter()
            .filter(|file| taken.next_if(|path| *path == file.path).is_some())
            .collect())
    }

    /// Which of the selected files lie in `folder` with the size they should have.
    ///
    /// A selection that this listing cannot satisfy gives an incomplete inventory without files.
    pub(crate) fn inventory(&self, selection: &FileSelection, folder: &Path) -> FileInventory {
        let Ok(taken) = self.select(selection) else {
            return FileInventory::default();
        };
        let files: Vec<ModelFile> = taken.iter().map(|file| file.on_disk(folder)).collect();
        let complete = files.iter().all(|file| file.present);
        FileInventory::new(files, complete)
    }

    /// Whether each file that is one of several parts, by a name such as `model-00002-of-00003.gguf`, has all
    /// its siblings. Tells a folder that holds a model from one that holds half of it.
    pub(crate) fn parts_are_whole(&self) -> bool {
        let whole = |file: &ListedFile| {
            let Some((stem, total, extension)) = part_of(&file.path) else {
                return true;
            };
            let siblings = self
                .files
                .iter()
                .filter(|other| part_of(&other.path) == Some((stem, total, extension)));
            siblings.count() == total
        };
        self.files.iter().all(whole)
    }
}

impl ListedFile {
    /// This file as it stands in `folder`.
    pub(crate) fn on_disk(&self, folder: &Path) -> ModelFile {
        // Follows links: one that leads nowhere is a missing file.
        match std::fs::metadata(folder.join(&self.path)) {
            Ok(found) if found.is_file() && self.bytes.is_none_or(|bytes| bytes == found.len()) => {
                ModelFile::present(&self.path, found.len())
            }
            _ => ModelFile::missing(&self.path, self.bytes),
        }
    }
}

fn collect(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<ListedFile>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // A name that is no text cannot be asked for.
        let Some(name) = name.to_str() else { continue };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                collect(&entry.path(), &format!("{path}/"), depth + 1, files)?;
            }
        } else {
            let bytes = std::fs::metadata(entry.path())
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|found| found.len());
            files.push(ListedFile { path, bytes });
        }
        if files.len() > MAX_FILES {
            return Err(std::io::Error::other(format!("it holds more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

/// Stem, number of parts and extension of a path such as `a/model-00002-of-00003.safetensors`.
fn part_of(path: &str) -> Option<(&str, usize, &str)> {
    let (head, extension) = path.rsplit_once('.')?;
    let (head, total) = head.rsplit_once("-of-")?;
    let (stem, index) = head.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let total = is_number(total).then(|| total.parse().ok())??;
    is_number(index).then_some((stem, total, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, u64)]) -> Listing {
        let files = files.iter().map(|(path, bytes)| ListedFile {
            path: (*path).to_owned(),
            bytes: Some(*bytes),
        });
        Listing::checked(files.collect()).unwrap()
    }

    #[test]
    fn a_file_counts_only_at_its_full_size() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::fs::write(folder.path().join("model.safetensors"), "half").unwrap();
        let listing = listing(&[("config.json", 2), ("model.safetensors", 8), ("other.bin", 1)]);

        let inventory = listing.inventory(&FileSelection::safetensors(), folder.path());
        assert!(!inventory.complete);
        assert_eq!(
            (inventory.present(), inventory.bytes_present(), inventory.bytes_total()),
            (1, 2, Some(10))
        );

        std::fs::write(folder.path().join("model.safetensors"), "complete").unwrap();
        assert!(listing.inventory(&FileSelection::safetensors(), folder.path()).complete);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_a_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("../../blobs/gone", folder.path().join("a.gguf")).unwrap();
        let found = Listing::of_folder(folder.path()).unwrap();
        assert_eq!(
            found.files,
            [ListedFile {
                path: "a.gguf".to_owned(),
                bytes: None
            }]
        );
        assert!(!found.inventory(&FileSelection::gguf("a.gguf"), folder.path()).complete);
    }

    #[test]
    fn a_folder_is_listed_with_its_folders_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/b"), "12").unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        assert_eq!(
            Listing::of_folder(folder.path()).unwrap(),
            listing(&[("a", 1), ("sub/b", 2)])
        );
        assert_eq!(
            Listing::of_folder(&folder.path().join("gone")).unwrap_err().code(),
            "storage_unwritable"
        );
    }

    #[test]
    fn a_model_in_parts_is_whole_only_with_all_of_them() {
        let half = listing(&[("config.json", 1), ("model-00001-of-00002.safetensors", 1)]);
        assert!(!half.parts_are_whole());
        let whole = listing(&[
            ("model-00001-of-00002.safetensors", 1),
            ("model-00002-of-00002.safetensors", 1),
        ]);
        assert!(whole.parts_are_whole());
        assert!(listing(&[("end-of-line.txt", 1), ("a.b", 1)]).parts_are_whole());
    }

    #[test]
    fn a_name_that_climbs_is_refused() {
        let files = vec![ListedFile {
            path: "../evil".to_owned(),
            bytes: None,
        }];
        assert_eq!(Listing::checked(files).unwrap_err().code(), "hub_unavailable");
    }
}
