//! What the tests of these modules share: golden files and the tokenizers they belong to.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::timed::Timed;
use super::timed::TimedText;
use super::tokenizer::CanaryTokenizer;
use crate::formats::nemo::NemoArchive;
use crate::formats::sentencepiece::SentencePiece;
use crate::formats::yaml;
use crate::job::Job;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/canary")
        .join(name)
}

/// A golden file of numbers and texts.
pub(super) fn golden(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

/// A golden archive.
pub(super) fn archive(model: &str) -> NemoArchive {
    NemoArchive::open(&path(&format!("{model}.nemo")), &Job::new()).unwrap()
}

/// The tokenizer section of a golden archive.
fn section(archive: &NemoArchive, config: &str) -> Value {
    let config: Value = yaml::read(config, archive.member(config).unwrap().bytes()).unwrap();
    config["tokenizer"].clone()
}

/// The tokenizer of a golden archive.
pub(super) fn tokenizer(model: &str) -> CanaryTokenizer {
    let archive = archive(model);
    CanaryTokenizer::read(&archive, &section(&archive, "model_config.yaml")).unwrap()
}

/// The tokenizer of the golden model whose aligner uses the same pieces.
pub(super) fn single_tokenizer() -> SentencePiece {
    let archive = archive("canary-1b-v2");
    let section = section(&archive, "timestamps_asr_model_config.yaml");
    let member = section["model_path"].as_str().unwrap().strip_prefix("nemo:").unwrap();
    SentencePiece::read(member, archive.member(member).unwrap().bytes()).unwrap()
}

pub(super) fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub(super) fn id(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

pub(super) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(id).collect()
}

/// Compares words and segments with golden lists: texts and frames exactly, seconds to a millionth.
pub(super) fn check_times(found: &TimedText, expected: &Value, which: &str) {
    for (key, found) in [("word", &found.words), ("segment", &found.segments)] {
        check_frames(found, expected, key, which);
        for (found, expected) in found.iter().zip(expected[key].as_array().unwrap()) {
            for (found, key) in [(found.start_seconds, "start"), (found.end_seconds, "end")] {
                let expected = expected[key].as_f64().unwrap();
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{which}: {key} at {found}, not {expected}"
                );
            }
        }
    }
}

/// Compares the texts and frames of one list, `word` or `segment`.
pub(super) fn check_frames(found: &[Timed], expected: &Value, key: &str, which: &str) {
    let expected = expected[key].as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{which}: number of {key}s");
    for (found, expected) in found.iter().zip(expected) {
        let frames = [&expected["start_offset"], &expected["end_offset"]].map(|frame| frame.as_i64().unwrap());
        assert_eq!(
            (found.text.as_str(), [found.start_frame, found.end_frame]),
            (expected[key].as_str().unwrap(), frames),
            "{which}"
        );
    }
}
