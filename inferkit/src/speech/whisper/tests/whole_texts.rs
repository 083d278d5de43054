//! The demo's Whisper writes what the reference implementation writes.

use std::path::Path;
use std::path::PathBuf;

use futures_util::StreamExt;

use super::recordings::read;
use crate::hub::Hub;
use crate::hub::Source;
use crate::speech::whisper::WhisperModel;
use crate::speech::whisper::WhisperOptions;
use crate::task::Samples;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;
use crate::task::TranscriptionModel;
use crate::task::TranscriptionRequest;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::ModelWrapper;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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

#[tokio::test]
async fn try_it() {
    let folder = repository().join("models/demo/whisper");
    let hub = Hub::builder(repository().join("models")).offline(true).build().unwrap();
    let model = WhisperModel::new(Source::path(&folder), hub).with_options(WhisperOptions::default());
    let loaded = model.load(&LoadOptions::default(), &Job::new()).await.unwrap();
    let model = loaded.transcription.unwrap();
    for file in std::env::var("TRY").unwrap_or_default().split(' ') {
        let samples = read(Path::new(file));
        let begun = std::time::Instant::now();
        let times = if std::env::var("WORDS").is_ok() { TimeDetail::Word } else { TimeDetail::Segment };
        for segment in segments(&*model, samples, times).await {
            println!("{:.2} {:.2} {}", segment.start_seconds, segment.end_seconds, segment.text);
            for word in &segment.words {
                println!("    {:.2} {:.2} {} {:?}", word.start_seconds, word.end_seconds, word.text, word.probability);
            }
            println!("    {:?}", segment.decoding);
        }
        println!("{file}: {:?}", begun.elapsed());
    }
}
