//! The forms as the document describes them.

use poem_openapi::Multipart;
use poem_openapi::types::multipart::Upload;

/// A recording to write down.
#[derive(Debug, Multipart)]
#[expect(
    dead_code,
    reason = "describes the form in the document; the fields are read by hand"
)]
pub(crate) struct TranscriptionForm {
    /// The recording: WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus or `WebM`, found by its content.
    file: Upload,
    /// Key, alias or repository of the model; otherwise the only transcriber that is loaded.
    model: Option<String>,
    /// Spoken language, ISO 639-1; otherwise found out or the model's default.
    language: Option<String>,
    /// Languages of which one is spoken, for models that find it out; others do without.
    #[oai(rename = "languages[]")]
    languages: Option<Vec<String>>,
    /// Text that came before, for models that read it; at most 4 KiB.
    prompt: Option<String>,
    /// Sampling temperature, 0 to 1, for models that sample; 0.
    temperature: Option<f32>,
    /// `json` (default), `text`, `srt`, `vtt`, `verbose_json` or `diarized_json`.
    response_format: Option<String>,
    /// With `verbose_json`: `segment` (default) or `word`, or both.
    #[oai(rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<String>>,
    /// With `json`: `logprobs`, for the log-probability of each token of the text.
    #[oai(rename = "include[]")]
    include: Option<Vec<String>>,
    /// `auto` or an object; long recordings are always cut where nobody speaks.
    chunking_strategy: Option<String>,
    /// Whether the text is sent as it comes; with `json`, `text` and `diarized_json`. False.
    stream: Option<bool>,
}

/// A recording to translate to English.
#[derive(Debug, Multipart)]
#[expect(
    dead_code,
    reason = "describes the form in the document; the fields are read by hand"
)]
pub(crate) struct TranslationForm {
    /// The recording: WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus or `WebM`, found by its content.
    file: Upload,
    /// Key, alias or repository of the model; otherwise the only transcriber that is loaded.
    model: Option<String>,
    /// Text that came before, for models that read it; at most 4 KiB.
    prompt: Option<String>,
    /// Sampling temperature, 0 to 1, for models that sample; 0.
    temperature: Option<f32>,
    /// `json` (default), `text`, `srt`, `vtt` or `verbose_json`.
    response_format: Option<String>,
}
