//! `transcribe`: what is said in a recording, in this process or by a running server.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;
use futures_util::StreamExt;
use inferkit::meeting::to_srt;
use inferkit::meeting::to_vtt;
use inferkit::task::Task;
use inferkit::task::TimeDetail;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::remote::ServerArgs;
use crate::cli::remote::ServerUrl;
use crate::cli::workshop::PATIENCE;
use crate::cli::workshop::open;
use crate::cli::workshop::tell_progress;
use crate::cli::workshop::with_app;
use crate::routes::audio::Heard;
use crate::routes::audio::Hearing;
use crate::routes::audio::SpeakerBounds;
use crate::routes::audio::Spoken;
use crate::routes::audio::Step;
use crate::routes::audio::Transcript;
use crate::routes::audio::Wishes;
use crate::routes::audio::heard;
use crate::routes::audio::pick;
use crate::routes::v1::verbose_json;

/// Writes down what is said in a recording, in this process or by a running server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  inferkit-server transcribe talk.mp3\n  \
    inferkit-server transcribe meeting.m4a --diarize --format vtt -m canary --language de\n  \
    inferkit-server transcribe talk.mp3 --url http://127.0.0.1:8080")]
pub(crate) struct TranscribeArgs {
    /// The recording: WAV, AIFF, FLAC, MP3, AAC, M4A, Ogg Vorbis, Opus or WebM.
    #[arg(value_name = "FILE")]
    recording: PathBuf,
    /// Key, alias or repository of the model.
    #[arg(short, long, value_name = "KEY")]
    model: Option<String>,
    /// Spoken language, such as de; otherwise found out or the model's default.
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// How the text is written.
    #[arg(long, value_enum, default_value_t = TranscriptFormat::Text)]
    format: TranscriptFormat,
    /// Says who speaks; not in verbose_json, which has no place for it.
    #[arg(long)]
    diarize: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TranscriptFormat {
    Text,
    Json,
    Srt,
    Vtt,
    #[value(name = "verbose_json")]
    VerboseJson,
}

pub(crate) fn run(arguments: &TranscribeArgs) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(printed(arguments)?.as_bytes())?)
}

/// What is printed.
fn printed(arguments: &TranscribeArgs) -> Result<String, Failure> {
    if arguments.diarize && arguments.format == TranscriptFormat::VerboseJson {
        let message = "--format verbose_json has no place for speakers; choose another format, or leave --diarize out";
        return Err(Failure::Usage(message.to_owned()));
    }
    let recording = open(&arguments.recording)?;
    if let Some(url) = &arguments.server.url {
        return ask(url, arguments);
    }
    with_app(&arguments.file, |app| transcribe(app, recording, arguments))
}

async fn transcribe(app: Arc<App>, recording: std::fs::File, arguments: &TranscribeArgs) -> Result<String, Failure> {
    let transcriber = pick(&app, arguments.model.as_deref(), Some("canary"), Task::Transcribe)?;
    let diarizer = arguments
        .diarize
        .then(|| pick(&app, None, Some("pyannote"), Task::Diarize))
        .transpose()?;
    let wishes = Wishes {
        language: arguments.language.clone(),
        times: TimeDetail::Segment,
        ..Wishes::default()
    };
    let hearing = Hearing {
        transcriber,
        diarizer: diarizer.map(|handle| (handle, SpeakerBounds::default())),
        wishes,
        channel: None,
        patience: PATIENCE,
    };
    let Heard { recording, mut steps } = heard(&app, recording, hearing).await?;
    let mut transcript = Transcript::default();
    while let Some(step) = steps.next().await {
        match step? {
            Step::Progress {
                done_seconds,
                total_seconds,
            } => tell_progress(done_seconds, total_seconds),
            Step::Segment(segment) => transcript.segments.push(segment),
            Step::Done { language } => {
                transcript.language = language;
                return Ok(written(arguments.format, &transcript, recording.duration_seconds));
            }
        }
    }
    Err(Failure::Failed("the model ended without a transcript".to_owned()))
}

/// What the product's route answers, as far as it is printed.
#[derive(Debug, Deserialize)]
struct Answer {
    language: String,
    duration: f64,
    segments: Vec<AnsweredSegment>,
}

#[derive(Debug, Deserialize)]
struct AnsweredSegment {
    start: f64,
    end: f64,
    text: String,
    speaker: Option<String>,
}

/// Has a running server do it.
fn ask(url: &ServerUrl, arguments: &TranscribeArgs) -> Result<String, Failure> {
    let mut fields = Vec::new();
    let wishes = [("model", &arguments.model), ("language", &arguments.language)];
    fields.extend(
        wishes
            .into_iter()
            .filter_map(|(name, wish)| Some((name, wish.as_deref()?))),
    );
    if arguments.format == TranscriptFormat::VerboseJson {
        fields.push(("response_format", "verbose_json"));
        let answer = url.post("/v1/audio/transcriptions", &fields, &arguments.recording)?;
        return Ok(format!("{}\n", String::from_utf8_lossy(&answer).trim_end()));
    }
    if arguments.diarize {
        fields.push(("diarize", "true"));
    }
    let answer: Answer = url.ask("/api/audio/transcribe", &fields, &arguments.recording)?;
    let duration_seconds = answer.duration;
    Ok(written(arguments.format, &answer.into(), duration_seconds))
}

impl From<Answer> for Transcript {
    fn from(answer: Answer) -> Self {
        let spoken = |segment: AnsweredSegment| Spoken {
            start_seconds: segment.start,
            end_seconds: segment.end,
            text: segment.text,
            speaker: segment.speaker,
            words: Vec::new(),
            decoding: None,
        };
        Self {
            language: answer.language,
            segments: answer.segments.into_iter().map(spoken).collect(),
        }
    }
}

fn written(format: TranscriptFormat, transcript: &Transcript, duration_seconds: f64) -> String {
    match format {
        TranscriptFormat::Text => format!("{}\n", plain(transcript)),
        TranscriptFormat::Json => format!("{}\n", whole(transcript, duration_seconds)),
        TranscriptFormat::VerboseJson => format!("{}\n", verbose_json(transcript, false, duration_seconds)),
        TranscriptFormat::Srt => to_srt(&transcript.segments),
        TranscriptFormat::Vtt => to_vtt(&transcript.segments),
    }
}

/// The text; with speakers one line for each part.
fn plain(transcript: &Transcript) -> String {
    if transcript.segments.iter().all(|segment| segment.speaker.is_none()) {
        return transcript.text();
    }
    let line = |segment: &Spoken| {
        let speaker = segment.speaker.as_deref().unwrap_or("?");
        format!("{speaker}: {}", segment.text)
    };
    transcript.segments.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn whole(transcript: &Transcript, duration_seconds: f64) -> serde_json::Value {
    let segment = |segment: &Spoken| {
        let mut told = json!({
            "start": segment.start_seconds,
            "end": segment.end_seconds,
            "text": segment.text,
        });
        if let Some(speaker) = &segment.speaker {
            told["speaker"] = speaker.as_str().into();
        }
        told
    };
    json!({
        "text": transcript.text(),
        "language": transcript.language,
        "duration": duration_seconds,
        "segments": transcript.segments.iter().map(segment).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
