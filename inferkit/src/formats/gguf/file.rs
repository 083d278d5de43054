//! A GGUF model on disk: one file, or all parts of a split one.

use std::path::Path;
use std::sync::Arc;

use super::directory::Directory;
use super::directory::TensorView;
use super::error::GgufError;
use super::metadata::Metadata;
use super::split::Split;
use crate::error::Result;
use crate::formats::mmap::MappedFile;
use crate::formats::shown::file_name;
use crate::formats::shown::quoted;

/// A mapped GGUF model. Nothing but its header is read when it is opened.
#[derive(Debug)]
pub(crate) struct Gguf {
    first: Part,
    others: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    map: Arc<MappedFile>,
    directory: Directory,
}

impl Gguf {
    /// Opens the model at `path`; of a split one any part will do, and all others have to lie beside it.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] naming the file and the key or tensor at fault.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let part = Part::open(path)?;
        let split = Split::of(part.directory.metadata())?;
        if split.count == 1 {
            return Ok(Self {
                first: part,
                others: Vec::new(),
            });
        }
        Self::open_parts(path, &part, split)
    }

    /// Keys and values; of a split model those of the first part.
    pub(crate) fn metadata(&self) -> &Metadata {
        self.first.directory.metadata()
    }

    /// The tensor `name`, `None` if there is none.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when its type is not known.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<TensorView<'_>>> {
        for part in self.parts() {
            let view = part
                .directory
                .view(part.map.bytes(), name)
                .map_err(|fault| fault.in_file(&part.name))?;
            if let Some(view) = view {
                part.map.hand_out(view.bytes.len());
                return Ok(Some(view));
            }
        }
        Ok(None)
    }

    /// The tensor `name`, which has to be there.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when there is none, or its type is not known.
    pub(crate) fn need(&self, name: &str) -> Result<TensorView<'_>> {
        let missing = || GgufError::MissingTensor { name: quoted(name) }.in_file(&self.first.name);
        self.tensor(name)?.ok_or_else(missing)
    }

    /// Whether there is a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.parts().any(|part| part.directory.contains(name))
    }

    /// The names of all tensors, sorted within each part.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts().flat_map(|part| part.directory.names())
    }

    /// Bytes of all tensors of known type together.
    pub(crate) fn bytes_total(&self) -> usize {
        self.parts()
            .fold(0, |sum, part| sum.saturating_add(part.directory.bytes_total()))
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn open_parts(path: &Path, opened: &Part, split: Split) -> Result<Self> {
        let paths = split.paths(path).map_err(|fault| fault.in_file(&opened.name))?;
        let mut numbered = (0_u32..)
            .zip(paths)
            .map(|(number, path)| Part::open_as(&path, number, split.count));
        let no_part = || GgufError::SplitTensors { announced: 0, found: 0 }.in_file(&opened.name);
        let first = numbered.next().ok_or_else(no_part)??;
        let mut model = Self {
            first,
            others: Vec::new(),
        };
        for part in numbered {
            model.add(part?)?;
        }
        let announced = Split::of(model.metadata())?.tensors;
        let found = model.names().count();
        match announced {
            Some(announced) if u64::try_from(found) != Ok(announced) => {
                Err(GgufError::SplitTensors { announced, found }.in_file(&model.first.name))
            }
            _ => Ok(model),
        }
    }

    fn add(&mut self, part: Part) -> Result<()> {
        if let Some(name) = part.directory.names().find(|name| self.contains(name)) {
            return Err(GgufError::DuplicateTensor { name: quoted(name) }.in_file(&part.name));
        }
        self.others.push(part);
        Ok(())
    }
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        let name = file_name(path);
        let map = MappedFile::open(path)?;
        let directory = Directory::parse(&name, map.bytes()).map_err(|fault| fault.in_file(&name))?;
        Ok(Self { name, map, directory })
    }

    fn open_as(path: &Path, number: u32, count: u32) -> Result<Self> {
        let part = Self::open(path)?;
        Split::of(part.directory.metadata())?
            .expect(number, count)
            .map_err(|fault| fault.in_file(&part.name))?;
        Ok(part)
    }
}
