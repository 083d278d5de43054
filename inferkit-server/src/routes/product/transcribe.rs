//! `POST /api/audio/transcribe`: a recording in; text, times, speakers and an outline out.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use futures_util::StreamExt;
use inferkit::audio::SAMPLE_RATE;
use inferkit::task::Task;
use inferkit::task::TimeDetail;
use poem::web::Data;
use poem_openapi::ApiResponse;
use poem_openapi::Multipart;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::ResponseContent;
use poem_openapi::payload::Json;
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
use crate::routes::audio::Heard;
use crate::routes::audio::Hearing;
use crate::routes::audio::SpeakerBounds;
use crate::routes::audio::Spoken;
use crate::routes::audio::SpokenWord;
use crate::routes::audio::Step;
use crate::routes::audio::Steps;
use crate::routes::audio::Transcript;
use crate::routes::audio::Wishes;
use crate::routes::audio::gathered;
use crate::routes::audio::heard;
use crate::routes::audio::pick;
use crate::sse::Sse;
use crate::sse::SseEvent;

/// `/api/audio/transcribe`.
pub struct TranscribeApi(pub(crate) Arc<App>);

/// A recording and what to do with it.
#[derive(Debug, Multipart)]
#[expect(
    dead_code,
    reason = "describes the form in the document; the fields are read by hand"
)]
pub(crate) struct TranscribeForm {
    /// The recording: WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus or `WebM`, found by its content.
    file: Upload,
    /// The model; otherwise `canary`, or the only transcriber there is.
    model: Option<String>,
    /// Spoken language, ISO 639-1; otherwise found out or the model's default.
    language: Option<String>,
    /// Language of the text, ISO 639-1, for models that translate; otherwise the spoken one.
    target_language: Option<String>,
    /// Samples per second that the model reads; 16000 is the only value.
    target_sample_rate: Option<u32>,
    /// Whether the text has case and punctuation; true.
    punctuation: Option<bool>,
    /// Whether numbers and the like are written in digits; the model's default.
    itn: Option<bool>,
    /// `none`, `segment` (default) or `word`.
    timestamps: Option<String>,
    /// Whether each part is given its speaker; false.
    diarize: Option<bool>,
    /// With `diarize`: the number of speakers, 1 to 20.
    num_speakers: Option<u32>,
    /// With `diarize`: the least number of speakers, 1 to 20.
    min_speakers: Option<u32>,
    /// With `diarize`: the greatest number of speakers, 1 to 20.
    max_speakers: Option<u32>,
    /// Loudness maxima per second for drawing, 0 (none) to 100.
    peaks: Option<u32>,
    /// The channel to take, from 0; otherwise all are averaged.
    channel: Option<u32>,
    /// Whether progress and segments are sent as they come; false.
    stream: Option<bool>,
}

/// What was said.
#[derive(Debug, Object)]
#[oai(read_only_all)]
pub(crate) struct TranscribedAudio {
    /// All of the text.
    text: String,
    /// Samples per second that the model read.
    target_sample_rate: u32,
    /// Samples per second of the file.
    source_sample_rate: u32,
    /// Channels of the file.
    channels: usize,
    /// Length in seconds.
    duration: f64,
    /// The spoken language, ISO 639-1.
    language: String,
    /// The key of the model.
    model: String,
    /// The parts, by start; empty with `timestamps` `none`.
    segments: Vec<TranscribedSegment>,
    /// With `timestamps` `word`: the words.
    #[oai(skip_serializing_if_is_none)]
    words: Option<Vec<TranscribedWord>>,
    /// With `peaks`: the outline.
    #[oai(skip_serializing_if_is_none)]
    peaks: Option<PeaksView>,
    /// From the request to the answer.
    processing_seconds: f64,
}

/// A part of a transcript.
#[derive(Debug, Object)]
#[oai(read_only_all)]
pub(crate) struct TranscribedSegment {
    /// Where it begins, in seconds.
    start: f64,
    /// Where it ends, in seconds.
    end: f64,
    /// Its text.
    text: String,
    /// With `diarize`: who says it, where somebody was found.
    #[oai(skip_serializing_if_is_none)]
    speaker: Option<String>,
}

/// A word of a transcript.
#[derive(Debug, Object)]
#[oai(read_only_all)]
pub(crate) struct TranscribedWord {
    /// The word.
    word: String,
    /// Where it begins, in seconds.
    start: f64,
    /// Where it ends, in seconds.
    end: f64,
    /// How sure the model is, 0 to 1, where it says.
    #[oai(skip_serializing_if_is_none)]
    probability: Option<f32>,
    /// With `diarize`: who says it, where somebody was found.
    #[oai(skip_serializing_if_is_none)]
    speaker: Option<String>,
}

/// An answer about a recording.
#[derive(ApiResponse)]
enum TranscribeAnswer {
    /// What was said: whole as JSON, or with `stream` as the events `progress` {`done_seconds`, `total_seconds`},
    /// `segment`, and at last `done` with the whole answer, or `error`.
    #[oai(status = 200)]
    Ok(TranscribeBody),
}

#[derive(ResponseContent)]
enum TranscribeBody {
    Whole(Json<TranscribedAudio>),
    Stream(Sse<TranscribedAudio>),
}

#[OpenApi]
impl TranscribeApi {
    /// What is said in a recording.
    ///
    /// The recording is recognised by its content, mixed to one channel and brought to 16 kHz. With `diarize`, the
    /// diarizer works at the same time and each part gets its speaker; the parts then come at the end. Models are
    /// brought up as a request to them would.
    #[oai(
        path = "/api/audio/transcribe",
        method = "post",
        operation_id = "transcribeAudio",
        tag = "Tag::Audio"
    )]
    async fn transcribe(&self, notes: Data<&Notes>, form: Form<TranscribeForm>) -> poem::Result<TranscribeAnswer> {
        let started = Instant::now();
        let Form { file, fields, .. } = form;
        let (hearing, shape) = self.read(fields, notes.0)?;
        let stream = shape.stream;
        let Heard { recording, steps } = heard(&self.0, file, hearing).await?;
        notes.shorten_deadline(recording.duration_seconds);
        let writer = Writer {
            source_sample_rate: recording.source_sample_rate,
            channels: recording.channels,
            duration: recording.duration_seconds,
            peaks: outline(recording.samples, shape.peaks).await?,
            shape,
            started,
        };
        if !stream {
            let transcript = gathered(steps).await.map_err(ApiError::from)?;
            return Ok(TranscribeAnswer::Ok(TranscribeBody::Whole(Json(
                writer.whole(&transcript),
            ))));
        }
        let bounds = self.0.stream_bounds(notes.0);
        let events = writer.events(steps, notes.0.clone());
        Ok(TranscribeAnswer::Ok(TranscribeBody::Stream(Sse::new(events, bounds))))
    }

    fn read(&self, mut fields: Fields, notes: &Notes) -> Result<(Hearing, Shape), ApiError> {
        let app = &self.0;
        let transcriber = pick(app, fields.take("model")?.as_deref(), Some("canary"), Task::Transcribe)?;
        notes.facts().model = Some(transcriber.key().to_owned());
        check_rate(&mut fields)?;
        let words = [
            ("none", TimeDetail::None),
            ("segment", TimeDetail::Segment),
            ("word", TimeDetail::Word),
        ];
        let times = fields.one_of("timestamps", &words)?.unwrap_or_default();
        let (diarize, bounds) = (
            fields.flag("diarize")?.unwrap_or_default(),
            SpeakerBounds::take(&mut fields)?,
        );
        check_speakers(diarize, bounds, times)?;
        let diarizer = diarize
            .then(|| pick(app, None, Some("pyannote"), Task::Diarize))
            .transpose()
            .map_err(|error| ApiError::from(error).with_param("diarization"))?;
        let shape = Shape {
            model: transcriber.key().to_owned(),
            times,
            peaks: peak_rate(&mut fields)?,
            stream: fields.flag("stream")?.unwrap_or_default(),
        };
        let wishes = Wishes {
            language: fields.take("language")?,
            target_language: fields.take("target_language")?,
            punctuation: fields.flag("punctuation")?,
            inverse_text_normalisation: fields.flag("itn")?,
            times,
            times_field: "timestamps",
            ..Wishes::default()
        };
        let hearing = Hearing {
            transcriber,
            diarizer: diarizer.map(|handle| (handle, bounds)),
            wishes,
            channel: fields.number("channel", 0..=1023_usize)?,
            patience: earlier(app.config.limits.load_wait, notes.deadline()),
        };
        notes.ignore(fields.unknown())?;
        Ok((hearing, shape))
    }
}

fn check_rate(fields: &mut Fields) -> Result<(), ApiError> {
    match fields.number("target_sample_rate", 0..=u32::MAX)? {
        None | Some(SAMPLE_RATE) => Ok(()),
        Some(rate) => {
            let message = format!("target_sample_rate is {rate}; the models here read {SAMPLE_RATE}");
            Err(ApiError::new("unsupported_value", message).with_param("target_sample_rate"))
        }
    }
}

fn check_speakers(diarize: bool, bounds: SpeakerBounds, times: TimeDetail) -> Result<(), ApiError> {
    if !diarize && !bounds.is_open() {
        let message = "a number of speakers was given without diarize; set diarize to true";
        return Err(ApiError::invalid_value("diarize", message));
    }
    if diarize && times == TimeDetail::None {
        let message = "timestamps is none, and speakers are found by times; give segment or word";
        return Err(ApiError::invalid_value("timestamps", message));
    }
    Ok(())
}

/// What the answer looks like.
struct Shape {
    model: String,
    times: TimeDetail,
    peaks: Option<NonZeroU32>,
    stream: bool,
}

/// Writes the answer, whole or in events.
struct Writer {
    shape: Shape,
    source_sample_rate: u32,
    channels: usize,
    duration: f64,
    peaks: Option<PeaksView>,
    started: Instant,
}

impl Writer {
    fn whole(&self, transcript: &Transcript) -> TranscribedAudio {
        let segments = transcript.segments.iter().map(segment_view);
        let times = self.shape.times;
        TranscribedAudio {
            text: transcript.text(),
            target_sample_rate: SAMPLE_RATE,
            source_sample_rate: self.source_sample_rate,
            channels: self.channels,
            duration: self.duration,
            language: transcript.language.clone(),
            model: self.shape.model.clone(),
            segments: if times == TimeDetail::None {
                Vec::new()
            } else {
                segments.collect()
            },
            words: (times == TimeDetail::Word).then(|| transcript.words().map(word_view).collect()),
            peaks: self.peaks.clone(),
            processing_seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    fn events(self, steps: Steps, notes: Notes) -> impl Stream<Item = Result<SseEvent, ApiError>> + Send + 'static {
        let state = (self, steps, Transcript::default(), notes, false);
        futures_util::stream::unfold(state, |(writer, mut steps, mut transcript, notes, ended)| async move {
            if ended {
                return None;
            }
            let step = steps.next().await?;
            let ended = !matches!(step, Ok(Step::Progress { .. } | Step::Segment(_)));
            let event = match step {
                Ok(step) => writer.event(step, &mut transcript),
                Err(error) => {
                    let error = ApiError::from(error);
                    notes.facts().late_error = Some(error.code);
                    Ok(SseEvent::error(&error).named("error"))
                }
            };
            Some((event, (writer, steps, transcript, notes, ended)))
        })
    }

    fn event(&self, step: Step, transcript: &mut Transcript) -> Result<SseEvent, ApiError> {
        match step {
            Step::Progress {
                done_seconds,
                total_seconds,
            } => {
                let data = json!({ "done_seconds": done_seconds, "total_seconds": total_seconds });
                Ok(SseEvent::json(&data)?.named("progress"))
            }
            Step::Segment(segment) => {
                let event = SseEvent::json(&segment_view(&segment).to_json())?.named("segment");
                transcript.segments.push(segment);
                Ok(event)
            }
            Step::Done { language } => {
                transcript.language = language;
                Ok(SseEvent::json(&self.whole(transcript).to_json())?.named("done"))
            }
        }
    }
}

fn segment_view(segment: &Spoken) -> TranscribedSegment {
    TranscribedSegment {
        start: segment.start_seconds,
        end: segment.end_seconds,
        text: segment.text.clone(),
        speaker: segment.speaker.clone(),
    }
}

fn word_view(spoken: &SpokenWord) -> TranscribedWord {
    TranscribedWord {
        word: spoken.word.text.clone(),
        start: spoken.word.start_seconds,
        end: spoken.word.end_seconds,
        probability: spoken.word.probability,
        speaker: spoken.speaker.clone(),
    }
}
