//! The reader against golden files, hand-made files, and hostile ones.

mod hostile;
mod memory;
mod split;

use std::path::Path;
use std::path::PathBuf;

use super::Array;
use super::Directory;
use super::GgmlType;
use super::Gguf;
use super::GgufWriter;
use super::Metadata;
use super::Value;
use crate::error::Error;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/llm/gguf")
        .join(name)
}

/// The metadata of a file with one key.
fn one_key(value: Value) -> Metadata {
    let file = GgufWriter::new().key("key", value).bytes();
    Directory::parse("test.gguf", &file).unwrap().metadata().clone()
}

#[test]
fn every_golden_file_opens_and_each_tensor_has_its_bytes() {
    let mut files = 0;
    for entry in std::fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        let model = Gguf::open(&path).unwrap();
        assert!(model.names().count() > 10, "{path:?}");
        let mut total = 0;
        for name in model.names() {
            let view = model.need(name).unwrap();
            let block = view.kind.block().unwrap();
            let elements: usize = view.shape.iter().product();
            assert_eq!(
                view.bytes.len(),
                elements / block.elements * block.bytes,
                "{path:?}: {name}"
            );
            total += view.bytes.len();
        }
        assert_eq!(model.bytes_total(), total);
        files += 1;
    }
    assert_eq!(files, 14);
}

#[test]
fn the_reference_reads_the_same_tensors_from_a_golden_file() {
    let path = golden("llama-Q4_K_mix.gguf");
    let (model, content) = (Gguf::open(&path).unwrap(), std::fs::read(&path).unwrap());
    let mut stream = std::io::Cursor::new(&content);
    let reference = candle_core::quantized::gguf_file::Content::read(&mut stream).unwrap();
    assert_eq!(reference.tensor_infos.len(), model.names().count());
    assert_eq!(reference.metadata.len(), model.metadata().keys().count());
    for name in model.names() {
        let view = model.need(name).unwrap();
        let other = reference.tensor(&mut stream, name, &candle_core::Device::Cpu).unwrap();
        assert_eq!(other.shape().dims(), view.shape, "{name}");
        assert_eq!(other.data().unwrap().as_ref(), view.bytes, "{name}");
    }
}

#[test]
fn shapes_are_outermost_first() {
    let model = Gguf::open(&golden("llama-Q8_0.gguf")).unwrap();
    let view = model.need("token_embd.weight").unwrap();
    let width = model
        .metadata()
        .need("llama.embedding_length", Metadata::usize)
        .unwrap();
    assert_eq!((view.shape.len(), view.shape[1], view.kind), (2, width, GgmlType::Q8_0));
}

#[test]
fn the_vocabulary_of_a_golden_file_is_read() {
    let model = Gguf::open(&golden("qwen3-F32.gguf")).unwrap();
    let metadata = model.metadata();
    let tokens = metadata.need("tokenizer.ggml.tokens", Metadata::texts).unwrap();
    let kinds = metadata.need("tokenizer.ggml.token_type", Metadata::u32s).unwrap();
    assert_eq!(
        (tokens.len(), metadata.text("tokenizer.ggml.pre").unwrap()),
        (kinds.len(), Some("qwen2"))
    );
}

#[test]
fn every_type_of_value_reads_back_as_it_was_written() {
    let nested = Array::Nested(vec![
        Array::Text(vec!["é".to_owned()]),
        Array::Nested(vec![Array::U8(vec![1, 2])]),
    ]);
    for value in [
        Value::U8(200),
        Value::I8(-3),
        Value::U16(60_000),
        Value::I16(-300),
        Value::U32(4_000_000_000),
        Value::I32(-70_000),
        Value::U64(u64::MAX),
        Value::I64(i64::MIN),
        Value::F32(1.5),
        Value::F64(0.1),
        Value::Bool(true),
        Value::Text("text".to_owned()),
        Value::Array(Array::U8(vec![1, 2, 3])),
        Value::Array(Array::I8(vec![-1])),
        Value::Array(Array::U16(vec![1])),
        Value::Array(Array::I16(vec![-1, 1])),
        Value::Array(Array::U32(vec![7])),
        Value::Array(Array::I32(vec![-7, 7])),
        Value::Array(Array::U64(vec![u64::MAX])),
        Value::Array(Array::I64(vec![-1])),
        Value::Array(Array::F32(vec![0.5, 0.25])),
        Value::Array(Array::F64(vec![0.1])),
        Value::Array(Array::Bool(vec![true, false])),
        Value::Array(nested),
    ] {
        assert_eq!(one_key(value.clone()).get("key"), Some(&value));
    }
}

#[test]
fn an_integer_of_any_width_answers_if_it_fits() {
    for value in [
        Value::U8(7),
        Value::I8(7),
        Value::I16(7),
        Value::I32(7),
        Value::U64(7),
        Value::I64(7),
    ] {
        let metadata = one_key(value);
        assert_eq!(
            (metadata.u32("key").unwrap(), metadata.u64("key").unwrap()),
            (Some(7), Some(7))
        );
        assert_eq!(
            (metadata.usize("key").unwrap(), metadata.f32("key").unwrap()),
            (Some(7), Some(7.0))
        );
    }
    let metadata = one_key(Value::Array(Array::I32(vec![1, 3])));
    assert_eq!(metadata.u32s("key").unwrap(), Some(vec![1, 3]));
    let metadata = one_key(Value::Array(Array::F64(vec![0.5])));
    assert_eq!(metadata.f32s("key").unwrap(), Some(vec![0.5]));
}

#[test]
fn a_value_of_another_kind_is_an_error_that_names_file_key_and_value() {
    let message = |error: Error| error.to_string();
    let error = message(one_key(Value::I32(-1)).u32("key").unwrap_err());
    assert_eq!(
        error,
        "test.gguf: key \"key\": -1 where an integer of 0 to 4294967295 belongs; \
         convert the model again or take another file"
    );
    let text = one_key(Value::Text("x".repeat(1000)));
    assert!(message(text.bool("key").unwrap_err()).contains("a text where true or false belongs"));
    assert!(message(text.f32("key").unwrap_err()).contains("a number"));
    assert!(message(text.u64("key").unwrap_err()).contains("an integer from 0"));
    assert!(message(text.usize("key").unwrap_err()).contains("a count"));
    let array = one_key(Value::Array(Array::I32(vec![-1])));
    assert!(message(array.text("key").unwrap_err()).contains("an array of 1 elements"));
    assert!(message(array.texts("key").unwrap_err()).contains("an array of texts"));
    assert!(message(array.f32s("key").unwrap_err()).contains("an array of floats"));
    assert!(message(array.u32s("key").unwrap_err()).contains("an array of integers"));
    assert!(message(one_key(Value::F32(0.5)).u32("key").unwrap_err()).contains("0.5 where"));
    assert!(message(one_key(Value::F64(0.5)).bool("key").unwrap_err()).contains("0.5 where"));
    assert!(message(one_key(Value::Bool(true)).u32("key").unwrap_err()).contains("true where"));
}

#[test]
fn an_absent_key_is_none_unless_it_is_needed() {
    let metadata = one_key(Value::U8(1));
    assert_eq!(metadata.u32("other").unwrap(), None);
    let error = metadata.need("other", Metadata::u32).unwrap_err();
    assert_eq!(error.code(), "bad_model");
    assert!(
        error.to_string().starts_with("test.gguf: key \"other\" is missing; "),
        "{error}"
    );
}

#[test]
fn an_empty_array_is_empty_whatever_its_type() {
    let metadata = one_key(Value::Array(Array::U8(Vec::new())));
    assert_eq!(metadata.texts("key").unwrap(), Some([].as_slice()));
    assert_eq!(metadata.u32s("key").unwrap(), Some(Vec::new()));
    assert_eq!(metadata.f32s("key").unwrap(), Some(Vec::new()));
}

#[test]
fn versions_2_and_3_and_any_alignment_are_read() {
    for (version, alignment) in [(2, 32_u32), (3, 8), (3, 1), (3, 4096)] {
        let writer = GgufWriter {
            version,
            alignment: alignment as usize,
            ..GgufWriter::new()
        };
        let file = writer
            .key("general.alignment", Value::U32(alignment))
            .tensor("a", &[3], 0, &[1; 12])
            .tensor("b", &[1], 0, &[2; 4])
            .bytes();
        let directory = Directory::parse("test.gguf", &file).unwrap();
        assert_eq!(directory.view(&file, "a").unwrap().unwrap().bytes, [1; 12]);
        assert_eq!(directory.view(&file, "b").unwrap().unwrap().bytes, [2; 4]);
    }
}

#[test]
fn a_tensor_without_dimensions_is_one_number_and_an_empty_one_has_no_bytes() {
    let file = GgufWriter::new()
        .tensor("one", &[], 0, &[1; 4])
        .tensor("none", &[32, 0], 8, &[])
        .bytes();
    let directory = Directory::parse("test.gguf", &file).unwrap();
    let view = directory.view(&file, "one").unwrap().unwrap();
    assert_eq!((view.shape, view.bytes), (vec![], [1; 4].as_slice()));
    let view = directory.view(&file, "none").unwrap().unwrap();
    assert_eq!((view.shape, view.bytes), (vec![0, 32], [].as_slice()));
}

#[test]
fn a_type_that_is_not_known_fails_only_when_the_tensor_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let writer = GgufWriter::new()
        .tensor("strange", &[32], 39, &[0; 17])
        .tensor("plain", &[1], 0, &[1; 4]);
    std::fs::write(&path, writer.bytes()).unwrap();
    let model = Gguf::open(&path).unwrap();
    assert_eq!(model.need("plain").unwrap().bytes, [1; 4]);
    let error = model.tensor("strange").unwrap_err();
    assert_eq!(error.code(), "unsupported_model");
    assert!(
        error
            .to_string()
            .starts_with("model.gguf: tensor \"strange\": type MXFP4 (39) is not supported; ")
    );
}

#[test]
fn a_missing_tensor_is_none_unless_it_is_needed() {
    let model = Gguf::open(&golden("llama-F32.gguf")).unwrap();
    assert!(model.tensor("blk.99.attn_q.weight").unwrap().is_none());
    assert!(!model.contains("blk.99.attn_q.weight"));
    let error = model.need("blk.99.attn_q.weight").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("llama-F32.gguf: tensor \"blk.99.attn_q.weight\" is missing; "),
        "{error}"
    );
}
