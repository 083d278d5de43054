use std::path::Path;

use clap::Parser;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::cli::Cli;
use crate::cli::Command;
use crate::serve::listen;
use crate::serve::serve;
use crate::testing::audio::audio_app;
use crate::testing::audio::wav;

const FORMATS: [&str; 5] = ["text", "json", "srt", "vtt", "verbose_json"];

/// What `transcribe` prints with these arguments.
fn run(arguments: &[&str]) -> Result<String, Failure> {
    let line = ["inferkit-server", "transcribe"].iter().chain(arguments);
    match Cli::try_parse_from(line).unwrap().command {
        Some(Command::Transcribe(arguments)) => printed(&arguments),
        other => panic!("{other:?}"),
    }
}

fn read(printed: &str) -> Value {
    assert!(printed.ends_with('\n'), "a line: {printed:?}");
    serde_json::from_str(printed).unwrap()
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A folder of models with the demo's Canary and nothing else, and a configuration that says nothing.
fn models() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("demo/canary");
    std::fs::create_dir_all(&demo).unwrap();
    let archive = "canary-demo.nemo";
    std::fs::copy(repository().join("examples/demo").join(archive), demo.join(archive)).unwrap();
    std::fs::write(folder.path().join("inferkit.toml"), "").unwrap();
    folder
}

#[test]
fn a_model_in_this_process_writes_every_format() {
    let models = models();
    let file = models.path().join("inferkit.toml");
    let recording = repository().join("examples/demo/1_en.flac");
    let [recording, models_dir, file] =
        [recording.as_path(), models.path(), file.as_path()].map(|path| path.to_str().unwrap());
    let [text, json, srt, vtt, verbose] = FORMATS.map(|format| {
        let place = ["--models-dir", models_dir, "--config", file];
        let arguments = [recording, "--language", "en", "-m", "canary", "--format", format];
        run(&[&arguments[..], &place].concat()).unwrap()
    });
    let spoken = "Set the timer to two minutes.";
    assert_eq!(text, format!("{spoken}\n"));
    assert_eq!(srt, format!("1\n00:00:00,000 --> 00:00:02,450\n{spoken}\n\n"));
    assert_eq!(vtt, format!("WEBVTT\n\n00:00:00.000 --> 00:00:02.450\n{spoken}\n"));
    let (json, verbose) = (read(&json), read(&verbose));
    let duration = json["duration"].as_f64().unwrap();
    assert!((duration - 2.45).abs() < 0.001, "{json}");
    let expected = json!({
        "text": spoken,
        "language": "en",
        "duration": duration,
        "segments": [{"start": 0.0, "end": duration, "text": spoken}],
    });
    assert_eq!(json, expected);
    assert_eq!(
        (&verbose["text"], &verbose["language"]),
        (&json!(spoken), &json!("english"))
    );
    let segment = &verbose["segments"][0];
    assert!(
        segment["tokens"].as_array().is_some_and(|tokens| tokens.len() > 3),
        "{segment}"
    );
    assert!(
        segment["avg_logprob"].as_f64().is_some_and(|logprob| logprob < 0.0),
        "{segment}"
    );
    assert!(
        segment["compression_ratio"].as_f64().is_some_and(|ratio| ratio > 0.0),
        "{segment}"
    );
}

#[test]
fn with_a_diarizer_in_this_process_each_line_has_its_speaker() {
    let models_dir = repository().join("models");
    if !models_dir.join("demo/pyannote/config.yaml").is_file() || !models_dir.join("demo/canary").is_dir() {
        let _ = std::io::stderr().write_all(b"skipped: no demo models: run scripts/fetch_demo_models.py\n");
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let recording = repository().join("examples/demo/1_en.flac");
    let [recording, models_dir, file] =
        [recording.as_path(), models_dir.as_path(), file.path()].map(|path| path.to_str().unwrap());
    let place = ["--models-dir", models_dir, "--config", file];
    let arguments = [recording, "--language", "en", "-m", "canary", "--diarize"];
    let text = run(&[&arguments[..], &place].concat()).unwrap();
    assert_eq!(text, "SPEAKER_00: Set the timer to two minutes.\n");
}

/// Runs `work` beside a server whose models hear by rules, with its address and a recording of two loud seconds.
fn beside_a_server(work: impl FnOnce(&str, &str)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = runtime.block_on(async {
        let app = audio_app("[server]\nbind = \"127.0.0.1:0\"\n").await;
        let listening = listen(&app.config.server).await.unwrap();
        let url = format!("http://127.0.0.1:{}", listening.port().unwrap());
        tokio::spawn(async move { serve(listening, app.endpoint(), &app.config.limits, app.life()).await });
        url
    });
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("talk.wav");
    std::fs::write(&recording, wav(&[0.5, 0.25])).unwrap();
    work(&url, recording.to_str().unwrap());
}

#[test]
fn a_running_server_is_asked_for_every_format() {
    beside_a_server(|url, recording| {
        let [text, json, srt, vtt, verbose] =
            FORMATS.map(|format| run(&[recording, "--url", url, "--language", "en", "--format", format]).unwrap());
        assert_eq!(text, "part 0 part 1\n");
        assert_eq!(
            srt,
            "1\n00:00:00,000 --> 00:00:01,100\npart 0\n\n2\n00:00:01,000 --> 00:00:02,000\npart 1\n\n"
        );
        assert_eq!(
            vtt,
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.100\npart 0\n\n00:00:01.000 --> 00:00:02.000\npart 1\n"
        );
        let expected = json!({
            "text": "part 0 part 1",
            "language": "en",
            "duration": 2.0,
            "segments": [
                {"start": 0.0, "end": 1.1, "text": "part 0"},
                {"start": 1.0, "end": 2.0, "text": "part 1"},
            ],
        });
        assert_eq!(read(&json), expected);
        let verbose = read(&verbose);
        assert_eq!(
            (
                &verbose["task"],
                &verbose["language"],
                &verbose["segments"][1]["tokens"]
            ),
            (&json!("transcribe"), &json!("english"), &json!([7, 1])),
            "what only the model knows comes from the server"
        );
    });
}

#[test]
fn a_running_server_says_who_speaks() {
    beside_a_server(|url, recording| {
        let [text, json, srt] = ["text", "json", "srt"]
            .map(|format| run(&[recording, "--url", url, "--diarize", "--format", format]).unwrap());
        assert_eq!(text, "SPEAKER_00: part 0\nSPEAKER_01: part 1\n");
        assert!(srt.contains("\nSPEAKER_01: part 1\n"), "{srt}");
        let json = read(&json);
        assert_eq!(
            (&json["segments"][1]["speaker"], &json["language"]),
            (&json!("SPEAKER_01"), &json!("fr"))
        );
    });
}

#[test]
fn what_a_server_refuses_is_told() {
    beside_a_server(|url, recording| {
        let failure = run(&[recording, "--url", url, "--language", "xx"]).unwrap_err();
        assert!(
            matches!(failure, Failure::Failed(_)) && failure.to_string().contains("en, fr"),
            "{failure}"
        );
        let failure = run(&[recording, "--url", url, "-m", "nobody", "--format", "verbose_json"]).unwrap_err();
        assert!(failure.to_string().contains("nobody"), "{failure}");
    });
}

#[test]
fn speakers_in_verbose_json_and_a_recording_that_is_not_there_are_usage_errors() {
    for server in [&[][..], &["--url", "http://127.0.0.1:1"]] {
        let speakers = ["talk.mp3", "--diarize", "--format", "verbose_json"];
        let failure = run(&[&speakers[..], server].concat()).unwrap_err();
        assert!(
            matches!(failure, Failure::Usage(_)) && failure.to_string().contains("speakers"),
            "{failure}"
        );
        let failure = run(&[&["/nowhere/talk.mp3"][..], server].concat()).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure}");
    }
}
