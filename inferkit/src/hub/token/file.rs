//! The token's file: readable by its owner only, replaced whole.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use secrecy::ExposeSecret;
use secrecy::SecretString;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;

const NAME: &str = ".hf_token";

/// Bytes read of the file; a token is shorter, and a longer file holds none.
const MAX_BYTES: u64 = 1024;

/// The token in `folder` and since when it is there.
///
/// # Errors
/// [`Error::Unavailable`] when the file is there and cannot be read or trusted.
pub(super) fn read(folder: &Path) -> Result<Option<(SecretString, SystemTime)>> {
    let file = match File::open(path(folder)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(folder, "cannot be read").with_source(error)),
    };
    // The opened file is looked at, not its name, which may lead to another one a moment later.
    let metadata = file
        .metadata()
        .map_err(|error| unusable(folder, "cannot be read").with_source(error))?;
    if let Some(reason) = distrust(&metadata) {
        return Err(unusable(folder, reason));
    }
    // Room for all of it from the start: growing would leave copies of the token in freed memory.
    let mut text = String::with_capacity(usize::try_from(MAX_BYTES).unwrap_or_default() + 1);
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| unusable(folder, "cannot be read").with_source(error))?;
    let token = SecretString::from(text.trim_end_matches(['\r', '\n']));
    Ok(Some((token, metadata.modified().unwrap_or_else(|_| SystemTime::now()))))
}

/// Puts `token` in the file, whole or not at all.
///
/// # Errors
/// [`Error::Unavailable`] with `storage_unwritable` or `disk_full`.
pub(super) fn write(folder: &Path, token: &SecretString) -> Result<SystemTime> {
    let failed = |error: std::io::Error| crate::storage::failure("the hub token", &path(folder), error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    // A temporary file is readable by its owner only from the moment it exists.
    let mut file = tempfile::Builder::new()
        .prefix(NAME)
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(token.expose_secret().as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let file = file.persist(path(folder)).map_err(|error| failed(error.error))?;
    crate::storage::sync_folder(folder);
    Ok(file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .unwrap_or_else(|_| SystemTime::now()))
}

/// Removes the file if there is one.
///
/// # Errors
/// [`Error::Unavailable`] with `storage_unwritable`.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_file(path(folder)) {
        Ok(()) => {
            crate::storage::sync_folder(folder);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(crate::storage::failure("the hub token", &path(folder), error)),
    }
}

pub(super) fn unusable(folder: &Path, reason: &str) -> Error {
    let message = format!("{} {reason}; remove it and set the token again", path(folder).display());
    Error::unavailable(UnavailableFault::StorageUnwritable, message)
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

#[cfg(unix)]
fn distrust(metadata: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;

    if metadata.mode() & 0o077 != 0 {
        return Some("can be read by others (its mode must be 0600)");
    }
    let foreign = own_user().is_some_and(|user| user != metadata.uid());
    foreign.then_some("belongs to another user")
}

#[cfg(not(unix))]
fn distrust(_: &std::fs::Metadata) -> Option<&'static str> {
    None
}

/// The user this process acts as; `None` where the system does not say.
#[cfg(unix)]
fn own_user() -> Option<u32> {
    use sysinfo::ProcessRefreshKind;
    use sysinfo::ProcessesToUpdate;
    use sysinfo::System;
    use sysinfo::UpdateKind;

    let pid = sysinfo::get_current_pid().ok()?;
    let mut system = System::new().ok()?;
    let kind = ProcessRefreshKind::nothing().with_user(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    let process = system.process(pid)?;
    process
        .effective_user_id()
        .or_else(|| process.user_id())
        .map(|user| **user)
}
