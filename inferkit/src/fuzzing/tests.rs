//! The fuzz corpus: its seeds are written here, and every input is replayed through its reader.

mod readers;

use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::formats::gguf::Array;
use crate::formats::gguf::GgufWriter;
use crate::formats::gguf::Value;

/// Set to write the seeds instead of comparing them.
const WRITE: &str = "INFERKIT_WRITE_FUZZ_SEEDS";

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn every_kind_of_value() -> GgufWriter {
    GgufWriter::new()
        .key("general.architecture", Value::Text("qwen3".to_owned()))
        .key("u8", Value::U8(1))
        .key("i8", Value::I8(-1))
        .key("u16", Value::U16(2))
        .key("i16", Value::I16(-2))
        .key("u32", Value::U32(3))
        .key("i32", Value::I32(-3))
        .key("u64", Value::U64(4))
        .key("i64", Value::I64(-4))
        .key("f32", Value::F32(0.5))
        .key("f64", Value::F64(0.25))
        .key("bool", Value::Bool(true))
        .key("texts", Value::Array(Array::Text(vec!["a".to_owned(), String::new()])))
        .key(
            "nested",
            Value::Array(Array::Nested(vec![Array::F32(vec![1.0]), Array::U8(Vec::new())])),
        )
}

fn two_tensors() -> GgufWriter {
    GgufWriter::new()
        .key("general.alignment", Value::U32(32))
        .tensor("output.weight", &[32, 2], 8, &[7; 68])
        .tensor("blk.0.ffn_norm.weight", &[3], 0, &[1; 12])
}

fn gguf_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let part = GgufWriter::new()
        .key("split.no", Value::U16(0))
        .key("split.count", Value::U16(2));
    vec![
        ("seed-empty", GgufWriter::new().bytes()),
        ("seed-values", every_kind_of_value().bytes()),
        ("seed-tensors", two_tensors().bytes()),
        (
            "seed-unknown-type",
            GgufWriter::new().tensor("x", &[32], 39, &[0; 17]).bytes(),
        ),
        ("seed-split", part.tensor("x", &[1], 0, &[0; 4]).bytes()),
        (
            "seed-version-2",
            GgufWriter {
                version: 2,
                ..two_tensors()
            }
            .bytes(),
        ),
    ]
}

fn safetensors_file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn safetensors_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let tensors = r#"{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}}"#;
    let notes = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}   "#;
    vec![
        ("seed-empty", safetensors_file("{}", &[])),
        ("seed-tensors", safetensors_file(tensors, &[1; 10])),
        ("seed-notes", safetensors_file(notes, &[2; 2])),
        (
            "seed-index",
            br#"{"metadata":{"total_size":10},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#.to_vec(),
        ),
    ]
}

fn check_seeds(target: &str, seeds: Vec<(&'static str, Vec<u8>)>) {
    for (name, bytes) in seeds {
        let path = corpus(target).join(name);
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(corpus(target)).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(
            found == bytes,
            "{} is out of date: run the tests once with {WRITE}=1",
            path.display()
        );
    }
}

fn replay(target: &str, read: fn(&[u8])) {
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus(target)).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("replaying {}", path.display());
        read(&std::fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

#[test]
fn the_seeds_in_the_repository_are_those_written_here() {
    check_seeds("gguf", gguf_seeds());
    check_seeds("safetensors", safetensors_seeds());
}

#[test]
fn every_recording_of_the_corpus_is_read_or_refused() {
    replay("audio", super::audio);
}

#[test]
fn every_gguf_of_the_corpus_is_read_or_refused() {
    replay("gguf", super::gguf);
}

#[test]
fn every_safetensors_of_the_corpus_is_read_or_refused() {
    replay("safetensors", super::safetensors);
}

/// One of `seeds` with a few bytes replaced, and perhaps cut short.
fn mutated(seeds: Vec<(&'static str, Vec<u8>)>) -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (
        prop::sample::select(files),
        flips,
        prop::option::of(any::<prop::sample::Index>()),
    )
        .prop_map(|(mut file, flips, cut)| {
            for (at, byte) in flips {
                let at = at.index(file.len());
                file[at] = byte;
            }
            if let Some(cut) = cut {
                file.truncate(cut.index(file.len()));
            }
            file
        })
}

/// The smallest recordings of `tests/golden/audio`, one of each kind of file and encoding.
fn recordings() -> Vec<(&'static str, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/audio");
    [
        "adpcm_ima_16k.wav",
        "adpcm_ms_16k.wav",
        "mulaw_8k.wav",
        "pcm_s16_24k.aiff",
        "flac_32k.ogg",
        "flac_s24_16k.flac",
        "mp3_16k.mp3",
        "aac_16k.aac",
        "aac_44k1_stereo.m4a",
        "alac_44k1.m4a",
        "vorbis_44k1_stereo.ogg",
        "vorbis_48k.webm",
        "opus_48k.opus",
        "opus_48k_stereo.webm",
        "opus_48k.mp4",
    ]
    .into_iter()
    .map(|name| (name, std::fs::read(folder.join(name)).unwrap()))
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_recording_breaks_a_promise(file in mutated(recordings())) {
        super::audio(&file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_gguf_file_breaks_a_promise(file in mutated(gguf_seeds())) {
        super::gguf(&file);
    }

    #[test]
    fn no_change_to_a_safetensors_file_breaks_a_promise(file in mutated(safetensors_seeds())) {
        super::safetensors(&file);
    }

    #[test]
    fn what_is_read_as_safetensors_the_reference_reads_alike(file in mutated(safetensors_seeds())) {
        use crate::formats::safetensors::Header;
        let Ok(header) = Header::parse(&file) else { return Ok(()) };
        let views: Result<Vec<_>, _> = header.names().map(|name| header.view(&file, name)).collect();
        let Ok(views) = views else { return Ok(()) };
        let Ok(reference) = safetensors::SafeTensors::deserialize(&file) else {
            // The reference asks more of the notes, which are not read here.
            prop_assert!(file.windows(12).any(|bytes| bytes == b"__metadata__"), "the reference refuses it");
            return Ok(());
        };
        prop_assert_eq!(reference.len(), views.len());
        for view in views.into_iter().flatten() {
            let other = reference.tensor(view.name).unwrap();
            prop_assert_eq!((other.shape(), other.data()), (view.shape.as_slice(), view.bytes));
        }
    }
}
