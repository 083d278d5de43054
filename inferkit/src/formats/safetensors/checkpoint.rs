//! All safetensors files of a model seen as one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::SafetensorsError;
use super::header::Header;
use super::header::TensorView;
use super::index::Index;
use crate::error::Error;
use crate::error::Result;
use crate::formats::mmap::MappedFile;
use crate::formats::shown::file_name;
use crate::formats::shown::quoted;

/// The one file of a model that is not sharded.
const SINGLE: &str = "model.safetensors";

/// The index of a sharded model.
const INDEX: &str = "model.safetensors.index.json";

/// The weights of a model: one file, or the shards of an index.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// What messages call the whole: the file or the index.
    name: String,
    shards: Vec<Shard>,
    /// Tensor → position in `shards`.
    homes: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    file: String,
    map: Arc<MappedFile>,
    header: Header,
}

impl Checkpoint {
    /// Opens a model's folder, one safetensors file, or an index of shards.
    ///
    /// In a folder `model.safetensors` comes before the index, as in transformers. Nothing but the directories is
    /// read. Each shard that the index names has to be there and to hold what the index says; tensors which the
    /// index forgets are found all the same.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming file and tensor.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let (single, index) = (path.join(SINGLE), path.join(INDEX));
            if single.exists() {
                return Self::open_single(&single);
            }
            if index.exists() {
                return Self::open_index(&index);
            }
            return Err(Error::bad_model(format!(
                "{} holds neither {SINGLE} nor {INDEX}; download the model again or correct the path",
                path.display()
            )));
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            Self::open_index(path)
        } else {
            Self::open_single(path)
        }
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`Error::BadModel`] when there is none, or its type is not known.
    pub(crate) fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        self.find(name)?
            .ok_or_else(|| SafetensorsError::missing(name).in_file(&self.name))
    }

    /// The tensor `name`, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::BadModel`] when its type is not known.
    pub(crate) fn find(&self, name: &str) -> Result<Option<TensorView<'_>>> {
        let Some(shard) = self.homes.get(name).and_then(|home| self.shards.get(*home)) else {
            return Ok(None);
        };
        let view = shard.header.view(shard.map.bytes(), name);
        let view = view.map_err(|fault| fault.in_file(&shard.file))?;
        if let Some(view) = &view {
            shard.map.hand_out(view.bytes.len());
        }
        Ok(view)
    }

    /// Whether there is a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.homes.contains_key(name)
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.homes.keys().map(String::as_str)
    }

    /// Bytes of all tensors together.
    pub(crate) fn bytes_total(&self) -> usize {
        self.shards
            .iter()
            .fold(0, |sum, shard| sum.saturating_add(shard.header.bytes_total()))
    }

    fn open_single(path: &Path) -> Result<Self> {
        let shard = Shard::open(path)?;
        Self::join(shard.file.clone(), vec![shard])
    }

    fn open_index(path: &Path) -> Result<Self> {
        let name = file_name(path);
        let map = MappedFile::open(path)?;
        let index = Index::parse(map.bytes()).map_err(|fault| fault.in_file(&name))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let shards = index
            .files()
            .map(|file| Shard::open(&folder.join(file)))
            .collect::<Result<_>>()?;
        let checkpoint = Self::join(name, shards)?;
        checkpoint
            .check_against(&index)
            .map_err(|fault| fault.in_file(&checkpoint.name))?;
        Ok(checkpoint)
    }

    /// Joins shards, no two of which may hold the same tensor.
    fn join(name: String, shards: Vec<Shard>) -> Result<Self> {
        let mut homes: BTreeMap<String, usize> = BTreeMap::new();
        for (position, shard) in shards.iter().enumerate() {
            for tensor in shard.header.names() {
                if let Some(first) = homes
                    .insert(tensor.to_owned(), position)
                    .and_then(|first| shards.get(first))
                {
                    let fault = SafetensorsError::InTwoShards {
                        name: quoted(tensor),
                        first: first.file.clone(),
                        second: shard.file.clone(),
                    };
                    return Err(fault.in_file(&name));
                }
            }
        }
        Ok(Self { name, shards, homes })
    }

    fn check_against(&self, index: &Index) -> Result<(), SafetensorsError> {
        for (name, file) in &index.shards {
            let home = self.homes.get(name).and_then(|home| self.shards.get(*home));
            if home.is_none_or(|shard| shard.file != *file) {
                return Err(SafetensorsError::NotInShard {
                    name: quoted(name),
                    shard: file.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self> {
        let file = file_name(path);
        let map = MappedFile::open(path)?;
        let header = Header::parse(map.bytes()).map_err(|fault| fault.in_file(&file))?;
        Ok(Self { file, map, header })
    }
}
