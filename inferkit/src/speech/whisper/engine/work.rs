//! One recording at work.

use std::time::Instant;

use candle_core::Tensor;

use crate::speech::whisper::decoding::Attempt;
use crate::speech::whisper::decoding::Random;
use crate::speech::whisper::decoding::Transcript;
use crate::speech::whisper::decoding::Window;
use crate::speech::whisper::mel::Loudest;
use crate::task::Samples;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;
use crate::wrapper::engine::Outlet;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// What is said.
    Transcribe,
    /// What is said, in English.
    Translate,
}

/// What a caller hands in.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    pub(crate) samples: Samples,
    /// Measured by the front end.
    pub(crate) loudest: Loudest,
    /// Spoken language; `None` is found out.
    pub(crate) language: Option<String>,
    /// Of which it is one, if it is found out; empty is any.
    pub(crate) language_candidates: Vec<String>,
    pub(crate) task: Task,
    pub(crate) times: TimeDetail,
    /// Tokens of the text before.
    pub(crate) prompt: Vec<u32>,
    /// Tried one after another.
    pub(crate) temperatures: Vec<f32>,
}

/// A recording at work: its transcript so far and the window it is at.
pub(super) struct Work {
    pub(super) recording: Recording,
    pub(super) outlet: Outlet<TranscriptionEvent>,
    pub(super) begun: Instant,
    pub(super) transcript: Transcript,
    pub(super) slot: usize,
    pub(super) lanes: Vec<usize>,
    pub(super) random: Random,
    /// The language that was given or found out.
    pub(super) language: Option<String>,
    /// Where the last word ended, in seconds.
    pub(super) last_speech_seconds: f64,
    pub(super) stage: Stage,
}

/// What is done for a recording next.
pub(super) enum Stage {
    /// Its next window is encoded.
    Encode,
    /// The language of its window is found out.
    Listen(Sound),
    /// The text of its window is written.
    Write(Box<Writing>),
    /// Nothing: it is over.
    Over,
}

/// A window whose sound is in the slot.
pub(super) struct Sound {
    pub(super) window: Window,
    /// The encoder's states, where word times are wanted.
    pub(super) states: Option<Tensor>,
}

/// A window's text at work.
pub(super) struct Writing {
    pub(super) sound: Sound,
    pub(super) attempt: Attempt,
    /// Which of the temperatures is tried.
    pub(super) trial: usize,
}

impl Work {
    /// Whether word times are wanted.
    pub(super) fn wants_words(&self) -> bool {
        self.recording.times == TimeDetail::Word
    }
}
