//! The transcription task: sound in, text with times out; translation too where the model can.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::task::QueueDepth;
use crate::task::Samples;
use crate::task::TokenLogprob;

/// The parts of a transcript as they are ready. Dropping the stream ends the work within one step.
pub type TranscriptionStream = BoxStream<'static, Result<TranscriptionEvent>>;

/// A model that writes down speech.
#[async_trait]
pub trait TranscriptionModel: Send + Sync {
    /// What may be asked of it, so that a caller can refuse or adapt before it sends sound.
    fn capabilities(&self) -> TranscriptionCapabilities;

    /// How many requests it works on and how many wait; `None` for models that do not tell.
    fn queue(&self) -> Option<QueueDepth> {
        None
    }

    /// Checks the request and queues it.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for options the model does not offer,
    /// [`crate::Error::Unavailable`] when the queue is full.
    async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream>;
}

/// What a transcription model can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TranscriptionCapabilities {
    /// ISO 639-1 codes of the languages it understands.
    pub languages: Vec<String>,
    /// Pairs of spoken and written language, both ISO 639-1, that it translates.
    pub translations: Vec<(String, String)>,
    /// The language taken where none is given; `None` where the model finds it out itself.
    pub default_language: Option<String>,
    /// Whether words can have times.
    pub word_times: bool,
    /// Whether case and punctuation can be switched.
    pub punctuation_switch: bool,
    /// Whether inverse text normalisation ("twenty" to "20") can be switched.
    pub inverse_text_normalisation_switch: bool,
    /// Whether it says how probable each token of the text was, where no times are asked for.
    pub token_logprobs: bool,
}

/// How fine the times of a transcript are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeDetail {
    /// No times are needed: segments are whatever is cheapest.
    None,
    /// Each segment has its times.
    #[default]
    Segment,
    /// Each word has its times as well.
    Word,
}

/// Speech to write down.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TranscriptionRequest {
    /// The recording.
    pub samples: Samples,
    /// Spoken language, ISO 639-1; `None` lets the model decide or takes its default.
    pub language: Option<String>,
    /// ISO 639-1 codes of which one is spoken, for models that find it out and are given none; empty is any.
    pub language_candidates: Vec<String>,
    /// Language of the text; `None` is the spoken one.
    pub target_language: Option<String>,
    /// Whether the text has case and punctuation; `None` is the model's default.
    pub punctuation: Option<bool>,
    /// Whether numbers and the like are written in digits; `None` is the model's default.
    pub inverse_text_normalisation: Option<bool>,
    /// How fine the times are.
    pub times: TimeDetail,
    /// Text that came before, for models that read it.
    pub prompt: Option<String>,
    /// Sampling temperature, 0..=1, for models that sample; 0 takes the most probable text.
    pub temperature: f32,
}

impl TranscriptionRequest {
    /// Writes down `samples` with the model's defaults.
    pub fn new(samples: Samples) -> Self {
        Self {
            samples,
            language: None,
            language_candidates: Vec::new(),
            target_language: None,
            punctuation: None,
            inverse_text_normalisation: None,
            times: TimeDetail::default(),
            prompt: None,
            temperature: 0.0,
        }
    }

    /// With times this fine.
    #[must_use]
    pub fn with_times(self, times: TimeDetail) -> Self {
        Self { times, ..self }
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
    /// How it was decoded, where the model says.
    pub decoding: Option<SegmentDecoding>,
}

/// How a segment was decoded.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SegmentDecoding {
    /// Where the stretch of the recording begins that was decoded at once and that the segment was heard in, in seconds.
    pub window_start_seconds: f64,
    /// Token ids of the text; none where the model does not tell those of one segment from those of another.
    pub tokens: Vec<u32>,
    /// Tokens of the text with their probabilities, without rivals; none where [`tokens`](Self::tokens) has none.
    pub token_logprobs: Vec<TokenLogprob>,
    /// Temperature that gave the text.
    pub temperature: f32,
    /// Mean natural logarithm of the tokens' probabilities.
    pub average_logprob: f32,
    /// Length of the text over its compressed length; high values are repetitions.
    pub compression_ratio: f32,
    /// Probability that nobody speaks; 0 where the model does not say.
    pub no_speech_probability: f32,
}

impl Segment {
    /// A part without word times.
    pub fn new(start_seconds: f64, end_seconds: f64, text: impl Into<String>) -> Self {
        Self {
            start_seconds,
            end_seconds,
            text: text.into(),
            words: Vec::new(),
            decoding: None,
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
    /// How sure the model is of it, 0..=1, where it says.
    pub probability: Option<f32>,
}

impl Word {
    /// A word and its times.
    pub fn new(text: impl Into<String>, start_seconds: f64, end_seconds: f64) -> Self {
        Self {
            text: text.into(),
            start_seconds,
            end_seconds,
            probability: None,
        }
    }
}
