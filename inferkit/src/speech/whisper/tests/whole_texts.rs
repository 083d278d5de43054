//! The demo's Whisper writes what transformers writes.

use std::path::Path;

use futures_util::StreamExt;
use serde_json::Value;

use super::golden;
use super::recordings;
use crate::hub::Hub;
use crate::hub::Source;
use crate::speech::whisper::WhisperModel;
use crate::task::Samples;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;
use crate::task::TranscriptionModel;
use crate::task::TranscriptionRequest;
use crate::testing::skip;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;
use crate::wrapper::ModelWrapper;

/// The demo's model, if `scripts/fetch_demo_models.py` has put it there.
async fn demo_model() -> Option<Loaded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/whisper");
    if !folder.join("model.safetensors").is_file() {
        skip("no demo Whisper: run scripts/fetch_demo_models.py whisper");
        return None;
    }
    let hub = Hub::builder(&folder).offline(true).build().unwrap();
    let model = WhisperModel::new(Source::path(&folder), hub);
    Some(model.load(&LoadOptions::default(), &Job::new()).await.unwrap())
}

fn expected() -> Vec<Value> {
    let text = std::fs::read_to_string(golden::folder().join("texts.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    golden["texts"].as_array().unwrap().clone()
}

async fn segments(model: &dyn TranscriptionModel, samples: Samples, times: TimeDetail) -> Vec<Segment> {
    let request = TranscriptionRequest::new(samples).with_times(times);
    let mut events = model.transcribe(request).await.unwrap();
    let mut segments = Vec::new();
    while let Some(event) = events.next().await {
        if let TranscriptionEvent::Segment(segment) = event.unwrap() {
            segments.push(segment);
        }
    }
    segments
}

fn joined(segments: &[Segment]) -> String {
    let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    texts.join(" ")
}

/// Compares the recordings that are meant, of those that are here.
async fn check(is_meant: impl Fn(&Samples) -> bool) {
    let Some(loaded) = demo_model().await else { return };
    let model = loaded.transcription.unwrap();
    for case in expected() {
        let name = case["recording"].as_str().unwrap();
        let Some(path) = recordings::find(name) else {
            skip(&format!("recording {name} is not here"));
            continue;
        };
        let samples = recordings::read(&path);
        if !is_meant(&samples) {
            continue;
        }
        let found = joined(&segments(&*model, samples, TimeDetail::Segment).await);
        // What is drawn by chance differs from one implementation to the next.
        if case["is_drawn"] == true {
            let certain = case["certain"].as_str().unwrap();
            assert!(found.starts_with(certain), "{name}: {found:?}, not {certain:?}");
        } else {
            assert_eq!(found, case["text"].as_str().unwrap(), "{name}");
        }
    }
}

#[tokio::test]
async fn short_recordings_have_the_text_that_transformers_writes() {
    check(|samples| samples.len() < 40_000).await;
}

/// Takes some seconds: with the demo's models, half a minute of people on the telephone is among them.
#[tokio::test]
async fn long_recordings_have_the_text_that_transformers_writes() {
    check(|samples| samples.len() >= 40_000).await;
}

#[tokio::test]
async fn words_lie_in_their_segment_one_after_another() {
    let (Some(loaded), Some(path)) = (demo_model().await, recordings::find("2_en.flac")) else {
        skip("recording 2_en.flac or the demo's Whisper is not here");
        return;
    };
    let samples = recordings::read(&path);
    let found = segments(&*loaded.transcription.unwrap(), samples, TimeDetail::Word).await;
    let words: Vec<&str> = found[0].words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words, ["Turn", "on", "the", "garden", "light."]);
    let times = found[0]
        .words
        .iter()
        .flat_map(|word| [word.start_seconds, word.end_seconds]);
    assert!(times.clone().is_sorted(), "{found:?}");
    assert!(times.clone().all(|time| (0.0..2.4).contains(&time)), "{found:?}");
}
