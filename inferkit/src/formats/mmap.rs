//! A file seen as a slice of bytes, without reading it first.
//!
//! This is the one place of the library with `unsafe`. Weights are read once, in the order in which they are
//! packed, and never copied whole. Pages that were read are given back while loading goes on, so that a process never
//! holds a model's file beside the packed model.
//!
//! **Invariant:** the length of [`MappedFile::bytes`] never changes after the file was opened.

use std::fs::File;
use std::fs::FileType;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use memmap2::Mmap;

use crate::error::Error;
use crate::error::Result;
use crate::formats::shown;

/// Bytes that may be handed out before the pages of a file are given back.
const RESIDENT_BYTES: usize = 128 << 20;

/// A regular file in memory, read-only.
#[derive(Debug)]
pub(crate) struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
    /// Bytes handed out since pages were last given back.
    handed_out: AtomicUsize,
}

impl MappedFile {
    /// Maps the file at `path`, following symbolic links (the hub's cache consists of them).
    ///
    /// A file that is cut short by somebody else while it is mapped ends the process with `SIGBUS` when the lost
    /// part is touched; no reader can prevent that. Replacing a file by a rename, as downloads do, and deleting it
    /// are both harmless.
    ///
    /// # Errors
    /// [`Error::BadModel`] when there is no such file, it may not be read, or it is a folder, a device or a pipe.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        // Asked before opening too, since opening a pipe waits for a writer.
        let described = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
        refuse_all_but_files(path, &described)?;
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let described = file.metadata().map_err(|error| unreadable(path, error))?;
        refuse_all_but_files(path, &described)?;
        let map = if described.len() == 0 {
            None
        } else {
            Some(map_read_only(&file).map_err(|error| unreadable(path, error))?)
        };
        Ok(Arc::new(Self::over(map)))
    }

    /// Maps `file`, which messages call `name`: one that was opened, and perhaps has no path any more.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the system refuses.
    pub(crate) fn of(file: &File, name: &str) -> Result<Arc<Self>> {
        let map = |file: &File| match file.metadata()?.len() {
            0 => Ok(None),
            _ => map_read_only(file).map(Some),
        };
        let map = map(file).map_err(|error| unreadable(Path::new(name), error))?;
        Ok(Arc::new(Self::over(map)))
    }

    const fn over(map: Option<Mmap>) -> Self {
        Self {
            map,
            handed_out: AtomicUsize::new(0),
        }
    }

    /// The whole file. Nothing aligns what lies inside.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Tells that `bytes` of a tensor are about to be read. Every so often the pages read before are given back; whoever
    /// still looks at one finds it again in the system's file cache.
    pub(crate) fn hand_out(&self, bytes: usize) {
        if self.handed_out.fetch_add(bytes, Ordering::Relaxed) >= RESIDENT_BYTES {
            self.handed_out.store(bytes, Ordering::Relaxed);
            self.give_back();
        }
    }

    fn give_back(&self) {
        #[cfg(unix)]
        if let Some(map) = &self.map
            && let Err(error) = give_pages_back(map)
        {
            tracing::debug!(%error, "the pages of a model's file stay in memory until it is loaded");
        }
    }
}

#[expect(
    unsafe_code,
    reason = "mapping a file has no safe form: the type system cannot see who else writes to it"
)]
fn map_read_only(file: &File) -> io::Result<Mmap> {
    // SAFETY: the slice made from a map must not change while it is borrowed. The map is read-only, so no code here
    // writes through it, and `hub` writes to other names and renames, so that an opened file keeps its content. A
    // foreign process that writes into the file in place breaks this promise. Two habits of the readers keep that
    // without consequence for memory safety in practice: bounds come from the map's length, which is fixed, and
    // text is copied before it is checked to be UTF-8, so no `str` ever lies in the map.
    unsafe { Mmap::map(file) }
}

#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "this advice is unsafe in general: on memory that is not of a file it erases"
)]
fn give_pages_back(map: &Mmap) -> io::Result<()> {
    // SAFETY: the map is read-only and of a file, so that no page holds anything but the file's bytes: dropped pages
    // are read from the file again when touched, with the same content under the promise of `map_read_only`.
    unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) }
}

fn refuse_all_but_files(path: &Path, described: &Metadata) -> Result<()> {
    if described.is_file() {
        return Ok(());
    }
    Err(Error::bad_model(format!(
        "{} is {}; give a regular file",
        path.display(),
        kind(described.file_type())
    )))
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a folder"
    } else {
        "a device, pipe or socket"
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let file = shown::file_name(path);
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("{file} is missing; download the model again or correct the path"),
        io::ErrorKind::PermissionDenied => format!("{file} may not be read; give this user the right to read it"),
        _ => format!("{file} cannot be read; check the disk and the file system"),
    };
    Error::bad_model(message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, b"weights").unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!(file.bytes(), b"weights");
    }

    #[test]
    fn bytes_are_the_same_after_their_pages_were_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let bytes = file.bytes();
        file.hand_out(RESIDENT_BYTES);
        file.hand_out(content.len());
        assert_eq!(file.handed_out.load(Ordering::Relaxed), content.len());
        assert!(bytes == content);
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        assert!(MappedFile::open(&path).unwrap().bytes().is_empty());
    }

    #[test]
    fn a_missing_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = MappedFile::open(&folder.path().join("gone.gguf")).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        assert_eq!(
            error.to_string(),
            "gone.gguf is missing; download the model again or correct the path"
        );
    }

    #[test]
    fn a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = MappedFile::open(folder.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("is a folder; give a regular file"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_without_being_opened() {
        let error = MappedFile::open(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().contains("a device, pipe or socket"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_to_a_file_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("blob"), b"x").unwrap();
        std::os::unix::fs::symlink("blob", folder.path().join("model.gguf")).unwrap();
        assert_eq!(
            MappedFile::open(&folder.path().join("model.gguf")).unwrap().bytes(),
            b"x"
        );
    }

    #[test]
    fn a_file_that_is_deleted_while_mapped_stays_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, b"weights").unwrap();
        let file = MappedFile::open(&path).unwrap();
        if std::fs::remove_file(&path).is_err() {
            crate::testing::skip("this system does not delete files that are in use");
            return;
        }
        assert_eq!(file.bytes(), b"weights");
    }
}
