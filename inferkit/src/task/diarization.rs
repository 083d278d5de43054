//! The diarization task: sound in, who speaks when out.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::task::QueueDepth;
use crate::task::Samples;

/// Progress, then the result. Dropping the stream ends the work within one step.
pub type DiarizationStream = BoxStream<'static, Result<DiarizationEvent>>;

/// A model that finds who speaks when.
#[async_trait]
pub trait DiarizationModel: Send + Sync {
    /// How many requests it works on and how many wait; `None` for models that do not tell.
    fn queue(&self) -> Option<QueueDepth> {
        None
    }

    /// Checks the request and queues it.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for contradictory bounds,
    /// [`crate::Error::Unavailable`] when the queue is full.
    async fn diarize(&self, request: DiarizationRequest) -> Result<DiarizationStream>;
}

/// One step of a diarization.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DiarizationEvent {
    /// How much of the recording is done.
    Progress {
        /// Seconds done.
        done_seconds: f64,
        /// Seconds in all.
        total_seconds: f64,
    },
    /// Who speaks when. Always the last event.
    Done(DiarizationResult),
}

/// A recording of one or more speakers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiarizationRequest {
    /// The recording.
    pub samples: Samples,
    /// Least number of speakers.
    pub min_speakers: Option<NonZeroUsize>,
    /// Greatest number of speakers; equal to the least, it forces the number.
    pub max_speakers: Option<NonZeroUsize>,
    /// Whether each speaker's voice is described by a vector in the result.
    pub embeddings: bool,
}

impl DiarizationRequest {
    /// Finds the speakers of `samples`, however many there are.
    pub fn new(samples: Samples) -> Self {
        Self {
            samples,
            min_speakers: None,
            max_speakers: None,
            embeddings: false,
        }
    }
}

/// Who speaks when.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DiarizationResult {
    /// Turns by start, then by speaker; several people may speak at once.
    pub turns: Vec<SpeakerTurn>,
    /// The same with at most one speaker at any time.
    pub exclusive_turns: Vec<SpeakerTurn>,
    /// Labels, sorted. Their numbers come from the clustering, so the first to speak need not have the first.
    pub speakers: Vec<String>,
    /// A vector for each of `speakers`, where asked for.
    pub embeddings: Vec<Vec<f32>>,
}

impl DiarizationResult {
    /// Turns, with and without overlap, and the labels they use.
    pub const fn new(turns: Vec<SpeakerTurn>, exclusive_turns: Vec<SpeakerTurn>, speakers: Vec<String>) -> Self {
        Self {
            turns,
            exclusive_turns,
            speakers,
            embeddings: Vec::new(),
        }
    }
}

/// One speaker talking without a break.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpeakerTurn {
    /// The speaker's label.
    pub speaker: String,
    /// Where the turn begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
}

impl SpeakerTurn {
    /// A turn of `speaker`.
    pub fn new(speaker: impl Into<String>, start_seconds: f64, end_seconds: f64) -> Self {
        Self {
            speaker: speaker.into(),
            start_seconds,
            end_seconds,
        }
    }
}
