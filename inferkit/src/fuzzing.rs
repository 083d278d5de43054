//! What the fuzz targets in `inferkit/fuzz` call: each reader of untrusted bytes, and the promises it makes.
//!
//! Exists under `cargo fuzz`, and in the unit tests, which replay the corpus and feed mutated files through the same
//! functions. A broken promise is a panic here.

use std::io::Cursor;

use crate::audio::DecodeOptions;
use crate::audio::SAMPLE_RATE;
use crate::audio::decode;
use crate::chat::fuzzing as chat;
use crate::formats::gguf::Directory;
use crate::formats::gguf::Metadata;
use crate::formats::nemo::Members;
use crate::formats::npz;
use crate::formats::safetensors::Header;
use crate::formats::safetensors::Index;
use crate::formats::sentencepiece::SentencePiece;
use crate::formats::torch;
use crate::formats::yaml;
use crate::job::Job;
use crate::speech::fuzzing as speech;

/// Reads `file` as GGUF: every view has exactly the bytes that type and shape need, and no question panics.
pub fn gguf(file: &[u8]) {
    let Ok(directory) = Directory::parse("fuzz.gguf", file) else {
        return;
    };
    ask_everything(directory.metadata());
    let mut total = 0;
    for name in directory.names() {
        let Ok(view) = directory.view(file, name) else { continue };
        let view = view.unwrap_or_else(|| unreachable!("{name:?} is listed and cannot be found"));
        let block = view
            .kind
            .block()
            .unwrap_or_else(|| unreachable!("{name:?} was handed out without a size"));
        let elements: usize = view.shape.iter().product();
        assert_eq!(view.bytes.len(), elements / block.elements * block.bytes, "{name:?}");
        total += view.bytes.len();
    }
    assert!(total <= file.len(), "tensors share bytes");
}

/// Reads `file` as safetensors and as an index of shards: views have exactly the bytes that type and shape need.
pub fn safetensors(file: &[u8]) {
    if let Ok(index) = Index::parse(file) {
        assert!(
            index.files().all(|file| !file.contains(['/', '\\'])),
            "a shard outside of the folder"
        );
    }
    let Ok(header) = Header::parse(file) else { return };
    assert!(header.bytes_total() <= file.len(), "tensors share bytes");
    for name in header.names() {
        let Ok(view) = header.view(file, name) else { continue };
        let view = view.unwrap_or_else(|| unreachable!("{name:?} is listed and cannot be found"));
        let elements: usize = view.shape.iter().product();
        assert_eq!(view.bytes.len(), elements * view.dtype.bytes(), "{name:?}");
    }
}

/// Reads `file` as a PyTorch checkpoint: views have exactly the bytes that type and shape need.
pub fn torch(file: &[u8]) {
    let Ok(directory) = torch::Directory::parse(file) else {
        return;
    };
    for name in directory.names() {
        let Ok(view) = directory.view(file, name) else { continue };
        let view = view.unwrap_or_else(|| unreachable!("{name:?} is listed and cannot be found"));
        let elements: usize = view.shape.iter().product();
        assert_eq!(view.bytes.len(), elements * view.dtype.bytes(), "{name:?}");
        assert_eq!(directory.shape(name), Some(view.shape.as_slice()), "{name:?}");
    }
}

/// Reads `file` as the pickle of a checkpoint: nothing is run, and every object answers every question.
pub fn pickle(file: &[u8]) {
    torch::fuzzing::pickle(file);
}

/// Reads `file` as a `.nemo` archive: members lie inside of the file and have names that stay there.
pub fn nemo(file: &[u8]) {
    let Ok(members) = Members::parse(file) else { return };
    for name in members.names() {
        let range = members.range(name);
        let range = range.unwrap_or_else(|| unreachable!("{name:?} is listed and cannot be found"));
        assert!(
            range.start <= range.end && range.end <= file.len(),
            "{name:?} lies outside of the file"
        );
        let leads_out = name.split(['/', '\\']).any(|part| matches!(part, "" | "." | ".."));
        assert!(!leads_out, "{name:?} leads out of the archive");
    }
}

/// Reads `file` as an `.npz` archive: arrays have exactly the numbers that their shape says.
pub fn npz(file: &[u8]) {
    for array in npz::read_all(file) {
        assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
    }
}

/// Reads `file` as a SentencePiece model, cuts a text with it and joins it again: ids lie in the vocabulary.
pub fn sentencepiece(file: &[u8]) {
    let Ok(tokenizer) = SentencePiece::parse(file) else {
        return;
    };
    for text in ["", " ", "Hello  world, ① ﬁne <|en|>…", "▁▁\u{0}é\u{10ffff}"] {
        let ids = tokenizer.encode(text);
        assert!(
            ids.iter().all(|id| tokenizer.piece(*id).is_some()),
            "an id outside of the vocabulary"
        );
        let _ = tokenizer.decode(&ids);
    }
}

/// Reads `file` as a YAML configuration: within the budgets, or not at all.
pub fn yaml(file: &[u8]) {
    let _ = yaml::read::<serde_json::Value>("fuzz.yaml", file);
}

/// Reads `file` as a `tokenizer.json` and as a chat template. The crates that do so may panic; that panic must not get
/// out, nor may a text come back changed.
pub fn tokenizer(file: &[u8]) {
    chat::tokenizer(file);
}

/// Reads `files` as a Whisper's configuration files and tokenizer, with a zero byte between two: sizes, tokens and heads lie
/// within the bounds that the files themselves give. A panic of the tokenizer's crate must not get out.
pub fn whisper(files: &[u8]) {
    speech::whisper(files);
}

/// Longest recording that is decoded here, in seconds; a few bytes can stand for hours of silence.
const MAX_SECONDS: f64 = 20.0;

/// Decodes `file` as a recording of any kind: samples stay within −1..=1 and the limit, and no decoder's panic gets out.
pub fn audio(file: &[u8]) {
    let options = DecodeOptions::default().with_max_seconds(MAX_SECONDS);
    match decode(Cursor::new(file.to_vec()), &options, &Job::new()) {
        Ok(recording) => {
            let seconds = recording.samples.len() as f64 / f64::from(SAMPLE_RATE);
            assert!(seconds <= MAX_SECONDS, "{seconds} seconds of sound");
            assert!(
                recording.samples.iter().all(|sample| (-1.0..=1.0).contains(sample)),
                "a sample beyond full scale"
            );
        }
        Err(error) => assert!(
            ["invalid_audio", "audio_too_long"].contains(&error.code()),
            "the file is blamed on something else: {error}"
        ),
    }
}

/// Asks for each key as each kind of value.
fn ask_everything(metadata: &Metadata) {
    for key in metadata.keys() {
        let _ = (
            metadata.u32(key),
            metadata.u64(key),
            metadata.usize(key),
            metadata.f32(key),
            metadata.bool(key),
        );
        let _ = (
            metadata.text(key),
            metadata.texts(key),
            metadata.u32s(key),
            metadata.f32s(key),
        );
    }
}

#[cfg(test)]
mod tests;
