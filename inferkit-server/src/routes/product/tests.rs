use inferkit::task::Task;
use poem::test::TestForm;
use poem::test::TestResponse;
use serde_json::Value;
use serde_json::json;

use crate::testing;
use crate::testing::audio::audio_app;
use crate::testing::audio::cramped_app;
use crate::testing::audio::events;
use crate::testing::audio::register;
use crate::testing::audio::wav;

const TRANSCRIBE: &str = "/api/audio/transcribe";
const DIARIZE: &str = "/api/diarization/process";

async fn send(path: &str, fields: &[(&'static str, &'static str)]) -> TestResponse {
    let client = testing::client(&audio_app("").await);
    let form = TestForm::new().bytes("file", wav(&[0.5, 0.25]));
    let form = fields.iter().fold(form, |form, (name, value)| form.text(*name, *value));
    client.post(path).multipart(form).send().await
}

async fn json_of(path: &str, fields: &[(&'static str, &'static str)]) -> (u16, Value) {
    testing::json(send(path, fields).await).await
}

/// An answer without the time it took.
fn timeless(mut answer: Value) -> Value {
    let seconds = answer
        .as_object_mut()
        .and_then(|answer| answer.remove("processing_seconds"));
    assert!(seconds.is_some_and(|seconds| seconds.as_f64() > Some(0.0)), "{answer}");
    answer
}

#[tokio::test]
async fn a_transcript_tells_all_there_is() {
    let (status, body) = json_of(TRANSCRIBE, &[("peaks", "1")]).await;
    assert_eq!(status, 200);
    let expected = json!({
        "text": "part 0 part 1",
        "target_sample_rate": 16_000,
        "source_sample_rate": 8_000,
        "channels": 1,
        "duration": 2.0,
        "language": "fr",
        "model": "canary",
        "segments": [
            {"start": 0.0, "end": 1.1, "text": "part 0"},
            {"start": 1.0, "end": 2.0, "text": "part 1"},
        ],
        "peaks": {"rate": 1, "data": body["peaks"]["data"]},
    });
    assert_eq!(
        body["peaks"]["data"].as_str().map(str::len),
        Some(4),
        "two bytes in base64"
    );
    assert_eq!(timeless(body), expected);
}

#[tokio::test]
async fn with_speakers_each_part_and_word_has_one() {
    let fields = [("diarize", "true"), ("timestamps", "word"), ("max_speakers", "2")];
    let (status, body) = json_of(TRANSCRIBE, &fields).await;
    assert_eq!((status, &body["segments"][1]["speaker"]), (200, &json!("SPEAKER_01")));
    let word = json!({"word": "1", "start": 1.5, "end": 2.0, "speaker": "SPEAKER_01"});
    assert_eq!(body["words"][3], word);
    let (_, body) = json_of(TRANSCRIBE, &[("diarize", "1"), ("num_speakers", "1")]).await;
    assert_eq!(
        (&body["segments"][1]["speaker"], &body["words"]),
        (&json!("SPEAKER_00"), &Value::Null)
    );
}

#[tokio::test]
async fn without_times_there_is_text_alone() {
    let (status, body) = json_of(TRANSCRIBE, &[("timestamps", "none")]).await;
    assert_eq!(
        (status, &body["segments"], &body["text"]),
        (200, &json!([]), &json!("part 0 part 1"))
    );
}

#[tokio::test]
async fn a_model_that_fails_ends_the_stream_with_an_error_after_what_was_heard() {
    let client = testing::client(&audio_app("").await);
    let form = || TestForm::new().bytes("file", wav(&[0.5, 1.0]));
    let response = client
        .post(TRANSCRIBE)
        .multipart(form().text("stream", "true"))
        .send()
        .await;
    let told = events(response).await;
    let names: Vec<&str> = told.iter().filter_map(|(name, _)| name.as_deref()).collect();
    assert_eq!(names, ["segment", "progress", "error"], "{told:?}");
    let (_, data) = told.iter().find(|(name, _)| name.as_deref() == Some("error")).unwrap();
    let streamed: Value = serde_json::from_str(data).unwrap();
    // Whole, it is an answer of its own: the same error, with a status.
    let (status, whole) = testing::json(client.post(TRANSCRIBE).multipart(form()).send().await).await;
    assert_eq!((status, &whole["error"]["code"]), (500, &json!("internal_error")));
    assert_eq!(streamed["error"]["code"], whole["error"]["code"]);
    assert_eq!(streamed["error"]["message"], whole["error"]["message"]);
}

#[tokio::test]
async fn a_diarizer_that_cannot_be_had_is_told_from_the_transcriber() {
    let client = testing::client(&cramped_app().await);
    for (path, field) in [
        (TRANSCRIBE, ("diarize", "true")),
        ("/v1/audio/transcriptions", ("response_format", "diarized_json")),
    ] {
        let form = TestForm::new().bytes("file", wav(&[0.5])).text(field.0, field.1);
        let (status, body) = testing::json(client.post(path).multipart(form).send().await).await;
        assert_eq!(
            (status, &body["error"]["param"]),
            (503, &json!("diarization")),
            "{path}: {body}"
        );
    }
    let form = TestForm::new().bytes("file", wav(&[0.5]));
    client
        .post(TRANSCRIBE)
        .multipart(form)
        .send()
        .await
        .assert_status_is_ok();
}

#[tokio::test]
async fn where_no_diarizer_is_configured_who_asks_for_one_is_told_to_configure_it() {
    let app = testing::app("").await;
    register(&app, "canary", Task::Transcribe).await;
    let client = testing::client(&app);
    for (path, field, param) in [
        (TRANSCRIBE, Some(("diarize", "true")), "diarization"),
        (
            "/v1/audio/transcriptions",
            Some(("response_format", "diarized_json")),
            "diarization",
        ),
        (DIARIZE, None, "model"),
        ("/v1/audio/diarization", None, "model"),
    ] {
        let form = TestForm::new().bytes("file", wav(&[0.5]));
        let form = field
            .into_iter()
            .fold(form, |form, (name, value)| form.text(name, value));
        let (status, body) = testing::json(client.post(path).multipart(form).send().await).await;
        let error = &body["error"];
        assert_eq!(
            (status, &error["code"], &error["param"]),
            (404, &json!("model_not_found"), &json!(param)),
            "{path}: {body}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("'diarize'") && message.contains("configure one"),
            "{path}: {message}"
        );
    }
    let named = TestForm::new().bytes("file", wav(&[0.5])).text("model", "canary");
    let (status, body) = testing::json(client.post(DIARIZE).multipart(named).send().await).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("unsupported_model_task"))
    );
    let (status, _) = testing::json(
        client
            .post(TRANSCRIBE)
            .multipart(TestForm::new().bytes("file", wav(&[0.5])))
            .send()
            .await,
    )
    .await;
    assert_eq!(status, 200, "a transcript needs none");
}

#[tokio::test]
async fn a_stream_ends_with_the_whole_answer() {
    let told = events(send(TRANSCRIBE, &[("stream", "true")]).await).await;
    let names: Vec<&str> = told.iter().filter_map(|(name, _)| name.as_deref()).collect();
    assert_eq!(names, ["segment", "progress", "segment", "progress", "done"]);
    let progress: Value = serde_json::from_str(&told[1].1).unwrap();
    assert_eq!(progress, json!({"done_seconds": 1.0, "total_seconds": 2.0}));
    let done: Value = serde_json::from_str(&told[4].1).unwrap();
    let (_, whole) = json_of(TRANSCRIBE, &[]).await;
    assert_eq!(timeless(done), timeless(whole));
}

#[tokio::test]
async fn who_speaks_when_is_told_with_and_without_overlaps() {
    for (path, exclusive, start) in [
        (DIARIZE, "false", 0.5),
        (DIARIZE, "true", 1.0),
        ("/v1/audio/diarization", "0", 0.5),
    ] {
        let (status, body) = json_of(path, &[("exclusive", exclusive)]).await;
        assert_eq!(status, 200);
        let expected = json!({
            "segments": [
                {"speaker": "SPEAKER_00", "start": 0.0, "end": 1.0},
                {"speaker": "SPEAKER_01", "start": start, "end": 2.0},
            ],
            "speakers": ["SPEAKER_00", "SPEAKER_01"],
            "num_speakers": 2,
            "duration": 2.0,
            "model": "pyannote",
        });
        assert_eq!(timeless(body), expected, "{path} {exclusive}");
    }
}

#[tokio::test]
async fn turns_are_written_as_rttm() {
    let response = send(DIARIZE, &[("response_format", "rttm"), ("exclusive", "true")]).await;
    response.assert_content_type("text/plain; charset=utf-8");
    let expected = "SPEAKER recording 1 0.000 1.000 <NA> <NA> SPEAKER_00 <NA> <NA>\n\
        SPEAKER recording 1 1.000 1.000 <NA> <NA> SPEAKER_01 <NA> <NA>\n";
    response.assert_text(expected).await;
}

#[tokio::test]
async fn a_stream_of_turns_tells_progress_and_the_end() {
    let told = events(send(DIARIZE, &[("stream", "true")]).await).await;
    let names: Vec<&str> = told.iter().filter_map(|(name, _)| name.as_deref()).collect();
    assert_eq!(names, ["progress", "done"]);
    let done: Value = serde_json::from_str(&told[1].1).unwrap();
    assert_eq!(done["num_speakers"], 2);
}

#[tokio::test]
async fn what_contradicts_itself_or_cannot_be_done_is_named() {
    for (path, fields, code, param) in [
        (TRANSCRIBE, &[("num_speakers", "2")][..], "invalid_value", "diarize"),
        (
            TRANSCRIBE,
            &[("diarize", "true"), ("timestamps", "none")],
            "invalid_value",
            "timestamps",
        ),
        (
            TRANSCRIBE,
            &[("target_sample_rate", "8000")],
            "unsupported_value",
            "target_sample_rate",
        ),
        (TRANSCRIBE, &[("itn", "true")], "unsupported_value", "itn"),
        (
            TRANSCRIBE,
            &[("punctuation", "false")],
            "unsupported_value",
            "punctuation",
        ),
        (
            TRANSCRIBE,
            &[("language", "en"), ("target_language", "fr")],
            "unsupported_value",
            "target_language",
        ),
        (TRANSCRIBE, &[("peaks", "101")], "invalid_value", "peaks"),
        (TRANSCRIBE, &[("channel", "1")], "invalid_value", "channel"),
        (TRANSCRIBE, &[("model", "pyannote")], "unsupported_model_task", "model"),
        (
            DIARIZE,
            &[("min_speakers", "3"), ("max_speakers", "2")],
            "invalid_value",
            "min_speakers",
        ),
        (
            DIARIZE,
            &[("response_format", "rttm"), ("stream", "true")],
            "invalid_value",
            "stream",
        ),
        (DIARIZE, &[("model", "canary")], "unsupported_model_task", "model"),
    ] {
        let (status, body) = json_of(path, fields).await;
        let (found, of) = (&body["error"]["code"], &body["error"]["param"]);
        assert_eq!(
            (status, found, of),
            (400, &json!(code), &json!(param)),
            "{path} {fields:?}"
        );
    }
}
