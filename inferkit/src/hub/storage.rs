//! What the disk says when it does not do what is asked.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;
use crate::error::UnavailableFault;

/// Why `what` could not be written at `path`.
pub(crate) fn failure(what: &str, path: &Path, error: std::io::Error) -> Error {
    let place = path.display();
    let (code, message) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            UnavailableFault::DiskFull,
            format!("no room for {what} at {place}; free some space and try again"),
        ),
        _ => (
            UnavailableFault::StorageUnwritable,
            format!(
                "{what} cannot be written at {place} ({error}); let this process write there or choose another folder"
            ),
        ),
    };
    Error::unavailable(code, message).with_source(error)
}

/// Makes the names in `folder` last through a loss of power, where the system can.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = std::fs::File::open(folder) {
        // Some file systems refuse; the files themselves are safe either way.
        let _ = folder.sync_all();
    }
}
