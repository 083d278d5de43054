//! Which local speakers are active in a window: PyanNet, sound in, scores out.
//!
//! ```text
//! samples ─sincnet─▶ [b, f, 60] ─LSTM─▶ [b, f, 2 h] ─linear─▶ classes ─log-softmax or sigmoid─▶ scores [b, f, n]
//! ```
//!
//! Source: Bredin et al., "pyannote.audio: neural building blocks for speaker diarization" (2020); pyannote.audio 4.0.7,
//! `models/segmentation/PyanNet.py`.

mod pyannet;
mod sincnet;

pub(super) use pyannet::PyanNet;
pub(super) use pyannet::PyanNetOptions;
pub(super) use pyannet::ScoreKind;
pub(super) use sincnet::FrameGeometry;
pub(super) use sincnet::SoundWindows;
