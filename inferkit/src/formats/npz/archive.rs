//! An `.npz` file on disk.

use std::path::Path;
use std::sync::Arc;

use super::array::Array;
use super::error::NpzError;
use crate::error::Result;
use crate::formats::mmap::MappedFile;
use crate::formats::shown::file_name;
use crate::formats::shown::quoted;
use crate::formats::zip_directory::ZipDirectory;

/// Longest array in bytes. The published ones have half a megabyte.
const LONGEST_ARRAY: usize = 256 << 20;

/// A mapped file of arrays; each is read when it is asked for.
#[derive(Debug)]
pub(crate) struct NpzArchive {
    name: String,
    file: Arc<MappedFile>,
    directory: ZipDirectory,
}

impl NpzArchive {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when there is no such file or it is no archive.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = file_name(path);
        let file = MappedFile::open(path)?;
        let directory = parse(file.bytes()).map_err(|fault| fault.in_file(&name))?;
        Ok(Self { name, file, directory })
    }

    /// The array `name`, without `.npy`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when it is missing, damaged or not of numbers.
    pub(crate) fn array(&self, name: &str) -> Result<Array> {
        read(&self.directory, self.file.bytes(), name).map_err(|fault| fault.in_file(&self.name))
    }

    /// The array `name`, which has to have this shape.
    ///
    /// # Errors
    /// As [`array`](Self::array); also with both shapes when they differ.
    pub(crate) fn array_of(&self, name: &str, shape: &[usize]) -> Result<Array> {
        let array = self.array(name)?.expect_shape(name, shape);
        array.map_err(|fault| fault.in_file(&self.name))
    }

    /// The names of all arrays, sorted, without `.npy`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.directory.names().filter_map(|name| name.strip_suffix(".npy"))
    }
}

/// The directory of a file with the content `file`.
pub(super) fn parse(file: &[u8]) -> Result<ZipDirectory, NpzError> {
    if !ZipDirectory::is_zip(file) {
        return Err(NpzError::OtherFormat);
    }
    Ok(ZipDirectory::parse(file)?)
}

/// The array `name` of the archive with the content `file`.
pub(super) fn read(directory: &ZipDirectory, file: &[u8], name: &str) -> Result<Array, NpzError> {
    let entry = directory.entry(&format!("{name}.npy"));
    let entry = entry.ok_or_else(|| NpzError::Missing { name: quoted(name) })?;
    Array::parse(name, &entry.read(file, name, LONGEST_ARRAY)?)
}

/// All arrays that can be read of the archive with the content `file`; for the fuzz targets.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_all(file: &[u8]) -> Vec<Array> {
    let Ok(directory) = parse(file) else { return Vec::new() };
    let names = directory.names().filter_map(|name| name.strip_suffix(".npy"));
    names.filter_map(|name| read(&directory, file, name).ok()).collect()
}
