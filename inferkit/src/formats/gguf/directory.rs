//! The header of one GGUF file, checked as a whole: metadata, and where each tensor lies.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::Cursor;
use super::cursor::Fault;
use super::error::GgufError;
use super::metadata::Metadata;
use super::tensor_type::GgmlType;
use super::value::Value;
use crate::formats::shown::quoted;

/// Most dimensions of a tensor (ggml: `GGML_MAX_DIMS`).
const MOST_DIMENSIONS: u32 = 4;

/// Longest key, by the format's description.
const LONGEST_KEY: usize = 65_535;

/// Longest tensor name; ggml itself stops at 64.
const LONGEST_NAME: usize = 1024;

/// Alignment of a file that names none.
const DEFAULT_ALIGNMENT: u32 = 32;

/// One tensor, still in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorView<'a> {
    /// Name in the file.
    pub(crate) name: &'a str,
    /// How the elements are packed.
    pub(crate) kind: GgmlType,
    /// Dimensions, outermost first; rows (the last dimension) are whole multiples of a block.
    pub(crate) shape: Vec<usize>,
    /// The blocks, little endian; exactly as many as `shape` says.
    pub(crate) bytes: &'a [u8],
}

/// The header of one file.
#[derive(Debug)]
pub(crate) struct Directory {
    metadata: Metadata,
    tensors: BTreeMap<String, Entry>,
}

/// What the header says of one tensor.
#[derive(Debug)]
struct Entry {
    kind: GgmlType,
    shape: Vec<usize>,
    /// In the whole file; empty for a type of unknown size.
    range: Range<usize>,
}

/// An entry as it stands in the file.
struct RawEntry {
    name: String,
    kind: GgmlType,
    shape: Vec<usize>,
    offset: u64,
}

impl Directory {
    /// Reads the header of the file called `name` with the content `file` and checks it against the file's length.
    ///
    /// # Errors
    /// Any deviation from the format; see [`GgufError`].
    pub(crate) fn parse(name: &str, file: &[u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(file);
        check_magic(&mut cursor, file)?;
        // An entry has at least a name's length, a dimension count, a type and an offset; a pair a key's length,
        // a type and one byte.
        let tensor_count = cursor
            .count(24)
            .map_err(in_part(|| "the number of tensors".to_owned()))?;
        let key_count = cursor.count(13).map_err(in_part(|| "the number of keys".to_owned()))?;
        let metadata = Metadata::new(name, read_metadata(&mut cursor, key_count)?);
        let alignment = alignment(&metadata)?;
        let mut raw = Vec::new();
        for number in 1..=tensor_count {
            raw.push(read_entry(&mut cursor, number)?);
        }
        let data_start = cursor.position().checked_next_multiple_of(alignment.in_bytes);
        let data_start = data_start.unwrap_or(usize::MAX);
        let mut tensors = BTreeMap::new();
        for raw in raw {
            let range = place(&raw, alignment, data_start, file.len())?;
            let entry = Entry {
                kind: raw.kind,
                shape: raw.shape,
                range,
            };
            if tensors.contains_key(&raw.name) {
                return Err(GgufError::DuplicateTensor {
                    name: quoted(&raw.name),
                });
            }
            tensors.insert(raw.name, entry);
        }
        check_overlaps(&tensors)?;
        Ok(Self { metadata, tensors })
    }

    /// The tensor `name` of `file`, which is the content this header was read from; `None` if there is none.
    ///
    /// # Errors
    /// [`GgufError::UnknownType`] when its type is not known.
    pub(crate) fn view<'a>(&'a self, file: &'a [u8], name: &str) -> Result<Option<TensorView<'a>>, GgufError> {
        let Some((name, entry)) = self.tensors.get_key_value(name) else {
            return Ok(None);
        };
        if entry.kind.block().is_none() {
            return Err(GgufError::UnknownType {
                name: quoted(name),
                kind: entry.kind.to_string(),
            });
        }
        let bytes = file.get(entry.range.clone()).unwrap_or_default();
        Ok(Some(TensorView {
            name,
            kind: entry.kind,
            shape: entry.shape.clone(),
            bytes,
        }))
    }

    /// Keys and values.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Bytes of all tensors of known type together.
    pub(crate) fn bytes_total(&self) -> usize {
        self.tensors
            .values()
            .fold(0, |sum, entry| sum.saturating_add(entry.range.len()))
    }
}

/// Turns a fault at the cursor into an error that names the part of the file.
fn in_part(part: impl FnOnce() -> String) -> impl FnOnce(Fault) -> GgufError {
    move |fault| GgufError::Broken { part: part(), fault }
}

fn check_magic(cursor: &mut Cursor<'_>, file: &[u8]) -> Result<(), GgufError> {
    if cursor.array() != Ok(*b"GGUF") {
        let beginning = file.get(..file.len().min(4)).unwrap_or_default();
        return Err(GgufError::NotGguf {
            found: format!("\"{}\"", beginning.escape_ascii()),
        });
    }
    match cursor.u32().map_err(in_part(|| "the version".to_owned()))? {
        2 | 3 => Ok(()),
        version if version.swap_bytes() <= 3 => Err(GgufError::BigEndian),
        version => Err(GgufError::Version { version }),
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, count: usize) -> Result<BTreeMap<String, Value>, GgufError> {
    let mut entries = BTreeMap::new();
    for number in 1..=count {
        let key = cursor
            .name(LONGEST_KEY)
            .map_err(in_part(|| format!("the name of key {number}")))?;
        let value = Value::read(cursor).map_err(in_part(|| format!("key {}", quoted(&key))))?;
        if entries.contains_key(&key) {
            return Err(GgufError::DuplicateKey { key: quoted(&key) });
        }
        entries.insert(key, value);
    }
    Ok(entries)
}

/// A power of two, as the file has it and to count with.
#[derive(Clone, Copy)]
struct Alignment {
    value: u32,
    in_bytes: usize,
}

fn alignment(metadata: &Metadata) -> Result<Alignment, GgufError> {
    const KEY: &str = "general.alignment";
    let value = match metadata.get(KEY) {
        None => DEFAULT_ALIGNMENT,
        Some(value) => value
            .integer()
            .and_then(|value| value.try_into().ok())
            .ok_or_else(|| GgufError::WrongType {
                key: quoted(KEY),
                wanted: "a power of two",
                found: value.described(),
            })?,
    };
    match usize::try_from(value) {
        Ok(in_bytes) if value.is_power_of_two() => Ok(Alignment { value, in_bytes }),
        _ => Err(GgufError::Alignment { alignment: value }),
    }
}

fn read_entry(cursor: &mut Cursor<'_>, number: usize) -> Result<RawEntry, GgufError> {
    let name = cursor
        .name(LONGEST_NAME)
        .map_err(in_part(|| format!("the name of tensor {number}")))?;
    let part = || format!("tensor {}", quoted(&name));
    let count = cursor.u32().map_err(in_part(part))?;
    if count > MOST_DIMENSIONS {
        return Err(GgufError::Dimensions {
            name: quoted(&name),
            count,
        });
    }
    let mut shape = Vec::new();
    for _ in 0..count {
        let size = cursor.u64().map_err(in_part(part))?;
        shape.push(usize::try_from(size).map_err(|_| GgufError::Shape { name: quoted(&name) })?);
    }
    shape.reverse();
    let kind = GgmlType::from_code(cursor.u32().map_err(in_part(part))?);
    let offset = cursor.u64().map_err(in_part(part))?;
    Ok(RawEntry {
        name,
        kind,
        shape,
        offset,
    })
}

/// Where the tensor lies in a file of `file_length` bytes.
fn place(
    raw: &RawEntry,
    alignment: Alignment,
    data_start: usize,
    file_length: usize,
) -> Result<Range<usize>, GgufError> {
    let name = || quoted(&raw.name);
    if !raw.offset.is_multiple_of(u64::from(alignment.value)) {
        return Err(GgufError::Misaligned {
            name: name(),
            offset: raw.offset,
            alignment: alignment.value,
        });
    }
    let length = byte_length(raw)?;
    let start = usize::try_from(raw.offset)
        .ok()
        .and_then(|offset| offset.checked_add(data_start));
    let range = start.and_then(|start| Some(start..start.checked_add(length)?));
    range
        .filter(|range| range.end <= file_length || range.is_empty())
        .ok_or_else(|| GgufError::OutOfFile {
            name: name(),
            length: file_length,
        })
}

/// Bytes of a tensor; 0 for a type of unknown size.
fn byte_length(raw: &RawEntry) -> Result<usize, GgufError> {
    let uncountable = || GgufError::Shape {
        name: quoted(&raw.name),
    };
    let elements = raw
        .shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size));
    let elements = elements.ok_or_else(uncountable)?;
    let Some(block) = raw.kind.block() else { return Ok(0) };
    let row = raw.shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(block.elements) {
        return Err(GgufError::PartialBlock {
            name: quoted(&raw.name),
            row,
            kind: raw.kind.to_string(),
            block: block.elements,
        });
    }
    elements
        .div_euclid(block.elements)
        .checked_mul(block.bytes)
        .ok_or_else(uncountable)
}

fn check_overlaps(tensors: &BTreeMap<String, Entry>) -> Result<(), GgufError> {
    let mut in_file_order: Vec<_> = tensors.iter().filter(|(_, entry)| !entry.range.is_empty()).collect();
    in_file_order.sort_by_key(|(_, entry)| entry.range.start);
    for pair in in_file_order.windows(2) {
        if let [(first, before), (second, after)] = pair
            && before.range.end > after.range.start
        {
            return Err(GgufError::Overlap {
                first: quoted(first),
                second: quoted(second),
            });
        }
    }
    Ok(())
}
