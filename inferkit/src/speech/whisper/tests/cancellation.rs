//! Readers that go, lines that are full, engines that end.

use futures_util::StreamExt;

use super::golden::engine;
use super::transcripts::recording;
use crate::speech::whisper::decoding::Thresholds;
use crate::task::TranscriptionEvent;

#[tokio::test]
async fn a_reader_that_goes_frees_its_place() {
    let engine = engine(1, Thresholds::default()).await;
    let long = recording(120.0);
    // Two at work and two in line fill the engine.
    let streams: Vec<_> = (0..4).map(|_| engine.submit(long.clone()).unwrap()).collect();
    let error = engine.submit(recording(1.0)).unwrap_err();
    assert_eq!(error.code(), "queue_full");
    drop(streams);
    let begun = std::time::Instant::now();
    loop {
        // Refused until the thread has seen that the readers are gone, which it does before its next step.
        if let Ok(mut stream) = engine.submit(recording(0.0)) {
            let event = stream.next().await.unwrap().unwrap();
            assert!(matches!(event, TranscriptionEvent::Done { .. }), "{event:?}");
            break;
        }
        assert!(begun.elapsed().as_secs() < 30, "the places are never free");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn transcripts_in_progress_end_with_an_error_when_the_engine_is_dropped() {
    let engine = engine(1, Thresholds::default()).await;
    let mut stream = engine.submit(recording(120.0)).unwrap();
    drop(engine);
    let last = stream.by_ref().fold(None, |_, event| async { Some(event) }).await;
    assert_eq!(last.unwrap().unwrap_err().code(), "model_not_loaded");
    assert!(stream.next().await.is_none(), "an error is the last event");
}
