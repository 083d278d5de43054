//! The disk: how much room it has, and what it says when it does not do what is asked.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;
#[cfg(feature = "hub")]
use crate::error::Result;
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

/// Passes if `needed` bytes fit into `room`; room that is not known is taken to be enough.
///
/// # Errors
/// [`Error::Unavailable`] with `disk_full` and both numbers.
#[cfg(feature = "hub")]
pub(crate) fn check_room(what: &str, folder: &Path, needed: u64, room: Option<Space>) -> Result<()> {
    let Some(free) = room.map(|room| room.free_bytes).filter(|free| *free < needed) else {
        return Ok(());
    };
    let place = folder.display();
    let message = format!("{what} takes {needed} bytes and {place} has room for {free}; free some space and try again");
    Err(Error::unavailable(UnavailableFault::DiskFull, message))
}

/// Size of and room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total_bytes: u64,
    pub(crate) free_bytes: u64,
}

/// The disk that `path` lies on, or will once it is made.
#[cfg(unix)]
pub(crate) fn space(path: &Path) -> Option<Space> {
    let existing = path
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or_else(|| Path::new("."));
    let found = rustix::fs::statvfs(existing).ok()?;
    Some(Space {
        total_bytes: found.f_blocks.checked_mul(found.f_frsize)?,
        free_bytes: found.f_bavail.checked_mul(found.f_frsize)?,
    })
}

/// The disk that `path` lies on; not known on this system.
#[cfg(not(unix))]
pub(crate) fn space(_: &Path) -> Option<Space> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let found = space(&folder.path().join("not/yet")).unwrap();
        assert!(found.total_bytes > 0 && found.free_bytes <= found.total_bytes);
        assert_eq!(found.total_bytes, space(folder.path()).unwrap().total_bytes);
    }

    #[cfg(feature = "hub")]
    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        let room = |free_bytes| {
            Some(Space {
                total_bytes: 100,
                free_bytes,
            })
        };
        let folder = Path::new("models");
        assert!(check_room("the model", folder, 7, room(7)).is_ok());
        assert!(check_room("the model", folder, 7, None).is_ok());
        let error = check_room("the model", folder, 7, room(6)).unwrap_err();
        assert_eq!(error.code(), "disk_full");
        assert!(
            error
                .to_string()
                .contains("takes 7 bytes and models has room for 6; free"),
            "{error}"
        );
    }

    #[test]
    fn a_full_disk_is_told_from_one_that_may_not_be_written() {
        let code = |kind: ErrorKind| failure("a file", Path::new("a"), kind.into()).code();
        assert_eq!(code(ErrorKind::StorageFull), "disk_full");
        assert_eq!(code(ErrorKind::QuotaExceeded), "disk_full");
        assert_eq!(code(ErrorKind::PermissionDenied), "storage_unwritable");
        assert_eq!(code(ErrorKind::ReadOnlyFilesystem), "storage_unwritable");
    }
}
