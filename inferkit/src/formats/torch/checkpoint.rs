//! A PyTorch checkpoint on disk: a file of its own, or a member of an archive.

use std::path::Path;

use super::directory::Directory;
use super::error::TorchError;
use super::pickle::Value;
use super::tensor::TensorView;
use crate::error::Result;
use crate::formats::file_range::FileRange;
use crate::formats::mmap::MappedFile;
use crate::formats::shown::file_name;
use crate::formats::shown::quoted;

/// A mapped checkpoint. Nothing but its directory and its pickle is read when it is opened.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// What messages call it.
    name: String,
    file: FileRange,
    directory: Directory,
}

impl Checkpoint {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] naming the file and the tensor at fault; of the kind `unsupported_model` for legacy
    /// checkpoints and bare pickles.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read(&file_name(path), FileRange::whole(MappedFile::open(path)?))
    }

    /// Reads the checkpoint that `file` holds; messages call it `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn read(name: &str, file: FileRange) -> Result<Self> {
        let directory = Directory::parse(file.bytes()).map_err(|fault| fault.in_file(name))?;
        Ok(Self {
            name: name.to_owned(),
            file,
            directory,
        })
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when there is none, or its type is not known.
    pub(crate) fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        self.find(name)?
            .ok_or_else(|| TorchError::Missing { name: quoted(name) }.in_file(&self.name))
    }

    /// The tensor `name`, `None` if there is none.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when its type is not known.
    pub(crate) fn find(&self, name: &str) -> Result<Option<TensorView<'_>>> {
        let view = self.directory.view(self.file.bytes(), name);
        let view = view.map_err(|fault| fault.in_file(&self.name))?;
        if let Some(view) = &view {
            self.file.hand_out(view.bytes.len());
        }
        Ok(view)
    }

    /// Whether there is a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.directory.contains(name)
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.directory.names()
    }

    /// The shape of the tensor `name`, without touching its numbers; `None` if there is none.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.directory.shape(name)
    }

    /// Bytes of all tensors of known type together; those that share a storage count each.
    pub(crate) fn bytes_total(&self) -> usize {
        self.directory.bytes_total()
    }

    /// The object that was saved: hyper-parameters and whatever else stands beside the weights.
    pub(crate) fn root(&self) -> Value<'_> {
        self.directory.root()
    }

    /// What messages call the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
