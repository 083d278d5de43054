//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, its text out, in OpenAI's formats.
//!
//! ```text
//! form ─ request: checks ─▶ Hearing ─ heard: decoded, models brought up ─▶ steps
//!     ─▶ answer: JSON, text, subtitles; or stream: deltas as server-sent events
//! ```

mod answer;
mod form;
mod request;
mod stream;

use std::sync::Arc;

use inferkit::meeting::to_srt;
use inferkit::meeting::to_vtt;
use inferkit::task::Task;
use poem::web::Data;
use poem_openapi::ApiResponse;
use poem_openapi::OpenApi;
use poem_openapi::ResponseContent;
use poem_openapi::payload::Json;
use poem_openapi::payload::PlainText;

use self::answer::Kind;
use self::answer::TranscriptionBody;
use self::answer::body;
use self::form::TranscriptionForm;
use self::form::TranslationForm;
use self::request::Format;
use self::request::Wanted;
use self::stream::TranscriptStreamEvent;
use self::stream::events;
use crate::app::App;
use crate::app::earlier;
use crate::body::Form;
use crate::error::ApiError;
use crate::middleware::Notes;
use crate::openapi::Tag;
use crate::routes::audio::Heard;
use crate::routes::audio::Hearing;
use crate::routes::audio::SpeakerBounds;
use crate::routes::audio::Transcript;
use crate::routes::audio::gathered;
use crate::routes::audio::heard;
use crate::routes::audio::pick;
use crate::sse::Sse;

pub(crate) use self::answer::verbose_json;
#[cfg(any(fuzzing, test))]
pub(crate) use self::request::fuzzing;

/// `/v1/audio/transcriptions` and `/v1/audio/translations`.
pub struct AudioApi(pub(crate) Arc<App>);

/// The text of a recording.
#[derive(ApiResponse)]
enum TranscriptionAnswer {
    /// The text, in the format that was asked for; with `stream` in pieces as server-sent events that end with
    /// `data: [DONE]`.
    #[oai(status = 200)]
    Ok(TranscriptionContent),
}

#[derive(ResponseContent)]
enum TranscriptionContent {
    Json(Json<TranscriptionBody>),
    Text(PlainText<String>),
    #[oai(content_type = "application/x-subrip; charset=utf-8")]
    Srt(PlainText<String>),
    #[oai(content_type = "text/vtt; charset=utf-8")]
    Vtt(PlainText<String>),
    Stream(Sse<TranscriptStreamEvent>),
}

/// The translation of a recording.
#[derive(ApiResponse)]
enum TranslationAnswer {
    /// The English text, in the format that was asked for.
    #[oai(status = 200)]
    Ok(TranslationContent),
}

#[derive(ResponseContent)]
enum TranslationContent {
    Json(Json<TranscriptionBody>),
    Text(PlainText<String>),
    #[oai(content_type = "application/x-subrip; charset=utf-8")]
    Srt(PlainText<String>),
    #[oai(content_type = "text/vtt; charset=utf-8")]
    Vtt(PlainText<String>),
}

#[OpenApi]
impl AudioApi {
    /// The text of a recording.
    ///
    /// The recording is recognised by its content. Subtitles carry no more than `verbose_json` does; `diarized_json`
    /// needs a diarizer, which is brought up like any model. The counts of tokens in a stream's last event are of the
    /// text, where the model tells them.
    #[oai(
        path = "/v1/audio/transcriptions",
        method = "post",
        operation_id = "createTranscription",
        tag = "Tag::OpenAi"
    )]
    async fn transcribe(
        &self,
        notes: Data<&Notes>,
        form: Form<TranscriptionForm>,
    ) -> poem::Result<TranscriptionAnswer> {
        let mut fields = form.fields;
        let wanted = Wanted::transcription(&mut fields)?;
        notes.ignore(fields.unknown())?;
        let (format, stream) = (wanted.format, wanted.stream);
        let kind = wanted.kind();
        let heard = self.heard(wanted, form.file, notes.0).await?;
        if stream {
            let bounds = self.0.stream_bounds(notes.0);
            let events = events(heard, kind);
            return Ok(TranscriptionAnswer::Ok(TranscriptionContent::Stream(Sse::new(
                events, bounds,
            ))));
        }
        let (transcript, duration) = finished(heard).await?;
        Ok(TranscriptionAnswer::Ok(match written(format, &transcript) {
            Written::Json => TranscriptionContent::Json(Json(body(kind, &transcript, duration))),
            Written::Text(text) => TranscriptionContent::Text(PlainText(text)),
            Written::Srt(text) => TranscriptionContent::Srt(PlainText(text)),
            Written::Vtt(text) => TranscriptionContent::Vtt(PlainText(text)),
        }))
    }

    /// The English text of a recording in another language.
    ///
    /// For models that translate. A model that does not find out the spoken language takes its default;
    /// `/api/audio/transcribe` takes `language` and `target_language`.
    #[oai(
        path = "/v1/audio/translations",
        method = "post",
        operation_id = "createTranslation",
        tag = "Tag::OpenAi"
    )]
    async fn translate(&self, notes: Data<&Notes>, form: Form<TranslationForm>) -> poem::Result<TranslationAnswer> {
        let mut fields = form.fields;
        let wanted = Wanted::translation(&mut fields)?;
        notes.ignore(fields.unknown())?;
        let (format, kind) = (wanted.format, wanted.kind());
        let heard = self.heard(wanted, form.file, notes.0).await?;
        let (transcript, duration) = finished(heard).await?;
        Ok(TranslationAnswer::Ok(match written(format, &transcript) {
            Written::Json => TranslationContent::Json(Json(body(kind, &transcript, duration))),
            Written::Text(text) => TranslationContent::Text(PlainText(text)),
            Written::Srt(text) => TranslationContent::Srt(PlainText(text)),
            Written::Vtt(text) => TranslationContent::Vtt(PlainText(text)),
        }))
    }

    async fn heard(&self, wanted: Wanted, file: std::fs::File, notes: &Notes) -> Result<Heard, ApiError> {
        let app = &self.0;
        let transcriber = pick(app, wanted.model.as_deref(), None, Task::Transcribe)?;
        notes.facts().model = Some(transcriber.key().to_owned());
        let diarizer = (wanted.format == Format::Diarized)
            .then(|| pick(app, None, Some("pyannote"), Task::Diarize))
            .transpose()
            .map_err(|error| ApiError::from(error).with_param("diarization"))?;
        let hearing = Hearing {
            transcriber,
            diarizer: diarizer.map(|handle| (handle, SpeakerBounds::default())),
            wishes: wanted.wishes,
            channel: None,
            patience: earlier(app.config.limits.load_wait, notes.deadline()),
        };
        let heard = heard(app, file, hearing).await?;
        notes.shorten_deadline(heard.recording.duration_seconds);
        Ok(heard)
    }
}

async fn finished(heard: Heard) -> Result<(Transcript, f64), ApiError> {
    let duration = heard.recording.duration_seconds;
    Ok((gathered(heard.steps).await?, duration))
}

/// A transcript in one of the formats.
enum Written {
    Json,
    Text(String),
    Srt(String),
    Vtt(String),
}

fn written(format: Format, transcript: &Transcript) -> Written {
    match format {
        Format::Json | Format::Verbose | Format::Diarized => Written::Json,
        Format::Text => Written::Text(format!("{}\n", transcript.text())),
        Format::Srt => Written::Srt(to_srt(&transcript.segments)),
        Format::Vtt => Written::Vtt(to_vtt(&transcript.segments)),
    }
}

impl Wanted {
    /// Which JSON is written.
    fn kind(&self) -> Kind {
        let task = if self.wishes.target_language.is_some() {
            "translate"
        } else {
            "transcribe"
        };
        match self.format {
            Format::Verbose => Kind::Verbose {
                task,
                words: self.wishes.times == inferkit::task::TimeDetail::Word,
            },
            Format::Diarized => Kind::Diarized,
            Format::Json | Format::Text | Format::Srt | Format::Vtt => Kind::Plain {
                logprobs: self.wishes.token_logprobs,
            },
        }
    }
}

#[cfg(test)]
mod tests;
