//! Sound: any file to 16 kHz mono samples, and samples to what acoustic models read.
//!
//! ```text
//! bytes → container → packets → decoder → channels mixed → 16 kHz → samples
//!         (symphonia)           (symphonia, ropus)         (rubato)
//! samples → whisper_mel → rows that Whisper's encoder reads
//! ```
//!
//! A file is recognised by its content, never by its name. It is decoded packet by packet and brought to 16 kHz in
//! windows, so that no more than a second of it is held at its own rate.
//!
//! **Invariant:** what a file claims about itself is never believed where memory or time depends on it; what was
//! decoded is counted.

mod codec;
mod contain;
mod decode;
mod fault;
mod mix;
mod opus;
mod peaks;
mod recording;
mod resample;
mod source;
#[cfg(test)]
mod tests;
mod whisper_mel;

pub use decode::decode;
pub use peaks::peaks;
pub use recording::DecodeOptions;
pub use recording::Recording;
pub use recording::SAMPLE_RATE;
pub(crate) use whisper_mel::HOP_LENGTH;
pub(crate) use whisper_mel::Loudest;
pub(crate) use whisper_mel::WhisperMel;
