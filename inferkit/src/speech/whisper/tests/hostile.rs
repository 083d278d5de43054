//! Folders that are no sound model.

use std::path::Path;

use super::golden::model_folder;
use crate::error::Error;
use crate::hub::Hub;
use crate::hub::Source;
use crate::speech::whisper::WhisperModel;
use crate::speech::whisper::WhisperOptions;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;
use crate::wrapper::ModelWrapper;

async fn load(folder: &Path, options: WhisperOptions) -> Result<Loaded, Error> {
    let hub = Hub::builder(folder).offline(true).build().unwrap();
    let model = WhisperModel::new(Source::path(folder), hub).with_options(options);
    model.load(&LoadOptions::default(), &Job::new()).await
}

/// A copy of the small model's folder in which `file` is what `change` makes of it.
fn changed(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model_folder()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join(file);
    std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
    folder
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |content| {
        let text = String::from_utf8(content).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    }
}

#[tokio::test]
async fn files_that_contradict_each_other_are_refused_by_name() {
    for (folder, text) in [
        (
            changed("config.json", replaced("\"d_model\": 32", "\"d_model\": 64")),
            "shape",
        ),
        (
            changed(
                "config.json",
                replaced("\"decoder_layers\": 2", "\"decoder_layers\": 3"),
            ),
            "decoder.layers.2",
        ),
        (
            changed(
                "config.json",
                replaced("\"encoder_layers\": 2", "\"encoder_layers\": 900000"),
            ),
            "encoder.layers.2",
        ),
        (
            changed("generation_config.json", replaced("[0, 1]", "[9, 1]")),
            "alignment_heads",
        ),
        (
            changed("tokenizer.json", replaced("<|startofprev|>", "<|startofnothing|>")),
            "<|startofprev|>",
        ),
        (
            changed("model.safetensors", |content| content[..content.len() / 2].to_vec()),
            "model.safetensors",
        ),
        (changed("tokenizer.json", |_| b"{}".to_vec()), "tokenizer.json"),
        (changed("config.json", |_| vec![b'['; 100_000]), "config.json"),
    ] {
        let error = load(folder.path(), WhisperOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_budget_that_is_too_small_is_told_with_both_numbers() {
    let options = WhisperOptions {
        memory_budget: Some(1000),
        ..WhisperOptions::default()
    };
    let error = load(&model_folder(), options).await.unwrap_err();
    assert_eq!(error.code(), "insufficient_memory");
    assert!(error.to_string().contains("the memory budget is 1000 bytes"), "{error}");
}

#[tokio::test]
async fn a_loaded_model_says_what_it_can_and_refuses_what_it_cannot() {
    use crate::task::TranscriptionRequest;
    let loaded = load(&model_folder(), WhisperOptions::default()).await.unwrap();
    assert!(loaded.memory.weights_bytes > 0 && loaded.memory.cache_bytes > 0);
    let model = loaded.transcription.unwrap();
    let capabilities = model.capabilities();
    assert_eq!(capabilities.languages, ["en", "zh", "de", "es"]);
    assert_eq!(capabilities.translations.len(), 3);
    assert_eq!((capabilities.default_language, capabilities.word_times), (None, true));
    let request = || TranscriptionRequest::new(vec![0.0; 1600].into());
    let language = TranscriptionRequest {
        language: Some("xx".to_owned()),
        ..request()
    };
    let target = TranscriptionRequest {
        target_language: Some("de".to_owned()),
        ..request()
    };
    let punctuation = TranscriptionRequest {
        punctuation: Some(false),
        ..request()
    };
    let temperature = TranscriptionRequest {
        temperature: 1.5,
        ..request()
    };
    let prompt = TranscriptionRequest {
        prompt: Some("x".repeat(1 << 20)),
        ..request()
    };
    for (request, field) in [
        (language, "language"),
        (target, "target_language"),
        (punctuation, "punctuation"),
        (temperature, "temperature"),
        (prompt, "prompt"),
    ] {
        let error = model.transcribe(request).await.err().unwrap();
        assert_eq!(error.param(), Some(field), "{error}");
    }
}
