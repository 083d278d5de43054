//! `POST /api/diarization/process` and `/v1/audio/diarization`: a recording in, who speaks when out.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use futures_util::StreamExt;
use inferkit::Error;
use inferkit::task::DiarizationEvent;
use inferkit::task::DiarizationResult;
use inferkit::task::DiarizationStream;
use inferkit::task::SpeakerTurn;
use inferkit::task::Task;
use poem::web::Data;
use poem_openapi::ApiResponse;
use poem_openapi::Multipart;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::ResponseContent;
use poem_openapi::payload::Json;
use poem_openapi::payload::PlainText;
use poem_openapi::types::ToJSON;
use poem_openapi::types::multipart::Upload;
use serde_json::json;

use super::peaks::PeaksView;
use super::peaks::outline;
use super::peaks::peak_rate;
use crate::app::App;
use crate::app::earlier;
use crate::body::Fields;
use crate::body::Form;
use crate::error::ApiError;
use crate::middleware::Notes;
use crate::openapi::Tag;
use crate::routes::audio::Diarizing;
use crate::routes::audio::SpeakerBounds;
use crate::routes::audio::by_appearance;
use crate::routes::audio::diarized;
use crate::routes::audio::pick;
use crate::sse::Sse;
use crate::sse::SseEvent;

/// `/api/diarization/process` and `/v1/audio/diarization`.
pub struct DiarizationApi(pub(crate) Arc<App>);

/// A recording and what to do with it.
#[derive(Debug, Multipart)]
#[expect(
    dead_code,
    reason = "describes the form in the document; the fields are read by hand"
)]
pub(crate) struct DiarizeForm {
    /// The recording: WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus or `WebM`, found by its content.
    file: Upload,
    /// The model; otherwise `pyannote`, or the only diarizer there is.
    model: Option<String>,
    /// The number of speakers, 1 to 20.
    num_speakers: Option<u32>,
    /// The least number of speakers, 1 to 20.
    min_speakers: Option<u32>,
    /// The greatest number of speakers, 1 to 20.
    max_speakers: Option<u32>,
    /// Whether at most one speaker is told at any time; false tells overlaps as they are.
    exclusive: Option<bool>,
    /// Loudness maxima per second for drawing, 0 (none) to 100.
    peaks: Option<u32>,
    /// The channel to take, from 0; otherwise all are averaged.
    channel: Option<u32>,
    /// `json` (default) or `rttm`.
    response_format: Option<String>,
    /// Whether progress is sent as it is made; false. Only with `json`.
    stream: Option<bool>,
}

/// Who speaks when.
#[derive(Debug, Object)]
#[oai(read_only_all)]
pub(crate) struct DiarizedAudio {
    /// The turns, by start, then by speaker.
    segments: Vec<DiarizedTurn>,
    /// The labels, in order of appearance.
    speakers: Vec<String>,
    /// How many there are.
    num_speakers: usize,
    /// Length in seconds.
    duration: f64,
    /// The key of the model.
    model: String,
    /// With `peaks`: the outline.
    #[oai(skip_serializing_if_is_none)]
    peaks: Option<PeaksView>,
    /// From the request to the answer.
    processing_seconds: f64,
}

/// One speaker talking without a break.
#[derive(Debug, Object)]
#[oai(read_only_all)]
pub(crate) struct DiarizedTurn {
    /// The speaker's label.
    speaker: String,
    /// Where the turn begins, in seconds.
    start: f64,
    /// Where it ends, in seconds.
    end: f64,
}

/// An answer about the speakers.
#[derive(ApiResponse)]
enum DiarizeAnswer {
    /// Who speaks when: as JSON, as lines of RTTM, or with `stream` as the events `progress` {`done_seconds`,
    /// `total_seconds`}, and at last `done` with the whole answer, or `error`.
    #[oai(status = 200)]
    Ok(DiarizeBody),
}

#[derive(ResponseContent)]
enum DiarizeBody {
    Whole(Json<DiarizedAudio>),
    Rttm(PlainText<String>),
    Stream(Sse<DiarizedAudio>),
}

#[OpenApi]
impl DiarizationApi {
    /// Who speaks when in a recording.
    ///
    /// The recording is recognised by its content, mixed to one channel and brought to 16 kHz. Where nobody speaks,
    /// the answer has no segments.
    #[oai(
        path = "/api/diarization/process",
        method = "post",
        operation_id = "diarizeAudio",
        tag = "Tag::Audio"
    )]
    async fn process(&self, notes: Data<&Notes>, form: Form<DiarizeForm>) -> poem::Result<DiarizeAnswer> {
        self.answer(notes.0, form).await
    }

    /// Who speaks when in a recording, at the path of other servers.
    ///
    /// The same as `/api/diarization/process`.
    #[oai(
        path = "/v1/audio/diarization",
        method = "post",
        operation_id = "createDiarization",
        tag = "Tag::OpenAi"
    )]
    async fn create(&self, notes: Data<&Notes>, form: Form<DiarizeForm>) -> poem::Result<DiarizeAnswer> {
        self.answer(notes.0, form).await
    }

    async fn answer(&self, notes: &Notes, form: Form<DiarizeForm>) -> poem::Result<DiarizeAnswer> {
        let started = Instant::now();
        let Form { file, fields, .. } = form;
        let (work, shape) = self.read(fields, notes)?;
        let model = work.diarizer.key().to_owned();
        let (recording, stream) = diarized(&self.0, file, work).await?;
        notes.shorten_deadline(recording.duration_seconds);
        let writer = Writer {
            duration: recording.duration_seconds,
            peaks: outline(recording.samples, shape.peaks).await?,
            shape,
            model,
            started,
        };
        let body = if writer.shape.stream {
            let bounds = self.0.stream_bounds(notes);
            DiarizeBody::Stream(Sse::new(writer.events(stream, notes.clone()), bounds))
        } else {
            let result = gathered(stream).await.map_err(ApiError::from)?;
            if writer.shape.rttm {
                let lines = writer.chosen(result).to_rttm("recording").map_err(ApiError::from)?;
                DiarizeBody::Rttm(PlainText(lines))
            } else {
                DiarizeBody::Whole(Json(writer.whole(result)))
            }
        };
        Ok(DiarizeAnswer::Ok(body))
    }

    fn read(&self, mut fields: Fields, notes: &Notes) -> Result<(Diarizing, Shape), ApiError> {
        let diarizer = pick(
            &self.0,
            fields.take("model")?.as_deref(),
            Some("pyannote"),
            Task::Diarize,
        )?;
        notes.facts().model = Some(diarizer.key().to_owned());
        let work = Diarizing {
            diarizer,
            bounds: SpeakerBounds::take(&mut fields)?,
            channel: fields.number("channel", 0..=1023_usize)?,
            patience: earlier(self.0.config.limits.load_wait, notes.deadline()),
        };
        let formats = [("json", false), ("rttm", true)];
        let shape = Shape {
            exclusive: fields.flag("exclusive")?.unwrap_or_default(),
            peaks: peak_rate(&mut fields)?,
            rttm: fields.one_of("response_format", &formats)?.unwrap_or_default(),
            stream: fields.flag("stream")?.unwrap_or_default(),
        };
        if shape.stream && shape.rttm {
            let message = "stream goes with response_format json only; leave out one of them";
            return Err(ApiError::invalid_value("stream", message));
        }
        notes.ignore(fields.unknown())?;
        Ok((work, shape))
    }
}

/// What the answer looks like.
struct Shape {
    exclusive: bool,
    peaks: Option<NonZeroU32>,
    rttm: bool,
    stream: bool,
}

/// Waits for the result.
pub(crate) async fn gathered(mut stream: DiarizationStream) -> Result<DiarizationResult, Error> {
    while let Some(event) = stream.next().await {
        if let DiarizationEvent::Done(result) = event? {
            return Ok(result);
        }
    }
    Err(Error::internal("a diarization ended without its last event"))
}

/// Writes the answer, whole or in events.
struct Writer {
    shape: Shape,
    model: String,
    duration: f64,
    peaks: Option<PeaksView>,
    started: Instant,
}

impl Writer {
    /// The result with the turns that are wanted.
    fn chosen(&self, mut result: DiarizationResult) -> DiarizationResult {
        if self.shape.exclusive {
            result.turns.clone_from(&result.exclusive_turns);
        }
        result
    }

    fn whole(&self, result: DiarizationResult) -> DiarizedAudio {
        let result = self.chosen(result);
        let duration = self.duration;
        let turn = |turn: SpeakerTurn| DiarizedTurn {
            speaker: turn.speaker,
            start: turn.start_seconds.clamp(0.0, duration),
            end: turn.end_seconds.clamp(0.0, duration),
        };
        let speakers = by_appearance(&result);
        DiarizedAudio {
            segments: result.turns.into_iter().map(turn).collect(),
            num_speakers: speakers.len(),
            speakers,
            duration,
            model: self.model.clone(),
            peaks: self.peaks.clone(),
            processing_seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    fn events(
        self,
        stream: DiarizationStream,
        notes: Notes,
    ) -> impl Stream<Item = Result<SseEvent, ApiError>> + Send + 'static {
        let state = (self, stream, notes, false);
        futures_util::stream::unfold(state, |(writer, mut stream, notes, ended)| async move {
            if ended {
                return None;
            }
            let event = stream.next().await?;
            let ended = !matches!(event, Ok(DiarizationEvent::Progress { .. }));
            let event = match event {
                Ok(event) => writer.event(event),
                Err(error) => {
                    let error = ApiError::from(error);
                    notes.facts().late_error = Some(error.code);
                    Ok(SseEvent::error(&error).named("error"))
                }
            };
            Some((event, (writer, stream, notes, ended)))
        })
    }

    fn event(&self, event: DiarizationEvent) -> Result<SseEvent, ApiError> {
        match event {
            DiarizationEvent::Progress {
                done_seconds,
                total_seconds,
            } => {
                let data = json!({ "done_seconds": done_seconds, "total_seconds": total_seconds });
                Ok(SseEvent::json(&data)?.named("progress"))
            }
            DiarizationEvent::Done(result) => Ok(SseEvent::json(&self.whole(result).to_json())?.named("done")),
            other => Err(ApiError::internal(format!("unknown step of a diarization: {other:?}"))),
        }
    }
}
