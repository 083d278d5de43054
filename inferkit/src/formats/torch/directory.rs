//! What a checkpoint holds: its tensors by name, checked as a whole, and the rest of its pickle.

use std::collections::BTreeMap;

use super::error::TorchError;
use super::pickle::Pickle;
use super::pickle::Value;
use super::storage::Storage;
use super::tensor::Layout;
use super::tensor::TensorView;
use crate::formats::shown::quoted;
use crate::formats::zip_directory::ZipDirectory;

/// Longest pickle. Those of the checkpoints read here have two hundred kilobytes at most.
const LONGEST_PICKLE: usize = 16 << 20;

/// The pickle's name below the archive's top folder, whose name is free.
const PICKLE: &str = "data.pkl";

/// The key under which training frameworks keep the weights.
const STATE_DICT: &str = "state_dict";

/// The tensors of one checkpoint and the rest of its pickle.
#[derive(Debug)]
pub(crate) struct Directory {
    pickle: Pickle,
    tensors: BTreeMap<String, Entry>,
}

/// One tensor.
#[derive(Debug)]
struct Entry {
    layout: Layout,
    /// The class of the storage if its type is not known.
    storage: Result<Storage, String>,
}

impl Directory {
    /// Reads the pickle of a checkpoint with the content `file` and checks every tensor against the archive.
    ///
    /// # Errors
    /// Any deviation from the format; see [`TorchError`].
    pub(crate) fn parse(file: &[u8]) -> Result<Self, TorchError> {
        if !ZipDirectory::is_zip(file) {
            return Err(TorchError::OtherFormat {
                found: other_format(file),
            });
        }
        let archive = ZipDirectory::parse(file)?;
        let root = top_folder(&archive)?;
        check_byte_order(file, &archive, &root)?;
        let name = format!("{root}{PICKLE}");
        let entry = archive.entry(&name).ok_or(TorchError::NoPickle)?;
        let pickle = Pickle::parse(&entry.read(file, &name, LONGEST_PICKLE)?).map_err(TorchError::Pickle)?;
        let tensors = find_tensors(pickle.root(), &archive, &root)?;
        Ok(Self { pickle, tensors })
    }

    /// The object that was saved.
    pub(crate) fn root(&self) -> Value<'_> {
        self.pickle.root()
    }

    /// The tensor `name` of `file`, which is the content this directory was read from; `None` if there is none.
    ///
    /// # Errors
    /// [`TorchError::UnknownType`] when its type is not known; a damaged entry if that is compressed.
    pub(crate) fn view<'a>(&'a self, file: &'a [u8], name: &str) -> Result<Option<TensorView<'a>>, TorchError> {
        let Some((name, entry)) = self.tensors.get_key_value(name) else {
            return Ok(None);
        };
        let storage = entry.storage.as_ref().map_err(|class| TorchError::UnknownType {
            name: quoted(name),
            class: class.clone(),
        })?;
        let bytes = entry.layout.pick(storage.bytes(file)?, storage.element.bytes());
        Ok(Some(TensorView {
            name,
            dtype: storage.element,
            shape: entry.layout.shape.clone(),
            bytes,
        }))
    }

    /// Whether there is a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of the tensor `name`.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.layout.shape.as_slice())
    }

    /// Bytes of all tensors of known type together; those that share a storage count each.
    pub(crate) fn bytes_total(&self) -> usize {
        self.tensors.values().fold(0, |sum, entry| {
            let width = entry.storage.as_ref().map_or(0, |storage| storage.element.bytes());
            sum.saturating_add(entry.layout.elements.saturating_mul(width))
        })
    }
}

/// Formats that people confuse with this one, by their first bytes.
fn other_format(file: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 6] = [
        (b"\x80\x02", "a bare pickle or a legacy PyTorch checkpoint"),
        (b"\x80", "a bare pickle"),
        (b"GGUF", "a GGUF file"),
        (
            b"version https://git-lfs",
            "a Git LFS pointer, which stands for the file itself",
        ),
        (b"<!DOCTYPE", "an HTML page"),
        (b"\x1f\x8b", "a gzip file"),
    ];
    let known = KNOWN.into_iter().find(|(magic, _)| file.starts_with(magic));
    match known {
        Some((_, name)) => name,
        None if file.is_empty() => "empty",
        None => "of an unknown kind",
    }
}

/// The folder in which the one pickle lies, with its slash.
fn top_folder(archive: &ZipDirectory) -> Result<String, TorchError> {
    let mut found: Option<&str> = None;
    for name in archive.names() {
        let Some(folder) = name.strip_suffix(PICKLE) else {
            continue;
        };
        if !(folder.is_empty() || folder.ends_with('/')) {
            continue;
        }
        if let Some(first) = found {
            return Err(TorchError::TwoPickles {
                first: quoted(&format!("{first}{PICKLE}")),
                second: quoted(name),
            });
        }
        found = Some(folder);
    }
    found.map(str::to_owned).ok_or(TorchError::NoPickle)
}

fn check_byte_order(file: &[u8], archive: &ZipDirectory, root: &str) -> Result<(), TorchError> {
    let name = format!("{root}byteorder");
    let Some(entry) = archive.entry(&name) else {
        return Ok(());
    };
    match entry.read(file, &name, 16)?.as_ref() {
        b"big" => Err(TorchError::BigEndian),
        _ => Ok(()),
    }
}

/// The tensors of the dictionary `state_dict`, or of the object itself where that holds them.
fn find_tensors(root: Value<'_>, archive: &ZipDirectory, folder: &str) -> Result<BTreeMap<String, Entry>, TorchError> {
    let state = root.get(STATE_DICT).unwrap_or(root);
    let entries = state
        .entries()
        .ok_or_else(|| TorchError::NoStateDict { found: state.kind() })?;
    let mut tensors = BTreeMap::new();
    for (key, value) in entries {
        // Other values than tensors, such as the version of a module, mean nothing here.
        let Some((name, parts)) = key.as_text().zip(value.as_tensor()) else {
            continue;
        };
        let parts = parts.map_err(|_| TorchError::Malformed { name: quoted(name) })?;
        let storage = Storage::find(name, &parts, archive, folder)?;
        let layout = Layout::new(name, parts)?;
        tensors.insert(name.to_owned(), Entry { layout, storage });
    }
    Ok(tensors)
}
