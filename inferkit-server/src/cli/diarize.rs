//! `diarize`: who speaks when in a recording, in this process or by a running server.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;
use futures_util::StreamExt;
use inferkit::DerOptions;
use inferkit::diarization_error;
use inferkit::task::DiarizationEvent;
use inferkit::task::DiarizationResult;
use inferkit::task::SpeakerTurn;
use inferkit::task::Task;
use inferkit::task::read_rttm;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::print;
use crate::cli::remote::ServerArgs;
use crate::cli::remote::ServerUrl;
use crate::cli::workshop::PATIENCE;
use crate::cli::workshop::open;
use crate::cli::workshop::tell_progress;
use crate::cli::workshop::with_app;
use crate::routes::audio::Diarizing;
use crate::routes::audio::SpeakerBounds;
use crate::routes::audio::by_appearance;
use crate::routes::audio::diarized;
use crate::routes::audio::pick;

/// Tells who speaks when in a recording, in this process or by a running server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  inferkit-server diarize meeting.m4a\n  \
    inferkit-server diarize meeting.m4a --format rttm -m pyannote\n  \
    inferkit-server diarize meeting.m4a --url http://127.0.0.1:8080")]
pub(crate) struct DiarizeArgs {
    /// The recording: WAV, AIFF, FLAC, MP3, AAC, M4A, Ogg Vorbis, Opus or WebM.
    #[arg(value_name = "FILE")]
    recording: PathBuf,
    /// Key, alias or repository of the model.
    #[arg(short, long, value_name = "KEY")]
    model: Option<String>,
    /// How the turns are written.
    #[arg(long, value_enum, default_value_t = TurnsFormat::Json)]
    format: TurnsFormat,
    /// Who really speaks when, as RTTM: the error rate is told on standard error, overlaps scored, without a collar.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TurnsFormat {
    Json,
    Rttm,
}

pub(crate) fn run(arguments: &DiarizeArgs) -> Result<(), Failure> {
    let recording = open(&arguments.recording)?;
    if let Some(url) = &arguments.server.url {
        return ask(url, arguments);
    }
    with_app(&arguments.file, |app| diarize(app, recording, arguments))
}

async fn diarize(app: Arc<App>, recording: std::fs::File, arguments: &DiarizeArgs) -> Result<(), Failure> {
    let work = Diarizing {
        diarizer: pick(&app, arguments.model.as_deref(), Some("pyannote"), Task::Diarize)?,
        bounds: SpeakerBounds::default(),
        channel: None,
        patience: PATIENCE,
    };
    let (recording, mut events) = diarized(&app, recording, work).await?;
    while let Some(event) = events.next().await {
        match event? {
            DiarizationEvent::Progress {
                done_seconds,
                total_seconds,
            } => tell_progress(done_seconds, total_seconds),
            DiarizationEvent::Done(result) => return write(arguments, &result, recording.duration_seconds),
            _ => {}
        }
    }
    Err(Failure::Failed("the model ended without a result".to_owned()))
}

/// What the product's route answers, as far as it is printed.
#[derive(Debug, Deserialize)]
struct Answer {
    duration: f64,
    segments: Vec<AnsweredTurn>,
}

#[derive(Debug, Deserialize)]
struct AnsweredTurn {
    speaker: String,
    start: f64,
    end: f64,
}

/// Has a running server do it.
fn ask(url: &ServerUrl, arguments: &DiarizeArgs) -> Result<(), Failure> {
    let model = arguments.model.as_deref().map(|model| ("model", model));
    let fields: Vec<_> = model.into_iter().collect();
    let answer: Answer = url.ask("/api/diarization/process", &fields, &arguments.recording)?;
    let turn = |turn: AnsweredTurn| SpeakerTurn::new(turn.speaker, turn.start, turn.end);
    let turns: Vec<SpeakerTurn> = answer.segments.into_iter().map(turn).collect();
    let speakers: BTreeSet<String> = turns.iter().map(|turn| turn.speaker.clone()).collect();
    let result = DiarizationResult::new(turns, Vec::new(), speakers.into_iter().collect());
    write(arguments, &result, answer.duration)
}

fn write(arguments: &DiarizeArgs, result: &DiarizationResult, duration_seconds: f64) -> Result<(), Failure> {
    if let Some(path) = &arguments.reference {
        compare(path, result, duration_seconds)?;
    }
    if arguments.format == TurnsFormat::Rttm {
        let lines = result.to_rttm(&recording_name(&arguments.recording))?;
        return Ok(std::io::stdout().write_all(lines.as_bytes())?);
    }
    let turns = result.turns.iter();
    let segments: Vec<_> = turns
        .map(|turn| json!({ "speaker": turn.speaker, "start": turn.start_seconds, "end": turn.end_seconds }))
        .collect();
    let whole = json!({
        "segments": segments,
        "speakers": by_appearance(result),
        "num_speakers": result.speakers.len(),
        "duration": duration_seconds,
    });
    print(&whole.to_string())
}

/// Tells how far `result` is from the turns of a reference, over the whole recording.
fn compare(path: &Path, result: &DiarizationResult, duration_seconds: f64) -> Result<(), Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
    let reference: Vec<_> = read_rttm(&text)?.into_iter().map(|line| line.turn).collect();
    let mut options = DerOptions::default();
    options.evaluated = vec![(0.0, duration_seconds)];
    let error = diarization_error(&reference, &result.turns, &options);
    let share = |seconds: f64| 100.0 * seconds / error.total_seconds.max(f64::MIN_POSITIVE);
    eprintln!(
        "diarization error rate {:.2} % (missed {:.2} %, false alarm {:.2} %, confusion {:.2} %)",
        100.0 * error.rate(),
        share(error.missed_seconds),
        share(error.false_alarm_seconds),
        share(error.confusion_seconds),
    );
    Ok(())
}

/// The file's name as RTTM takes it: one word.
fn recording_name(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let words: Vec<&str> = name.split_whitespace().collect();
    if words.is_empty() {
        "recording".to_owned()
    } else {
        words.join("_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recordings_name_in_rttm_is_one_word() {
        assert_eq!(recording_name(Path::new("/tmp/my talk.mp3")), "my_talk");
        assert_eq!(recording_name(Path::new("/")), "recording");
    }
}
