//! What each task takes and gives, as plain types: the border between models and their callers.
//!
//! A loaded model hands out task objects ([`crate::Loaded`]); a caller needs nothing else of it.
//!
//! **Invariant:** nothing in this module knows a model, a file or a device.

mod chat;
mod diarization;
mod embedding;
mod rttm;
mod sampling;
mod transcription;

pub use chat::ChatEvent;
pub use chat::ChatLimits;
pub use chat::ChatModel;
pub use chat::ChatRequest;
pub use chat::ChatStream;
pub use chat::Delta;
pub use chat::FinishReason;
pub use chat::Message;
pub use chat::QueueDepth;
pub use chat::Role;
pub use chat::StopRules;
pub use chat::Timings;
pub use chat::TokenLogprob;
pub use chat::Tool;
pub use chat::ToolCall;
pub use chat::TopLogprob;
pub use chat::Usage;
pub use diarization::DiarizationEvent;
pub use diarization::DiarizationModel;
pub use diarization::DiarizationRequest;
pub use diarization::DiarizationResult;
pub use diarization::DiarizationStream;
pub use diarization::SpeakerTurn;
pub use embedding::EmbeddingModel;
pub use embedding::EmbeddingRequest;
pub use embedding::EmbeddingResult;
pub use rttm::RttmTurn;
pub use rttm::read_rttm;
pub use sampling::Sampling;
pub use transcription::Segment;
pub use transcription::SegmentDecoding;
pub use transcription::TimeDetail;
pub use transcription::TranscriptionCapabilities;
pub use transcription::TranscriptionEvent;
pub use transcription::TranscriptionModel;
pub use transcription::TranscriptionRequest;
pub use transcription::TranscriptionStream;
pub use transcription::Word;

use std::sync::Arc;

/// Sound ready for a model: mono, 16 kHz, −1..=1. Shared, and made of a vector without a copy.
pub type Samples = Arc<Vec<f32>>;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Task {
    /// Conversation in text.
    Chat,
    /// Text to a vector.
    Embed,
    /// Speech to text.
    Transcribe,
    /// Who speaks when.
    Diarize,
}

impl Task {
    /// The spelling used over HTTP and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embed => "embed",
            Self::Transcribe => "transcribe",
            Self::Diarize => "diarize",
        }
    }
}
