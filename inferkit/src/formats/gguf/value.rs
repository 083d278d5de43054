//! Metadata values: the thirteen types of the format.

use super::cursor::Cursor;
use super::cursor::Fault;

/// Deepest nesting of arrays; files in use do not nest them at all.
const DEEPEST: usize = 8;

/// Type codes, from ggml's `gguf.h` (`enum gguf_type`).
mod code {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

/// One value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(String),
    Array(Array),
}

/// An array, whose elements are all of one type and take no more room than in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<String>),
    Nested(Vec<Array>),
}

impl Value {
    /// Reads a type code and the value behind it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        Ok(match cursor.u32()? {
            code::U8 => Self::U8(u8::from_le_bytes(cursor.array()?)),
            code::I8 => Self::I8(i8::from_le_bytes(cursor.array()?)),
            code::U16 => Self::U16(u16::from_le_bytes(cursor.array()?)),
            code::I16 => Self::I16(i16::from_le_bytes(cursor.array()?)),
            code::U32 => Self::U32(cursor.u32()?),
            code::I32 => Self::I32(i32::from_le_bytes(cursor.array()?)),
            code::U64 => Self::U64(cursor.u64()?),
            code::I64 => Self::I64(i64::from_le_bytes(cursor.array()?)),
            code::F32 => Self::F32(f32::from_le_bytes(cursor.array()?)),
            code::F64 => Self::F64(f64::from_le_bytes(cursor.array()?)),
            code::BOOL => Self::Bool(truth(u8::from_le_bytes(cursor.array()?))?),
            code::TEXT => Self::Text(cursor.text()?),
            code::ARRAY => Self::Array(Array::read(cursor, 1)?),
            code => return Err(Fault::ValueType { code }),
        })
    }

    /// The value as an integer, whatever its width; `None` if it is none.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::U8(value) => Some((*value).into()),
            Self::I8(value) => Some((*value).into()),
            Self::U16(value) => Some((*value).into()),
            Self::I16(value) => Some((*value).into()),
            Self::U32(value) => Some((*value).into()),
            Self::I32(value) => Some((*value).into()),
            Self::U64(value) => Some((*value).into()),
            Self::I64(value) => Some((*value).into()),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::Text(_) | Self::Array(_) => None,
        }
    }

    /// The value as a float, integers included; `None` if it is no number.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::F32(value) => Some((*value).into()),
            Self::F64(value) => Some(*value),
            _ => self.integer().map(|value| value as f64),
        }
    }

    /// What the value is, for a message.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Bool(value) => format!("{value}"),
            Self::F32(value) => format!("{value}"),
            Self::F64(value) => format!("{value}"),
            Self::Text(_) => "a text".to_owned(),
            Self::Array(array) => format!("an array of {} elements", array.len()),
            _ => self.integer().map(|value| value.to_string()).unwrap_or_default(),
        }
    }
}

impl Array {
    /// Reads element type, count and elements; `depth` is 1 for an array that lies in no other.
    fn read(cursor: &mut Cursor<'_>, depth: usize) -> Result<Self, Fault> {
        if depth > DEEPEST {
            return Err(Fault::TooDeep { deepest: DEEPEST });
        }
        let element = cursor.u32()?;
        let count = cursor.count(least_bytes(element)?)?;
        Ok(match element {
            code::U8 => Self::U8(cursor.take(count)?.to_vec()),
            code::I8 => Self::I8(cursor.numbers(count, i8::from_le_bytes)?),
            code::U16 => Self::U16(cursor.numbers(count, u16::from_le_bytes)?),
            code::I16 => Self::I16(cursor.numbers(count, i16::from_le_bytes)?),
            code::U32 => Self::U32(cursor.numbers(count, u32::from_le_bytes)?),
            code::I32 => Self::I32(cursor.numbers(count, i32::from_le_bytes)?),
            code::U64 => Self::U64(cursor.numbers(count, u64::from_le_bytes)?),
            code::I64 => Self::I64(cursor.numbers(count, i64::from_le_bytes)?),
            code::F32 => Self::F32(cursor.numbers(count, f32::from_le_bytes)?),
            code::F64 => Self::F64(cursor.numbers(count, f64::from_le_bytes)?),
            code::BOOL => Self::Bool(
                cursor
                    .take(count)?
                    .iter()
                    .map(|byte| truth(*byte))
                    .collect::<Result<_, _>>()?,
            ),
            code::TEXT => {
                // Grown as texts are read: an empty one takes three times the room of its bytes in the file.
                let mut texts = Vec::new();
                for _ in 0..count {
                    texts.push(cursor.text()?);
                }
                Self::Text(texts)
            }
            code::ARRAY => {
                let mut arrays = Vec::new();
                for _ in 0..count {
                    arrays.push(Self::read(cursor, depth.saturating_add(1))?);
                }
                Self::Nested(arrays)
            }
            code => return Err(Fault::ValueType { code }),
        })
    }

    /// Number of elements; those of inner arrays are not counted.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Nested(values) => values.len(),
        }
    }

    /// The elements as integers, whatever their width; `None` if they are none.
    pub(super) fn integers(&self) -> Option<Box<dyn Iterator<Item = i128> + '_>> {
        Some(match self {
            Self::U8(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::I8(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::U16(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::I16(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::U32(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::I32(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::U64(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::I64(values) => Box::new(values.iter().map(|value| (*value).into())),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::Text(_) | Self::Nested(_) => return None,
        })
    }
}

/// Bytes that one element takes at least.
fn least_bytes(element: u32) -> Result<usize, Fault> {
    match element {
        code::U8 | code::I8 | code::BOOL => Ok(1),
        code::U16 | code::I16 => Ok(2),
        code::U32 | code::I32 | code::F32 => Ok(4),
        code::U64 | code::I64 | code::F64 | code::TEXT => Ok(8),
        // Element type and count.
        code::ARRAY => Ok(12),
        code => Err(Fault::ValueType { code }),
    }
}

fn truth(byte: u8) -> Result<bool, Fault> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Fault::NotBool { found }),
    }
}
