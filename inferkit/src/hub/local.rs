//! Models in a folder or file of this machine, which are nobody's to download.

use std::path::Path;
use std::path::PathBuf;

use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;
use crate::hub::FileInventory;
use crate::hub::FileSelection;
use crate::hub::ModelFile;
use crate::hub::listing::Listing;

/// Which of the selected files lie at `path`; a path to a file is that file.
///
/// # Errors
/// [`Error::Unavailable`] when the folder cannot be read.
pub(super) fn inventory(path: &Path, selection: &FileSelection) -> Result<FileInventory> {
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(FileInventory::default());
    };
    if found.is_file() {
        let name = path.file_name().unwrap_or_default();
        return Ok(FileInventory::new(vec![ModelFile::present(name, found.len())], true));
    }
    let listing = Listing::of_folder(path)?;
    let inventory = listing.inventory(selection, path);
    let complete = inventory.complete && listing.parts_are_whole();
    Ok(FileInventory { complete, ..inventory })
}

/// `path` itself, if all selected files lie there.
///
/// # Errors
/// [`HubFault::FileNotFound`] if they do not, and as [`inventory`].
pub(super) fn locate(path: &Path, selection: &FileSelection) -> Result<PathBuf> {
    let incomplete = |what: &str| {
        let message = format!(
            "{} {what}, and a path is nobody's to download; put the model's files there, or name a repository of the \
             hub as its source",
            path.display()
        );
        Error::hub(HubFault::FileNotFound, message)
    };
    if !path.exists() {
        return Err(incomplete("does not exist"));
    }
    if inventory(path, selection)?.complete {
        return Ok(path.to_owned());
    }
    Err(incomplete("does not hold all files of the model"))
}
