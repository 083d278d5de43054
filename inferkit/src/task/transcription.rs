//! The transcription task: sound in, text with times out; translation too where the model can.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::task::Samples;

/// The parts of a transcript as they are ready. Dropping the stream ends the work within one step.
pub type TranscriptionStream = BoxStream<'static, Result<TranscriptionEvent>>;

/// A model that writes down speech.
#[async_trait]
pub trait TranscriptionModel: Send + Sync {
    /// ISO 639-1 codes of the languages it understands.
    fn languages(&self) -> Vec<String>;

    /// Checks the request and queues it.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for options the model does not offer,
    /// [`crate::Error::Unavailable`] when the queue is full.
    async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream>;
}

/// Speech to write down.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TranscriptionRequest {
    /// The recording.
    pub samples: Samples,
    /// Spoken language, ISO 639-1; `None` lets the model decide or takes its default.
    pub language: Option<String>,
    /// Language of the text; `None` is the spoken one.
    pub target_language: Option<String>,
    /// Whether the text has case and punctuation; `None` is the model's default.
    pub punctuation: Option<bool>,
    /// Whether words have times.
    pub word_times: bool,
}

impl TranscriptionRequest {
    /// Writes down `samples` with the model's defaults.
    pub fn new(samples: Samples) -> Self {
        Self {
            samples,
            language: None,
            target_language: None,
            punctuation: None,
            word_times: false,
        }
    }
}

/// One step of a transcript.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TranscriptionEvent {
    /// How much of the recording is done.
    Progress {
        /// Seconds done.
        done_seconds: f64,
        /// Seconds in all.
        total_seconds: f64,
    },
    /// A part of the transcript.
    Segment(Segment),
    /// Everything has been said. Always the last event.
    Done {
        /// The language that was spoken, ISO 639-1.
        language: String,
    },
}

/// A part of a transcript.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Segment {
    /// Where it begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// Its text.
    pub text: String,
    /// Its words, where asked for.
    pub words: Vec<Word>,
}

impl Segment {
    /// A part without word times.
    pub fn new(start_seconds: f64, end_seconds: f64, text: impl Into<String>) -> Self {
        Self {
            start_seconds,
            end_seconds,
            text: text.into(),
            words: Vec::new(),
        }
    }
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Word {
    /// The word.
    pub text: String,
    /// Where it begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
}

impl Word {
    /// A word and its times.
    pub fn new(text: impl Into<String>, start_seconds: f64, end_seconds: f64) -> Self {
        Self {
            text: text.into(),
            start_seconds,
            end_seconds,
        }
    }
}
