mod probabilities;

use std::path::Path;

use futures_util::StreamExt;
use serde_json::Value;

use super::super::testing::MODELS;
use super::super::testing::clip;
use super::super::testing::flac;
use super::super::testing::golden;
use super::super::testing::golden_json;
use super::*;
use crate::audio::DecodeOptions;
use crate::audio::decode;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;
use crate::task::TranscriptionModel;
use crate::task::TranscriptionRequest;

fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/demo")
        .join(name)
}

fn wrapper(path: &Path) -> CanaryAsrModel {
    let hub = Hub::builder(std::env::temp_dir()).offline(true).build().unwrap();
    CanaryAsrModel::new(Source::path(path), hub)
}

async fn load(path: &Path) -> Arc<dyn TranscriptionModel> {
    let loaded = load_as(path, DtypePreference::Auto).await;
    assert_eq!(
        (loaded.device.as_str(), loaded.dtype.as_str()),
        (DevicePreference::under_test().to_string().as_str(), "f32")
    );
    assert!(loaded.memory.weights_bytes > 0);
    loaded.transcription.unwrap()
}

async fn load_as(path: &Path, dtype: DtypePreference) -> Loaded {
    let options = LoadOptions {
        dtype: Some(dtype),
        ..LoadOptions::default().with_device(DevicePreference::under_test())
    };
    wrapper(path).load(&options, &Job::new()).await.unwrap()
}

/// All events of a request.
async fn events(model: &Arc<dyn TranscriptionModel>, request: TranscriptionRequest) -> Vec<TranscriptionEvent> {
    let stream = model.transcribe(request).await.unwrap();
    stream.map(Result::unwrap).collect().await
}

async fn segments(model: &Arc<dyn TranscriptionModel>, request: TranscriptionRequest) -> Vec<Segment> {
    let events = events(model, request).await;
    let segment = |event| match event {
        TranscriptionEvent::Segment(segment) => Some(segment),
        _ => None,
    };
    events.into_iter().filter_map(segment).collect()
}

async fn text(model: &Arc<dyn TranscriptionModel>, request: TranscriptionRequest) -> String {
    let segments = segments(model, request).await;
    segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn request(samples: &Arc<Vec<f32>>, spoken: &str, written: &str) -> TranscriptionRequest {
    TranscriptionRequest {
        language: Some(spoken.to_owned()),
        target_language: Some(written.to_owned()),
        ..TranscriptionRequest::new(samples.clone())
    }
}

#[tokio::test]
async fn the_demo_s_recordings_give_exactly_the_texts_that_the_original_prints() {
    let expected: Value = serde_json::from_slice(&std::fs::read(demo("expected.json")).unwrap()).unwrap();
    let model = load(&demo("canary-demo.nemo")).await;
    let recordings = expected.as_array().unwrap();
    assert_eq!(recordings.len(), 6);
    for case in recordings {
        let samples = flac(&demo(case["file"].as_str().unwrap()));
        let language = case["lang"].as_str().unwrap();
        assert_eq!(
            text(&model, request(&samples, language, language)).await,
            case["asr"],
            "{}",
            case["file"]
        );
        let plain = TranscriptionRequest {
            punctuation: Some(false),
            ..request(&samples, language, language)
        };
        assert_eq!(text(&model, plain).await, case["asr_nopnc"], "{}", case["file"]);
        for (written, expected) in case["translation"].as_object().unwrap() {
            assert_eq!(
                &text(&model, request(&samples, language, written)).await,
                expected,
                "{}",
                case["file"]
            );
        }
    }
}

#[tokio::test]
async fn in_bf16_the_demo_s_recordings_give_the_same_texts_from_half_the_memory() {
    let in_f32 = load_as(&demo("canary-demo.nemo"), DtypePreference::F32).await;
    let loaded = load_as(&demo("canary-demo.nemo"), DtypePreference::Bf16).await;
    assert_eq!(
        (loaded.device.as_str(), loaded.dtype.as_str()),
        (DevicePreference::under_test().to_string().as_str(), "bf16")
    );
    let share = loaded.memory.weights_bytes as f64 / in_f32.memory.weights_bytes as f64;
    assert!((0.49..0.6).contains(&share), "{share}");
    let model = loaded.transcription.unwrap();
    let expected: Value = serde_json::from_slice(&std::fs::read(demo("expected.json")).unwrap()).unwrap();
    for case in expected.as_array().unwrap() {
        let samples = flac(&demo(case["file"].as_str().unwrap()));
        let language = case["lang"].as_str().unwrap();
        let found = text(&model, request(&samples, language, language)).await;
        assert_eq!(found, case["asr"], "{}", case["file"]);
    }
}

#[tokio::test]
async fn in_bf16_clips_give_the_original_s_texts_too() {
    for name in MODELS {
        let model = load_as(&golden(&format!("{name}.nemo")), DtypePreference::Bf16).await;
        let model = model.transcription.unwrap();
        let expected = golden_json(&format!("{name}.transcribe.json"));
        for clip in ["a_en", "b_en", "c_fr", "d_de"] {
            let request = request(&self::clip(clip), language_of(clip), language_of(clip));
            let found = text(&model, request.with_times(TimeDetail::None)).await;
            let expected = expected["single"][clip]["text"].as_str().unwrap().trim();
            assert_eq!(found, expected, "{name}: {clip}");
        }
    }
}

/// The demo's first recording, 2.45 s, in containers, encodings and rates (`scripts/make-audio-fixtures.sh`).
const SPOKEN: [&str; 16] = [
    "aac_16k.aac",
    "aac_44k1_stereo.m4a",
    "adpcm_ima_16k.wav",
    "alac_16k.m4a",
    "flac_22k05.ogg",
    "mp3_16k.mp3",
    "mp3_44k1_stereo.mp3",
    "mulaw_8k.wav",
    "opus_48k.mp4",
    "opus_48k.opus",
    "opus_48k.webm",
    "pcm_s16_8k.aiff",
    "pcm_u8_11k025.wav",
    "vorbis_32k.ogg",
    "vorbis_48k_stereo.webm",
    "alaw_8k.wav",
];

#[tokio::test]
async fn a_sentence_is_the_same_text_in_whatever_file_it_comes() {
    let model = load(&demo("canary-demo.nemo")).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/spoken");
    let mut wrong = Vec::new();
    for name in SPOKEN {
        let file = std::fs::File::open(folder.join(name)).unwrap();
        let recording = decode(file, &DecodeOptions::default(), &Job::new()).unwrap();
        let found = text(&model, request(&recording.samples, "en", "en")).await;
        if found != "Set the timer to two minutes." {
            wrong.push(format!("{name}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The language of a golden clip.
fn language_of(clip: &str) -> &str {
    clip.split_once('_').unwrap().1
}

#[tokio::test]
async fn clips_give_the_original_s_texts_alone_and_beside_others() {
    for name in MODELS {
        let model = load(&golden(&format!("{name}.nemo"))).await;
        let expected = golden_json(&format!("{name}.transcribe.json"));
        let requests: Vec<_> = ["a_en", "b_en", "c_fr", "d_de"]
            .into_iter()
            .map(|clip| {
                let request = request(&self::clip(clip), language_of(clip), language_of(clip));
                (clip, request.with_times(TimeDetail::None))
            })
            .collect();
        let together = requests.iter().map(|(_, request)| text(&model, request.clone()));
        let together = futures_util::future::join_all(together).await;
        for ((clip, request), together) in requests.into_iter().zip(together) {
            let expected = expected["single"][clip]["text"].as_str().unwrap().trim();
            assert_eq!(together, expected, "{name}: {clip}");
            assert_eq!(text(&model, request).await, expected, "{name}: {clip}");
        }
        let short = request(&clip("t_en"), "en", "en").with_times(TimeDetail::None);
        let expected = expected["short_padded_to_1s"]["text"].as_str().unwrap().trim();
        assert_eq!(text(&model, short).await, expected, "{name}: shorter than a second");
    }
}

/// Words of segments against a golden list of words, segment by segment.
fn check_times(segments: &[Segment], expected: &Value, name: &str) {
    let number = |value: &Value| value.as_f64().unwrap();
    let words: Vec<_> = segments.iter().flat_map(|segment| &segment.words).collect();
    let expected_words = expected["word"].as_array().unwrap();
    assert_eq!(words.len(), expected_words.len(), "{name}");
    for (word, expected) in words.iter().zip(expected_words) {
        assert_eq!(word.text, expected["word"], "{name}");
        let differences = [
            word.start_seconds - number(&expected["start"]),
            word.end_seconds - number(&expected["end"]),
        ];
        assert!(
            differences.iter().all(|difference| difference.abs() < 1e-6),
            "{name}: {word:?} {expected}"
        );
    }
    let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    let expected_texts: Vec<&str> = expected["segment"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| segment["segment"].as_str().unwrap())
        .collect();
    assert_eq!(texts, expected_texts, "{name}");
}

#[tokio::test]
async fn word_times_are_the_original_s_by_tokens_and_by_the_aligner() {
    for name in ["canary-1b-flash", "canary-180m-flash", "canary-1b-v2"] {
        let model = load(&golden(&format!("{name}.nemo"))).await;
        let expected = golden_json(&format!("{name}.transcribe.json"));
        for (clip, expected) in expected["timestamps"].as_object().unwrap() {
            let request = request(&self::clip(clip), language_of(clip), language_of(clip));
            let segments = segments(&model, request.with_times(TimeDetail::Word)).await;
            check_times(&segments, &expected["timestamp"], &format!("{name}: {clip}"));
        }
    }
}

#[tokio::test]
async fn long_recordings_are_cut_and_joined_as_the_original_does() {
    let samples = clip("long");
    for name in MODELS {
        let model = load(&golden(&format!("{name}.nemo"))).await;
        let expected = golden_json(&format!("{name}.transcribe.json"));
        let plain = request(&samples, "en", "en").with_times(TimeDetail::None);
        for key in ["long_fixed_40s", "long_chunked"] {
            if let Some(expected) = expected[key]["text"].as_str() {
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(
                    words(&text(&model, plain.clone()).await),
                    words(expected),
                    "{name}: {key}"
                );
            }
        }
        let timed = plain.with_times(TimeDetail::Word);
        for key in ["long_fixed_10s_timestamps", "long_chunked_timestamps"] {
            if expected[key].is_object() {
                let segments = segments(&model, timed.clone()).await;
                check_times(&segments, &expected[key]["timestamp"], &format!("{name}: {key}"));
            }
        }
    }
}

#[tokio::test]
async fn events_are_segments_and_progress_in_order_and_end_with_the_language() {
    let model = load(&golden("canary-180m-flash.nemo")).await;
    let events = events(&model, request(&clip("long"), "en", "en").with_times(TimeDetail::None)).await;
    let mut seconds = Vec::new();
    for event in &events {
        if let TranscriptionEvent::Progress {
            done_seconds,
            total_seconds,
        } = event
        {
            assert!(done_seconds <= total_seconds);
            seconds.push(*done_seconds);
        }
    }
    assert!(seconds.len() == 2 && seconds.is_sorted(), "{seconds:?}");
    // Each window is told, then counted as done.
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| match event {
            TranscriptionEvent::Segment(_) => "segment",
            TranscriptionEvent::Progress { .. } => "progress",
            TranscriptionEvent::Done { .. } => "done",
        })
        .collect();
    assert_eq!(kinds, ["segment", "progress", "segment", "progress", "done"]);
    let segments = events.iter().filter_map(|event| match event {
        TranscriptionEvent::Segment(segment) => Some(segment),
        _ => None,
    });
    let segments: Vec<&Segment> = segments.collect();
    let times: Vec<(f64, f64)> = segments
        .iter()
        .map(|segment| (segment.start_seconds, segment.end_seconds))
        .collect();
    assert_eq!(times, [(0.0, seconds[0]), (seconds[0], seconds[1])]);
    assert!(segments.iter().all(|segment| !segment.text.is_empty()), "{segments:?}");
    assert_eq!(
        events.last(),
        Some(&TranscriptionEvent::Done {
            language: "en".to_owned()
        })
    );
}

#[tokio::test]
async fn what_a_model_can_do_is_told_and_nothing_else_is_taken() {
    let model = load(&demo("canary-demo.nemo")).await;
    let capabilities = model.capabilities();
    assert_eq!(capabilities.languages, ["en", "fr"]);
    assert!(capabilities.translations.contains(&("fr".to_owned(), "en".to_owned())));
    assert!(capabilities.punctuation_switch && capabilities.inverse_text_normalisation_switch);
    let samples: Arc<Vec<f32>> = vec![0.0; 16_000].into();
    for (spoken, written) in [("xx", "en"), ("en", "ru")] {
        let error = model
            .transcribe(request(&samples, spoken, written))
            .await
            .err()
            .unwrap();
        assert_eq!(error.code(), "unsupported_value");
        assert!(error.to_string().contains("choose one of en, fr"), "{error}");
    }
    let first = load(&golden("canary-1b.nemo")).await;
    assert!(!first.capabilities().word_times && !first.capabilities().inverse_text_normalisation_switch);
    let words = request(&samples, "en", "en").with_times(TimeDetail::Word);
    assert_eq!(first.transcribe(words).await.err().unwrap().param(), Some("times"));
    let itn = TranscriptionRequest {
        inverse_text_normalisation: Some(true),
        ..request(&samples, "en", "en")
    };
    assert_eq!(first.transcribe(itn).await.err().unwrap().param(), Some("itn"));
    let between = first.transcribe(request(&samples, "de", "fr")).await.err().unwrap();
    assert!(between.to_string().contains("English only"), "{between}");
}

#[tokio::test]
async fn nothing_and_silence_are_recordings_too() {
    let model = load(&demo("canary-demo.nemo")).await;
    let empty = events(&model, request(&Vec::new().into(), "fr", "fr")).await;
    let done = TranscriptionEvent::Done {
        language: "fr".to_owned(),
    };
    assert_eq!(empty, [done], "where nothing was recorded nothing is said");
    // A model may take silence for words, but for none outside of the recording.
    for samples in [vec![0.0; 160], vec![f32::NAN; 16_000]] {
        let seconds = samples.len() as f64 / 16_000.0;
        let events = events(&model, request(&samples.into(), "en", "en")).await;
        for event in &events {
            if let TranscriptionEvent::Segment(segment) = event {
                let times = [0.0, segment.start_seconds, segment.end_seconds, seconds];
                assert!(times.is_sorted(), "{segment:?}");
            }
        }
        assert!(
            matches!(events.last(), Some(TranscriptionEvent::Done { .. })),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_full_line_refuses_and_a_dropped_stream_makes_room() {
    let options = CanaryOptions {
        max_queued: Some(1),
        ..CanaryOptions::default()
    };
    let load_options = LoadOptions::default().with_device(DevicePreference::under_test());
    let wrapper = wrapper(&golden("canary-180m-flash.nemo")).with_options(options);
    let model = wrapper
        .load(&load_options, &Job::new())
        .await
        .unwrap()
        .transcription
        .unwrap();
    let request = request(&clip("long"), "en", "en").with_times(TimeDetail::None);
    let mut streams = Vec::new();
    let error = loop {
        match model.transcribe(request.clone()).await {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), streams.len()), ("queue_full", 17));
    // Who leaves the line makes room at once, whatever is computed.
    drop(streams.pop());
    streams.push(model.transcribe(request.clone()).await.unwrap());
    drop(streams);
    // Recordings that nobody reads end before the next step; then there is room again.
    let mut refused = 0;
    let text = loop {
        match model.transcribe(request.clone()).await {
            Ok(stream) => break stream.count().await,
            Err(_) => refused += 1,
        }
        assert!(refused < 10_000, "no room after everybody has gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(text > 1);
}

#[tokio::test]
async fn a_budget_that_is_too_small_and_a_cancelled_load_are_told() {
    let options = CanaryOptions {
        memory_budget: Some(1000),
        ..CanaryOptions::default()
    };
    let small = wrapper(&demo("canary-demo.nemo")).with_options(options);
    let error = small.load(&LoadOptions::default(), &Job::new()).await.err().unwrap();
    assert_eq!(error.code(), "insufficient_memory");
    let job = Job::new();
    job.cancel();
    let error = wrapper(&demo("canary-demo.nemo"))
        .load(&LoadOptions::default(), &job)
        .await
        .err()
        .unwrap();
    assert_eq!(error.code(), "cancelled");
}

#[tokio::test]
async fn a_model_is_a_file_or_the_one_archive_of_a_folder() {
    let folder = demo("");
    let inventory = wrapper(&folder).files().await.unwrap();
    assert!(inventory.complete && inventory.files.len() == 1, "{inventory:?}");
    load(&folder).await;
    let several = wrapper(&golden(""))
        .load(&LoadOptions::default(), &Job::new())
        .await
        .err()
        .unwrap();
    assert!(several.to_string().contains("several models"), "{several}");
    let missing = wrapper(Path::new("/nowhere/x.nemo"))
        .load(&LoadOptions::default(), &Job::new())
        .await
        .err()
        .unwrap();
    assert_eq!(missing.code(), "not_downloaded");
}
