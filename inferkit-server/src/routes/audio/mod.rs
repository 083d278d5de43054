//! What all audio routes and commands share: from a file and wishes to who said what.
//!
//! ```text
//! file ─ decoding ─▶ samples ┬─▶ transcription ─▶ segments ┐
//! models brought up ─────────┴─▶ diarization ───▶ turns ───┴─ steps ─▶ transcript ─▶ text, SRT, VTT, JSON
//! ```
//!
//! The recording is decoded while the models are brought up, and both models work at the same time. Dropping what
//! waits for any of it ends the work. All decoded recordings together stay within `limits.max_audio_memory`.

mod decoding;
mod diarizing;
mod hearing;
mod languages;
mod memory;
mod pick;
mod speakers;
mod steps;
mod transcript;
mod wishes;

pub(crate) use decoding::places;
pub(crate) use diarizing::Diarizing;
pub(crate) use diarizing::diarized;
pub(crate) use hearing::Heard;
pub(crate) use hearing::Hearing;
pub(crate) use hearing::heard;
pub(crate) use languages::language_name;
pub(crate) use memory::RecordingMemory;
pub(crate) use pick::pick;
pub(crate) use speakers::SpeakerBounds;
pub(crate) use speakers::by_appearance;
pub(crate) use steps::Step;
pub(crate) use steps::Steps;
pub(crate) use transcript::Spoken;
pub(crate) use transcript::SpokenWord;
pub(crate) use transcript::Transcript;
pub(crate) use transcript::gathered;
pub(crate) use wishes::Wishes;
