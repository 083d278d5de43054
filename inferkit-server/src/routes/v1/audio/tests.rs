use inferkit::RuntimeStatus;
use inferkit::task::Task;
use poem::test::TestForm;
use poem::test::TestResponse;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use serde_json::json;

use crate::testing;
use crate::testing::audio::audio_app;
use crate::testing::audio::events;
use crate::testing::audio::register;
use crate::testing::audio::wav;

const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";

/// Two loud seconds and the fields.
fn form(fields: &[(&'static str, &'static str)]) -> TestForm {
    let form = TestForm::new().bytes("file", wav(&[0.5, 0.25]));
    fields.iter().fold(form, |form, (name, value)| form.text(*name, *value))
}

async fn send(path: &str, form: TestForm) -> TestResponse {
    let client = testing::client(&audio_app("").await);
    client.post(path).multipart(form).send().await
}

async fn json_of(path: &str, fields: &[(&'static str, &'static str)]) -> (u16, Value) {
    testing::json(send(path, form(fields)).await).await
}

/// Status, code and field of an error.
async fn refusal(path: &str, form: TestForm) -> (u16, String, String) {
    let (status, body) = testing::json(send(path, form).await).await;
    let text = |field: &str| body["error"][field].as_str().unwrap_or_default().to_owned();
    (status, text("code"), text("param"))
}

#[tokio::test]
async fn a_recording_becomes_text_and_tells_its_length() {
    let (status, body) = json_of(TRANSCRIPTIONS, &[]).await;
    let expected = json!({"text": "part 0 part 1", "usage": {"type": "duration", "seconds": 2.0}});
    assert_eq!((status, body), (200, expected));
}

#[tokio::test]
async fn text_formats_have_their_own_content_types() {
    for (format, content_type, text) in [
        ("text", "text/plain; charset=utf-8", "part 0 part 1\n"),
        (
            "srt",
            "application/x-subrip; charset=utf-8",
            "1\n00:00:00,000 --> 00:00:01,100\npart 0\n\n2\n00:00:01,000 --> 00:00:02,000\npart 1\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.100\npart 0\n\n00:00:01.000 --> 00:00:02.000\npart 1\n",
        ),
    ] {
        let response = send(TRANSCRIPTIONS, form(&[("response_format", format)])).await;
        response.assert_status_is_ok();
        response.assert_content_type(content_type);
        response.assert_text(text).await;
    }
}

#[tokio::test]
async fn verbose_json_has_segments_and_words_if_asked_for() {
    let fields = [
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
    ];
    let (status, body) = json_of(TRANSCRIPTIONS, &fields).await;
    assert_eq!(
        (status, &body["task"], &body["language"]),
        (200, &json!("transcribe"), &json!("french"))
    );
    let segment = json!({
        "id": 1, "seek": 0, "start": 1.0, "end": 2.0, "text": "part 1", "tokens": [7, 1], "temperature": 0.0,
        "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0
    });
    assert_eq!(body["segments"][1], segment);
    assert_eq!(body["words"][3], json!({"word": "1", "start": 1.5, "end": 2.0}));
    let (_, without) = json_of(
        TRANSCRIPTIONS,
        &[("response_format", "verbose_json"), ("language", "en")],
    )
    .await;
    assert_eq!(
        (&without["words"], &without["language"]),
        (&Value::Null, &json!("english"))
    );
}

#[tokio::test]
async fn diarized_json_names_speakers_by_letters() {
    let (status, body) = json_of(TRANSCRIPTIONS, &[("response_format", "diarized_json")]).await;
    assert_eq!((status, &body["text"]), (200, &json!("part 0 part 1")));
    let speakers: Vec<&Value> = body["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["speaker"])
        .collect();
    assert_eq!(speakers, ["A", "B"]);
    assert_eq!(
        (&body["segments"][0]["id"], &body["segments"][0]["type"]),
        (&json!("seg_0"), &json!("transcript.text.segment"))
    );
}

#[tokio::test]
async fn log_probabilities_are_told_if_asked_for_and_in_a_stream_piece_by_piece() {
    let (status, body) = json_of(TRANSCRIPTIONS, &[("include[]", "logprobs")]).await;
    assert_eq!(status, 200);
    let spelt = |logprobs: &Value| -> String {
        let tokens = logprobs.as_array().unwrap().iter();
        tokens.map(|entry| entry["token"].as_str().unwrap()).collect()
    };
    assert_eq!(spelt(&body["logprobs"]), " part 0 part 1");
    let first = json!({"token": " part", "logprob": -0.5, "bytes": [32, 112, 97, 114, 116]});
    assert_eq!(body["logprobs"][0], first);
    let (_, without) = json_of(TRANSCRIPTIONS, &[]).await;
    assert_eq!(without.get("logprobs"), None);

    let told = events(send(TRANSCRIPTIONS, form(&[("stream", "true"), ("include[]", "logprobs")])).await).await;
    let told: Vec<Value> = told
        .iter()
        .filter_map(|(_, data)| serde_json::from_str(data).ok())
        .collect();
    let deltas: Vec<&Value> = told
        .iter()
        .filter(|event| event["type"] == "transcript.text.delta")
        .collect();
    assert_eq!((deltas.len(), spelt(&deltas[1]["logprobs"])), (2, " part 1".to_owned()));
    assert_eq!(
        told.last().unwrap()["logprobs"],
        body["logprobs"],
        "all of them in the end"
    );
}

#[tokio::test]
async fn a_streams_deltas_concatenate_to_the_text() {
    for format in ["json", "text", "diarized_json"] {
        let told = events(send(TRANSCRIPTIONS, form(&[("stream", "true"), ("response_format", format)])).await).await;
        let (last, told) = told.split_last().unwrap();
        assert_eq!(last.1, "[DONE]");
        let told: Vec<Value> = told
            .iter()
            .map(|(_, data)| serde_json::from_str(data).unwrap())
            .collect();
        let deltas: String = told.iter().filter_map(|event| event["delta"].as_str()).collect();
        let (done, _) = told.split_last().unwrap();
        assert_eq!(
            (&done["type"], &done["text"]),
            (&json!("transcript.text.done"), &json!(deltas))
        );
        assert_eq!(deltas, "part 0 part 1", "{format}");
        let segments = told.iter().filter(|event| event["type"] == "transcript.text.segment");
        assert_eq!(segments.count(), if format == "diarized_json" { 2 } else { 0 });
        assert_eq!(
            done["usage"],
            json!({"type": "tokens", "input_tokens": 0, "output_tokens": 4, "total_tokens": 4})
        );
    }
}

#[tokio::test]
async fn without_a_name_the_only_transcriber_that_is_loaded_is_taken() {
    let app = audio_app("").await;
    register(&app, "whisper", Task::Transcribe).await;
    let client = testing::client(&app);
    let answer = async |fields: &[(&'static str, &'static str)]| {
        let response = client.post(TRANSCRIPTIONS).multipart(form(fields)).send().await;
        testing::json(response).await
    };
    let (status, body) = answer(&[]).await;
    assert_eq!(
        (status, &body["error"]["param"]),
        (400, &json!("model")),
        "there are two: {body}"
    );

    let lease = app.registry.get("whisper").unwrap().ensure_loaded().await.unwrap();
    assert_eq!(answer(&[]).await.0, 200);
    let canary = app.registry.get("canary").unwrap();
    assert_eq!(
        canary.status().runtime_status,
        RuntimeStatus::Unloaded,
        "nobody asked for it"
    );
    drop(lease);
    assert_eq!(answer(&[("model", "canary")]).await.0, 200);
    assert_eq!(answer(&[]).await.0, 400, "now both are loaded");
}

#[tokio::test]
async fn parts_come_in_any_order_and_unknown_ones_are_named() {
    let form = TestForm::new()
        .text("model", "canary")
        .text("timestamp_granularities[]", "segment")
        .text("colour", "red")
        .bytes("file", wav(&[0.5]))
        .text("response_format", "verbose_json");
    let response = send(TRANSCRIPTIONS, form).await;
    response.assert_header("x-inferkit-ignored", "colour");
    response.assert_status_is_ok();
}

#[tokio::test]
async fn silence_is_an_empty_text() {
    let silence = || TestForm::new().bytes("file", wav(&[0.0]));
    let (status, body) = testing::json(send(TRANSCRIPTIONS, silence()).await).await;
    assert_eq!((status, &body["text"]), (200, &json!("")));
    let response = send(TRANSCRIPTIONS, silence().text("response_format", "verbose_json")).await;
    assert_eq!(testing::json(response).await.1["segments"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let wrong = |status: u16, code: &str, param: &str| (status, code.to_owned(), param.to_owned());
    let without_file = TestForm::new().text("model", "canary");
    assert_eq!(
        refusal(TRANSCRIPTIONS, without_file).await,
        wrong(400, "missing_required_parameter", "file")
    );
    for bytes in [Vec::new(), b"no recording ".repeat(999)] {
        let form = TestForm::new().bytes("file", bytes);
        assert_eq!(refusal(TRANSCRIPTIONS, form).await, wrong(400, "invalid_audio", "file"));
    }
    let twice = form(&[]).bytes("file", wav(&[0.1]));
    assert_eq!(
        refusal(TRANSCRIPTIONS, twice).await,
        wrong(400, "invalid_value", "file")
    );
    for (name, value, expected) in [
        ("model", "nobody", wrong(404, "model_not_found", "model")),
        ("model", "qwen", wrong(400, "unsupported_model_task", "model")),
        ("language", "xx", wrong(400, "unsupported_value", "language")),
        ("stream", "maybe", wrong(400, "invalid_type", "stream")),
    ] {
        assert_eq!(
            refusal(TRANSCRIPTIONS, form(&[(name, value)])).await,
            expected,
            "{name} {value}"
        );
    }
}

#[tokio::test]
async fn what_is_too_long_or_too_large_is_refused() {
    let client = testing::client(&audio_app("[limits]\nmax_audio_seconds = 1\n").await);
    let response = client.post(TRANSCRIPTIONS).multipart(form(&[])).send().await;
    let (status, body) = testing::json(response).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("audio_too_long")));

    let client = testing::client(&audio_app("[limits]\nmax_audio_bytes = 1024\n").await);
    let response = client.post(TRANSCRIPTIONS).multipart(form(&[])).send().await;
    let (status, body) = testing::json(response).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("payload_too_large")));
    assert!(
        body["error"]["message"].as_str().unwrap().contains("max_audio_bytes"),
        "{body}"
    );
}

#[tokio::test]
async fn recordings_share_a_bound_of_memory_and_come_back_when_there_is_room() {
    let app = audio_app("[limits]\nmax_audio_memory = \"8MiB\"\n").await;
    let client = testing::client(&app);
    let others = app.recordings.room();
    others.hold(8 << 20).unwrap();
    let response = client.post(TRANSCRIPTIONS).multipart(form(&[])).send().await;
    response.assert_header("retry-after", "5");
    let (status, body) = testing::json(response).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("insufficient_memory")));
    drop(others);
    for _ in 0..3 {
        let response = client.post(TRANSCRIPTIONS).multipart(form(&[])).send().await;
        response.assert_status_is_ok();
    }
    app.recordings.room().hold(8 << 20).unwrap();
}

#[tokio::test]
async fn another_kind_of_body_is_told_what_is_wanted() {
    let client = testing::client(&audio_app("").await);
    let response = client
        .post(TRANSCRIPTIONS)
        .body_json(&json!({"file": "x"}))
        .send()
        .await;
    response.assert_header("accept-post", "multipart/form-data");
    assert_eq!(testing::json(response).await.0, 415);
    let response = client
        .post(TRANSCRIPTIONS)
        .content_type("multipart/form-data; boundary=x")
        .body("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf")
        .send()
        .await;
    let (status, body) = testing::json(response).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid_value")));
}

#[tokio::test]
async fn a_translation_is_english() {
    let path = "/v1/audio/translations";
    let (status, body) = json_of(path, &[("response_format", "verbose_json")]).await;
    assert_eq!(
        (status, &body["task"], &body["language"]),
        (200, &json!("translate"), &json!("english"))
    );
    let response = send(path, form(&[("response_format", "srt")])).await;
    response.assert_content_type("application/x-subrip; charset=utf-8");
    let (status, plain) = json_of(path, &[]).await;
    let expected = json!({"text": "part 0 part 1", "usage": {"type": "duration", "seconds": 2.0}});
    assert_eq!((status, plain), (200, expected));
    for (format, content_type, text) in [
        ("text", "text/plain; charset=utf-8", "part 0 part 1\n"),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.100\npart 0\n\n00:00:01.000 --> 00:00:02.000\npart 1\n",
        ),
    ] {
        let response = send(path, form(&[("response_format", format)])).await;
        response.assert_status_is_ok();
        response.assert_content_type(content_type);
        response.assert_text(text).await;
    }
}

#[tokio::test]
async fn a_translation_refuses_what_belongs_to_a_transcription() {
    for (field, value, param) in [
        ("language", "fr", "language"),
        ("stream", "true", "stream"),
        ("timestamp_granularities[]", "word", "timestamp_granularities"),
        ("include[]", "logprobs", "include"),
        ("chunking_strategy", "auto", "chunking_strategy"),
    ] {
        let refused = (400, "unsupported_parameter".to_owned(), param.to_owned());
        assert_eq!(
            refusal("/v1/audio/translations", form(&[(field, value)])).await,
            refused
        );
    }
    let refused = (400, "invalid_value".to_owned(), "response_format".to_owned());
    let diarized = form(&[("response_format", "diarized_json")]);
    assert_eq!(refusal("/v1/audio/translations", diarized).await, refused);
}

/// A piece of a form, sound or not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"--x\r\n",
        b"--x--\r\n",
        b"\r\n",
        b"Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"model\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"temperature\"\r\n\r\n0.5",
        b"Content-Disposition: form-data; name=\"",
        b"Content-Type: text/plain; charset=\xff\r\n",
        b"RIFF\x04\0\0\0WAVEfmt ",
        b"canary",
    ];
    let known = prop::sample::select(known).prop_map(<[u8]>::to_vec);
    prop_oneof![6 => known, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

#[test]
fn whatever_stands_in_a_form_is_answered_and_is_never_the_servers_fault() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(audio_app(""));
    let client = testing::client(&app);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let forms = prop::collection::vec(piece(), 0..10);
    let result = runner.run(&forms, |pieces| {
        let response = client
            .post(TRANSCRIPTIONS)
            .content_type("multipart/form-data; boundary=x")
            .body(pieces.concat())
            .send();
        let status = runtime.block_on(response).0.status().as_u16();
        prop_assert!(matches!(status, 200 | 400..=499), "{}", status);
        Ok(())
    });
    result.unwrap();
}
