//! Writes small GGUF files, right ones and broken ones, for the tests of whoever reads them.

use super::value::Array;
use super::value::Value;

/// A GGUF file in the making. What it writes is right unless a test makes it wrong.
#[derive(Debug, Clone)]
pub(crate) struct GgufWriter {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    /// Key and value in order.
    pub(crate) metadata: Vec<(String, Value)>,
    pub(crate) tensors: Vec<WrittenTensor>,
    /// Instead of the number of tensors.
    pub(crate) claimed_tensors: Option<u64>,
    /// Instead of the number of keys.
    pub(crate) claimed_keys: Option<u64>,
}

/// A tensor to be written.
#[derive(Debug, Clone)]
pub(crate) struct WrittenTensor {
    pub(crate) name: String,
    /// In the file's order: contiguous dimension first.
    pub(crate) dimensions: Vec<u64>,
    pub(crate) code: u32,
    pub(crate) bytes: Vec<u8>,
    /// Instead of the place where the bytes are written.
    pub(crate) offset: Option<u64>,
}

impl GgufWriter {
    pub(crate) fn new() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            alignment: 32,
            metadata: Vec::new(),
            tensors: Vec::new(),
            claimed_tensors: None,
            claimed_keys: None,
        }
    }

    #[must_use]
    pub(crate) fn key(mut self, key: &str, value: Value) -> Self {
        self.metadata.push((key.to_owned(), value));
        self
    }

    /// Adds a tensor with dimensions in the file's order: contiguous dimension first.
    #[must_use]
    pub(crate) fn tensor(mut self, name: &str, dimensions: &[u64], code: u32, bytes: &[u8]) -> Self {
        let (name, dimensions, bytes) = (name.to_owned(), dimensions.to_vec(), bytes.to_vec());
        self.tensors.push(WrittenTensor {
            name,
            dimensions,
            code,
            bytes,
            offset: None,
        });
        self
    }

    /// Says that the tensor added last lies at `offset`.
    #[must_use]
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.tensors.last_mut().unwrap().offset = Some(offset);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.claimed_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.claimed_keys.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            text(&mut out, key);
            out.extend(value_code(value).to_le_bytes());
            write_value(&mut out, value);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            data.resize(data.len().next_multiple_of(self.alignment), 0);
            text(&mut out, &tensor.name);
            out.extend(u32::try_from(tensor.dimensions.len()).unwrap().to_le_bytes());
            tensor.dimensions.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(tensor.code.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value_code(value: &Value) -> u32 {
    match value {
        Value::U8(_) => 0,
        Value::I8(_) => 1,
        Value::U16(_) => 2,
        Value::I16(_) => 3,
        Value::U32(_) => 4,
        Value::I32(_) => 5,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::Array(_) => 9,
        Value::U64(_) => 10,
        Value::I64(_) => 11,
        Value::F64(_) => 12,
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(value) => out.push(*value),
        Value::I8(value) => out.extend(value.to_le_bytes()),
        Value::U16(value) => out.extend(value.to_le_bytes()),
        Value::I16(value) => out.extend(value.to_le_bytes()),
        Value::U32(value) => out.extend(value.to_le_bytes()),
        Value::I32(value) => out.extend(value.to_le_bytes()),
        Value::U64(value) => out.extend(value.to_le_bytes()),
        Value::I64(value) => out.extend(value.to_le_bytes()),
        Value::F32(value) => out.extend(value.to_le_bytes()),
        Value::F64(value) => out.extend(value.to_le_bytes()),
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Text(value) => text(out, value),
        Value::Array(array) => write_array(out, array),
    }
}

fn write_array(out: &mut Vec<u8>, array: &Array) {
    let elements: Vec<Value> = match array {
        Array::U8(values) => values.iter().copied().map(Value::U8).collect(),
        Array::I8(values) => values.iter().copied().map(Value::I8).collect(),
        Array::U16(values) => values.iter().copied().map(Value::U16).collect(),
        Array::I16(values) => values.iter().copied().map(Value::I16).collect(),
        Array::U32(values) => values.iter().copied().map(Value::U32).collect(),
        Array::I32(values) => values.iter().copied().map(Value::I32).collect(),
        Array::U64(values) => values.iter().copied().map(Value::U64).collect(),
        Array::I64(values) => values.iter().copied().map(Value::I64).collect(),
        Array::F32(values) => values.iter().copied().map(Value::F32).collect(),
        Array::F64(values) => values.iter().copied().map(Value::F64).collect(),
        Array::Bool(values) => values.iter().copied().map(Value::Bool).collect(),
        Array::Text(values) => values.iter().cloned().map(Value::Text).collect(),
        Array::Nested(values) => values.iter().cloned().map(Value::Array).collect(),
    };
    out.extend(elements.first().map_or(0, value_code).to_le_bytes());
    out.extend((elements.len() as u64).to_le_bytes());
    for value in &elements {
        write_value(out, value);
    }
}
