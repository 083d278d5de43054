use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;

use super::*;
use crate::error::Error;

/// Takes a step for each message it gets, then answers or panics.
struct Fake {
    steps: Mutex<mpsc::Receiver<&'static str>>,
}

impl Diarize for Fake {
    fn diarize(&self, samples: &[f32], _: SpeakerBounds, listener: &dyn Listener) -> Result<DiarizationResult> {
        loop {
            match self.steps.lock().unwrap_or_else(PoisonError::into_inner).recv() {
                Ok("progress") => listener.progress(1.0, samples.len() as f64),
                Ok("panic") => panic!("asked for"),
                Ok("check") => listener.check()?,
                Ok(_) | Err(_) => break,
            }
        }
        let mut result = DiarizationResult::default();
        result.embeddings.push(vec![1.0]);
        Ok(result)
    }
}

async fn engine(config: EngineConfig) -> (Engine, mpsc::Sender<&'static str>) {
    let (steps, taken) = mpsc::channel();
    let fake = Fake {
        steps: Mutex::new(taken),
    };
    (Engine::start(config, move || Ok((fake, ()))).await.unwrap().0, steps)
}

fn request() -> DiarizationRequest {
    DiarizationRequest::new(vec![0.0; 3].into())
}

#[tokio::test]
async fn progress_comes_before_the_result_which_is_the_last_event() {
    let (engine, steps) = engine(EngineConfig::default()).await;
    for step in ["progress", "done"] {
        steps.send(step).unwrap();
    }
    let events: Vec<_> = engine.diarize(request()).await.unwrap().collect().await;
    assert_eq!(
        events[0].as_ref().unwrap(),
        &DiarizationEvent::Progress {
            done_seconds: 1.0,
            total_seconds: 3.0
        }
    );
    assert_eq!(
        events[1].as_ref().unwrap(),
        &DiarizationEvent::Done(DiarizationResult::default())
    );
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn voices_are_in_the_result_where_asked_for() {
    let (engine, steps) = engine(EngineConfig::default()).await;
    steps.send("done").unwrap();
    let mut asked = request();
    asked.embeddings = true;
    let event = engine.diarize(asked).await.unwrap().next().await.unwrap().unwrap();
    assert!(matches!(event, DiarizationEvent::Done(result) if result.embeddings == [[1.0]]));
}

#[tokio::test]
async fn a_full_line_is_an_error_and_not_a_wait() {
    let (engine, steps) = engine(EngineConfig {
        max_queued: 1,
        ..EngineConfig::default()
    })
    .await;
    let mut first = engine.diarize(request()).await.unwrap();
    steps.send("progress").unwrap();
    first.next().await.unwrap().unwrap();
    let _second = engine.diarize(request()).await.unwrap();
    let error = engine.diarize(request()).await.err().unwrap();
    assert_eq!(error.code(), "queue_full");
    steps.send("done").unwrap();
}

#[tokio::test]
async fn a_request_that_waits_too_long_is_told_so() {
    let (engine, steps) = engine(EngineConfig {
        queue_timeout: Duration::from_millis(10),
        ..EngineConfig::default()
    })
    .await;
    let mut first = engine.diarize(request()).await.unwrap();
    steps.send("progress").unwrap();
    first.next().await.unwrap().unwrap();
    let error = engine
        .diarize(request())
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.code(), "queue_timeout");
    steps.send("done").unwrap();
}

#[tokio::test]
async fn no_line_means_that_one_is_served_and_nobody_waits() {
    let (engine, steps) = engine(EngineConfig {
        max_queued: 0,
        ..EngineConfig::default()
    })
    .await;
    let mut first = engine.diarize(request()).await.unwrap();
    steps.send("progress").unwrap();
    first.next().await.unwrap().unwrap();
    assert_eq!(engine.diarize(request()).await.err().unwrap().code(), "queue_full");
    steps.send("done").unwrap();
    first.next().await.unwrap().unwrap();
    assert!(engine.diarize(request()).await.is_ok(), "the place is free again");
}

#[tokio::test]
async fn who_leaves_the_line_makes_room_while_another_is_served() {
    let (engine, steps) = engine(EngineConfig {
        max_queued: 1,
        ..EngineConfig::default()
    })
    .await;
    let mut first = engine.diarize(request()).await.unwrap();
    steps.send("progress").unwrap();
    first.next().await.unwrap().unwrap();
    let second = engine.diarize(request()).await.unwrap();
    assert_eq!(engine.queue(), Some(QueueDepth::new(1, 1)));
    drop(second);
    assert_eq!(engine.queue(), Some(QueueDepth::new(1, 0)), "at once");
    let mut next = engine.diarize(request()).await.unwrap();
    for step in ["done", "done"] {
        steps.send(step).unwrap();
    }
    assert!(first.next().await.unwrap().is_ok());
    assert!(next.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_reader_who_leaves_ends_the_work_and_the_next_is_served() {
    let (engine, steps) = engine(EngineConfig::default()).await;
    let mut first = engine.diarize(request()).await.unwrap();
    steps.send("progress").unwrap();
    first.next().await.unwrap().unwrap();
    drop(first);
    for step in ["check", "done"] {
        steps.send(step).unwrap();
    }
    let event = engine.diarize(request()).await.unwrap().next().await.unwrap().unwrap();
    assert!(matches!(event, DiarizationEvent::Done(_)));
}

#[tokio::test]
async fn a_panic_ends_its_request_with_a_reason_and_no_other() {
    let (engine, steps) = engine(EngineConfig::default()).await;
    for step in ["panic", "done"] {
        steps.send(step).unwrap();
    }
    let error = engine
        .diarize(request())
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().ends_with("it panicked: asked for"), "{error}");
    assert!(engine.diarize(request()).await.unwrap().next().await.unwrap().is_ok());
}

#[tokio::test]
async fn contradictory_bounds_are_refused_before_the_line() {
    let (engine, _steps) = engine(EngineConfig::default()).await;
    let mut asked = request();
    (asked.min_speakers, asked.max_speakers) = (NonZeroUsize::new(3), NonZeroUsize::new(2));
    assert_eq!(engine.diarize(asked).await.err().unwrap().code(), "invalid_value");
}

#[tokio::test]
async fn dropping_the_engine_ends_the_work() {
    let (engine, steps) = engine(EngineConfig::default()).await;
    let mut stream = engine.diarize(request()).await.unwrap();
    steps.send("progress").unwrap();
    stream.next().await.unwrap().unwrap();
    let dropped = tokio::task::spawn_blocking(move || drop(engine));
    // Asked until the engine's end is seen.
    while !dropped.is_finished() {
        let _ = steps.send("check");
        tokio::task::yield_now().await;
    }
    dropped.await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), "model_not_loaded");
}

#[tokio::test]
async fn what_fails_while_it_is_built_is_told() {
    let failed = Engine::start(EngineConfig::default(), || Err::<(Fake, ()), _>(Error::bad_model("x"))).await;
    assert_eq!(failed.err().unwrap().code(), "bad_model");
    let panicked = Engine::start(EngineConfig::default(), || -> Result<(Fake, ())> { panic!("boom") }).await;
    assert!(panicked.err().unwrap().to_string().contains("panicked: boom"));
}
