//! The directory of one safetensors file, checked as a whole.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use super::element::ElementType;
use super::error::SafetensorsError;
use super::pairs::Pairs;
use crate::formats::shown::quoted;
use crate::formats::shown::shortened;

/// Longest header, as in the reference (`safetensors` 0.8.0, `MAX_HEADER_SIZE`); honest ones have kilobytes.
const LONGEST_HEADER: usize = 100_000_000;

/// Most dimensions of a shape: PyTorch's own limit.
const MOST_DIMENSIONS: usize = 64;

/// Bytes of the length that stands before the header.
const LENGTH_BYTES: usize = 8;

/// One tensor, still in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorView<'a> {
    /// Name in the file.
    pub(crate) name: &'a str,
    /// Type of each element.
    pub(crate) dtype: ElementType,
    /// Dimensions, outermost first; empty for a single number.
    pub(crate) shape: Vec<usize>,
    /// Elements in row-major order, little endian, not aligned; exactly as many as `shape` says.
    pub(crate) bytes: &'a [u8],
}

/// Directory of one file.
#[derive(Debug)]
pub(crate) struct Header {
    tensors: BTreeMap<String, Entry>,
}

/// What the directory says of one tensor.
#[derive(Debug)]
struct Entry {
    /// The type, or its name if this library does not know it.
    dtype: Result<ElementType, String>,
    shape: Vec<usize>,
    /// In the whole file.
    range: Range<usize>,
}

/// An entry as it stands in the JSON.
#[derive(Debug, Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Header {
    /// Reads the directory of a file with the content `file` and checks it against the file's length.
    ///
    /// # Errors
    /// Any deviation from the format; see [`SafetensorsError`].
    pub(crate) fn parse(file: &[u8]) -> Result<Self, SafetensorsError> {
        let (json, data_start) = split(file)?;
        let Pairs(pairs) =
            serde_json::from_slice::<Pairs<RawEntry>>(&json).map_err(|error| SafetensorsError::Header {
                reason: shortened(&error.to_string()),
            })?;
        let data_length = file.len().saturating_sub(data_start);
        let mut tensors = BTreeMap::new();
        for (name, raw) in pairs {
            let entry = check_entry(&name, raw, data_start, data_length)?;
            if tensors.contains_key(&name) {
                return Err(SafetensorsError::Duplicate { name: quoted(&name) });
            }
            tensors.insert(name, entry);
        }
        check_layout(&tensors, data_start, file.len())?;
        Ok(Self { tensors })
    }

    /// The tensor `name` of `file`, which is the content this directory was read from; `None` if there is none.
    ///
    /// # Errors
    /// [`SafetensorsError::UnknownType`] when its type is not known.
    pub(crate) fn view<'a>(&'a self, file: &'a [u8], name: &str) -> Result<Option<TensorView<'a>>, SafetensorsError> {
        let Some((name, entry)) = self.tensors.get_key_value(name) else {
            return Ok(None);
        };
        let dtype = entry.dtype.as_ref().map_err(|dtype| SafetensorsError::UnknownType {
            name: quoted(name),
            dtype: quoted(dtype),
        })?;
        let bytes = file.get(entry.range.clone()).unwrap_or_default();
        Ok(Some(TensorView {
            name,
            dtype: *dtype,
            shape: entry.shape.clone(),
            bytes,
        }))
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Bytes of all tensors together.
    pub(crate) fn bytes_total(&self) -> usize {
        self.tensors
            .values()
            .fold(0, |sum, entry| sum.saturating_add(entry.range.len()))
    }
}

/// Copies the JSON out of `file` (so that no text lies in a map) and says where the data begin.
fn split(file: &[u8]) -> Result<(Vec<u8>, usize), SafetensorsError> {
    let (length, rest) = file
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or(SafetensorsError::Short { length: file.len() })?;
    let claimed = u64::from_le_bytes(*length);
    let available = rest.len().min(LONGEST_HEADER);
    let json = usize::try_from(claimed)
        .ok()
        .filter(|claimed| *claimed <= available)
        .and_then(|claimed| rest.get(..claimed))
        .ok_or_else(|| match other_format(file) {
            Some(found) => SafetensorsError::OtherFormat { found },
            None => SafetensorsError::HeaderLength { claimed, available },
        })?;
    Ok((json.to_vec(), LENGTH_BYTES.saturating_add(json.len())))
}

/// Formats that people confuse with safetensors, by their first bytes. Asked only where the length makes no sense,
/// since an honest length can look like some of these.
fn other_format(file: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 5] = [
        (b"GGUF", "a GGUF file"),
        (b"PK\x03\x04", "a zip archive or PyTorch checkpoint"),
        (
            b"version https://git-lfs",
            "a Git LFS pointer, which stands for the file itself",
        ),
        (b"<!DOCTYPE", "an HTML page"),
        (b"{", "a JSON text"),
    ];
    KNOWN
        .into_iter()
        .find(|(magic, _)| file.starts_with(magic))
        .map(|(_, name)| name)
}

fn check_entry(name: &str, raw: RawEntry, data_start: usize, data_length: usize) -> Result<Entry, SafetensorsError> {
    let (start, end) = raw.data_offsets;
    let range = usize::try_from(start)
        .ok()
        .zip(usize::try_from(end).ok())
        .filter(|(start, end)| start <= end && *end <= data_length)
        .and_then(|(start, end)| Some(start.checked_add(data_start)?..end.checked_add(data_start)?))
        .ok_or_else(|| SafetensorsError::OutOfFile {
            name: quoted(name),
            start,
            end,
            length: data_length,
        })?;

    let uncountable = || SafetensorsError::Shape {
        name: quoted(name),
        rank: raw.shape.len(),
    };
    if raw.shape.len() > MOST_DIMENSIONS {
        return Err(uncountable());
    }
    let shape: Vec<usize> = raw
        .shape
        .iter()
        .map(|size| usize::try_from(*size))
        .collect::<Result<_, _>>()
        .map_err(|_| uncountable())?;
    let elements = shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size));
    let elements = elements.ok_or_else(uncountable)?;

    let dtype = ElementType::from_name(&raw.dtype).ok_or(raw.dtype);
    if let Ok(dtype) = dtype {
        let needed = elements.checked_mul(dtype.bytes()).ok_or_else(uncountable)?;
        if needed != range.len() {
            return Err(SafetensorsError::Size {
                name: quoted(name),
                needed,
                found: range.len(),
            });
        }
    }
    Ok(Entry { dtype, shape, range })
}

/// Checks that the tensors cover the data without gap or overlap.
fn check_layout(
    tensors: &BTreeMap<String, Entry>,
    data_start: usize,
    file_length: usize,
) -> Result<(), SafetensorsError> {
    let mut in_file_order: Vec<_> = tensors.iter().collect();
    in_file_order.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let mut expected = data_start;
    for (name, entry) in in_file_order {
        if entry.range.start != expected {
            return Err(SafetensorsError::Layout {
                name: quoted(name),
                expected: expected.saturating_sub(data_start),
                found: entry.range.start.saturating_sub(data_start),
            });
        }
        expected = entry.range.end;
    }
    match file_length.saturating_sub(expected) {
        0 => Ok(()),
        count => Err(SafetensorsError::Trailing { count }),
    }
}
