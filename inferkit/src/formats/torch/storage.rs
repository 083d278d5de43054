//! The numbers that tensors are views of: entries of the archive, looked up by key.

use std::borrow::Cow;

use super::error::TorchError;
use super::pickle::TensorParts;
use crate::formats::safetensors::ElementType;
use crate::formats::shown::quoted;
use crate::formats::zip_directory::ZipDirectory;
use crate::formats::zip_directory::ZipEntry;

/// A storage that is there and as long as the pickle says.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    entry: ZipEntry,
    key: String,
    pub(super) element: ElementType,
}

impl Storage {
    /// The storage of the tensor `name`; the class as text if its numbers are of a type that is not known.
    ///
    /// # Errors
    /// When it is missing in the archive or has another length.
    pub(super) fn find(
        name: &str,
        parts: &TensorParts<'_>,
        archive: &ZipDirectory,
        root: &str,
    ) -> Result<Result<Self, String>, TorchError> {
        let key = parts.key.to_owned();
        let entry = archive
            .entry(&format!("{root}data/{key}"))
            .ok_or_else(|| TorchError::NoStorage {
                name: quoted(name),
                key: quoted(&key),
            })?;
        let element = match parts.class.storage_element() {
            Ok(element) => element,
            Err(class) => return Ok(Err(class)),
        };
        let expected = parts.elements.saturating_mul(element.bytes());
        if entry.length != expected {
            return Err(TorchError::StorageLength {
                name: quoted(name),
                key: quoted(&key),
                expected,
                found: entry.length,
            });
        }
        Ok(Ok(Self {
            entry: entry.clone(),
            key,
            element,
        }))
    }

    /// The numbers, from the archive with the content `file`.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> Result<Cow<'a, [u8]>, TorchError> {
        Ok(self.entry.read(file, &self.key, usize::MAX)?)
    }
}
