//! Whole transcripts of the small model, as openai-whisper writes them.

use futures_util::StreamExt;
use serde_json::Value;

use super::golden::engine;
use super::golden::expected;
use super::golden::signal;
use super::golden::tokens;
use crate::nn::Device;
use crate::speech::whisper::decoding::Thresholds;
use crate::speech::whisper::engine::Engine;
use crate::speech::whisper::engine::Recording;
use crate::speech::whisper::engine::Task;
use crate::speech::whisper::mel::WhisperMel;
use crate::task::Samples;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;

/// Believes everything.
const CREDULOUS: Thresholds = Thresholds {
    compression_ratio: f32::INFINITY,
    average_logprob: f32::NEG_INFINITY,
    no_speech: f32::INFINITY,
};

pub(super) fn recording(seconds: f64) -> Recording {
    of_samples(signal(seconds))
}

fn of_samples(samples: Samples) -> Recording {
    Recording {
        loudest: WhisperMel::new(80).unwrap().loudest(&samples).unwrap(),
        samples,
        language: None,
        language_candidates: Vec::new(),
        task: Task::Transcribe,
        times: TimeDetail::Segment,
        prompt: Vec::new(),
        temperatures: vec![0.0],
    }
}

async fn listen(engine: &Engine, recording: Recording) -> (Vec<Segment>, String) {
    let mut events = engine.submit(recording).unwrap();
    let mut segments = Vec::new();
    let mut language = String::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            TranscriptionEvent::Segment(segment) => segments.push(segment),
            TranscriptionEvent::Done { language: found } => language = found,
            TranscriptionEvent::Progress {
                done_seconds,
                total_seconds,
            } => assert!(done_seconds <= total_seconds),
        }
    }
    (segments, language)
}

/// The sound of a case, as `make.py` pads it.
fn padded(seconds: f64) -> Samples {
    let mut samples = signal(seconds).to_vec();
    samples.resize(samples.len().max(480_000), 0.0);
    samples.into()
}

fn asked(case: &Value) -> Recording {
    let prompt = case["initial_prompt"].as_str();
    Recording {
        language: case["language"].as_str().map(str::to_owned),
        task: if case["task"] == "translate" {
            Task::Translate
        } else {
            Task::Transcribe
        },
        times: if case["word_timestamps"] == true {
            TimeDetail::Word
        } else {
            TimeDetail::Segment
        },
        prompt: prompt.map_or_else(Vec::new, |prompt| tokens().encode(&format!(" {prompt}")).unwrap()),
        ..of_samples(padded(case["seconds"].as_f64().unwrap()))
    }
}

fn check(found: &[Segment], case: &Value) {
    let seconds = case["seconds"].as_f64().unwrap().max(30.0);
    let expected: Vec<&Value> = case["segments"].as_array().unwrap().iter().collect();
    let texts = |segments: &[Segment]| segments.iter().map(|segment| segment.text.clone()).collect::<Vec<_>>();
    let expected_texts: Vec<&str> = expected
        .iter()
        .map(|segment| segment["text"].as_str().unwrap().trim())
        .collect();
    assert_eq!(texts(found), expected_texts);
    for (found, expected) in found.iter().zip(expected) {
        let close = |found: f64, field: &str, tolerance: f64| {
            // Times of the original may lie behind the end of the recording.
            let expected = expected[field].as_f64().unwrap();
            let expected = if matches!(field, "start" | "end") {
                expected.min(seconds)
            } else {
                expected
            };
            assert!((found - expected).abs() < tolerance, "{field}: {found} and {expected}");
        };
        close(found.start_seconds, "start", 1e-3);
        close(found.end_seconds, "end", 1e-3);
        let decoding = found.decoding.as_ref().unwrap();
        let tokens: Vec<u64> = decoding.tokens.iter().map(|token| u64::from(*token)).collect();
        assert_eq!(serde_json::json!(tokens), expected["tokens"]);
        let spelt = decoding
            .token_logprobs
            .iter()
            .flat_map(|entry| entry.token.bytes.clone());
        let spelt: Vec<u8> = spelt.collect();
        assert_eq!(
            String::from_utf8_lossy(&spelt).trim(),
            found.text,
            "the tokens are those of the text"
        );
        assert!(decoding.token_logprobs.iter().all(|entry| entry.token.logprob <= 0.0));
        // Sums over up to 224 tokens of f32.
        close(f64::from(decoding.average_logprob), "average_logprob", 1e-3);
        close(f64::from(decoding.no_speech_probability), "no_speech", 1e-5);
        // Another implementation of zlib compresses the same text to a byte or two more, of some thirty.
        let ratio = expected["compression_ratio"].as_f64().unwrap();
        close(f64::from(decoding.compression_ratio), "compression_ratio", 0.1 * ratio);
        check_words(found, &expected["words"], seconds);
    }
}

fn check_words(found: &Segment, expected: &Value, seconds: f64) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.words.len(), expected.len());
    for (found, expected) in found.words.iter().zip(expected) {
        assert_eq!(found.text, expected["word"].as_str().unwrap().trim());
        for (time, field) in [(found.start_seconds, "start"), (found.end_seconds, "end")] {
            let expected = expected[field].as_f64().unwrap().min(seconds);
            // Times are multiples of a frame of 20 ms, rounded to 10 ms.
            assert!(
                (time - expected).abs() < 0.011,
                "{}: {field} {time} and {expected}",
                found.text
            );
        }
        let probability = expected["probability"].as_f64().unwrap();
        assert!((f64::from(found.probability.unwrap()) - probability).abs() < 1e-3);
    }
}

#[tokio::test]
async fn transcripts_are_those_of_the_original() {
    let greedy = engine(1, CREDULOUS).await;
    let beam = engine(3, CREDULOUS).await;
    let expected = expected();
    let mut checked = 0;
    for case in expected["transcripts"].as_array().unwrap() {
        let engine = if case["beam_size"] == 3 { &beam } else { &greedy };
        let (segments, language) = listen(engine, asked(case)).await;
        assert_eq!(language, case["found_language"].as_str().unwrap());
        check(&segments, case);
        checked += 1;
    }
    assert!(checked >= 6, "{checked}");
}

#[tokio::test]
async fn a_language_is_found_among_the_candidates_only() {
    let engine = engine(1, CREDULOUS).await;
    let (_, free) = listen(&engine, recording(4.0)).await;
    let others: Vec<String> = ["en", "fr", "de"]
        .map(str::to_owned)
        .into_iter()
        .filter(|code| *code != free)
        .collect();
    let asked = Recording {
        language_candidates: others.clone(),
        ..recording(4.0)
    };
    let (_, among) = listen(&engine, asked).await;
    assert!(others.contains(&among), "{among} of {others:?}, {free} without them");
}

#[tokio::test]
async fn recordings_at_once_give_what_each_gives_alone() {
    let engine = engine(1, CREDULOUS).await;
    let alone = [
        listen(&engine, recording(5.0)).await,
        listen(&engine, recording(31.0)).await,
    ];
    let together = futures_util::join!(listen(&engine, recording(5.0)), listen(&engine, recording(31.0)));
    if Device::under_test().kernels().is_some() {
        assert_eq!([together.0, together.1], alone);
    } else {
        let texts = |(segments, _): &(Vec<Segment>, String)| -> Vec<String> {
            segments.iter().map(|segment| segment.text.clone()).collect()
        };
        assert_eq!(
            [together.0, together.1].each_ref().map(texts),
            alone.each_ref().map(texts)
        );
    }
}

#[tokio::test]
async fn a_doubtful_text_is_tried_at_higher_temperatures_and_silence_is_passed_over() {
    // Random weights repeat themselves and are never sure.
    let doubtful = Thresholds {
        average_logprob: 0.0,
        ..CREDULOUS
    };
    let asked = Recording {
        temperatures: vec![0.0, 0.5, 1.0],
        ..recording(4.0)
    };
    let (segments, _) = listen(&engine(1, doubtful).await, asked.clone()).await;
    let temperature = segments[0].decoding.as_ref().unwrap().temperature;
    assert!(
        (temperature - 1.0).abs() < f32::EPSILON,
        "the last that there is: {temperature}"
    );

    let silent = Thresholds {
        no_speech: -1.0,
        ..doubtful
    };
    let (segments, language) = listen(&engine(1, silent).await, asked).await;
    assert_eq!((segments, language.is_empty()), (Vec::new(), false));
}

#[tokio::test]
async fn nothing_to_hear_is_an_empty_transcript() {
    let engine = engine(1, CREDULOUS).await;
    for seconds in [0.0, 0.005] {
        assert_eq!(listen(&engine, recording(seconds)).await.0, []);
    }
}
