//! The keys and values of a GGUF file, asked for leniently: writers differ in the width of their integers.

use std::collections::BTreeMap;

use super::error::GgufError;
use super::value::Array;
use super::value::Value;
use crate::error::Result;
use crate::formats::shown::quoted;

/// All keys of a file.
///
/// Each question has three answers: the value, `None` when the key is absent, and an error when the value is of
/// another kind. [`Metadata::need`] makes absence an error too:
///
/// ```ignore
/// let layers = metadata.need("qwen3.block_count", Metadata::u32)?;
/// let theta = metadata.f32("qwen3.rope.freq_base")?.unwrap_or(10_000.0);
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    /// Named in errors.
    file: String,
    entries: BTreeMap<String, Value>,
}

impl Metadata {
    /// The keys `entries` of `file`.
    pub(super) fn new(file: &str, entries: BTreeMap<String, Value>) -> Self {
        Self {
            file: file.to_owned(),
            entries,
        }
    }

    /// The value of `key` as it stands in the file.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// All keys, sorted.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The answer of `read` to `key`, which has to be there.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when the key is absent or of another kind.
    pub(crate) fn need<'a, T>(
        &'a self,
        key: &str,
        read: impl FnOnce(&'a Self, &str) -> Result<Option<T>>,
    ) -> Result<T> {
        read(self, key)?.ok_or_else(|| GgufError::MissingKey { key: quoted(key) }.in_file(&self.file))
    }

    /// An integer of any type that fits into 32 bits without sign.
    pub(crate) fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.read(key, "an integer of 0 to 4294967295", |value| {
            value.integer()?.try_into().ok()
        })
    }

    /// An integer of any type that fits into 64 bits without sign.
    pub(crate) fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.read(key, "an integer from 0", |value| value.integer()?.try_into().ok())
    }

    /// An integer of any type that this machine can count to.
    pub(crate) fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.read(key, "a count", |value| value.integer()?.try_into().ok())
    }

    /// A number of any type.
    pub(crate) fn f32(&self, key: &str) -> Result<Option<f32>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding to the nearest f32 is what is asked for"
        )]
        self.read(key, "a number", |value| value.float().map(|value| value as f32))
    }

    /// A truth value.
    pub(crate) fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A text. Bytes that were not UTF-8 are U+FFFD.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.read(key, "a text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// An array of texts. Bytes that were not UTF-8 are U+FFFD.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.read(key, "an array of texts", |value| match value {
            Value::Array(Array::Text(texts)) => Some(texts.as_slice()),
            Value::Array(array) if array.len() == 0 => Some([].as_slice()),
            _ => None,
        })
    }

    /// An array of integers of any type that fit into 32 bits without sign.
    pub(crate) fn u32s(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.read(key, "an array of integers from 0", |value| match value {
            Value::Array(array) if array.len() == 0 => Some(Vec::new()),
            Value::Array(array) => array.integers()?.map(|value| value.try_into().ok()).collect(),
            _ => None,
        })
    }

    /// An array of floats.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn f32s(&self, key: &str) -> Result<Option<Vec<f32>>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding to the nearest f32 is what is asked for"
        )]
        self.read(key, "an array of floats", |value| match value {
            Value::Array(Array::F32(values)) => Some(values.clone()),
            Value::Array(Array::F64(values)) => Some(values.iter().map(|value| *value as f32).collect()),
            Value::Array(array) if array.len() == 0 => Some(Vec::new()),
            _ => None,
        })
    }

    /// What `take` makes of the value of `key`; an error that says `wanted` when it makes nothing of it.
    fn read<'a, T>(
        &'a self,
        key: &str,
        wanted: &'static str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.entries.get(key) else {
            return Ok(None);
        };
        let refuse = || {
            GgufError::WrongType {
                key: quoted(key),
                wanted,
                found: value.described(),
            }
            .in_file(&self.file)
        };
        take(value).map(Some).ok_or_else(refuse)
    }
}
