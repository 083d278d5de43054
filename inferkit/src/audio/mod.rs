//! Sound: any file to 16 kHz mono samples, and samples to what acoustic models read.
//!
//! ```text
//! bytes → container → packets → decoder → channels mixed → 16 kHz → samples
//!         (symphonia)           (symphonia, ropus)         (rubato, sinc for speakers, or both of one decode)
//! samples → frames → power → mel → log                  (fbank: Kaldi's, for speaker networks)
//! ```
//!
//! A file is recognised by its content, never by its name. It is decoded packet by packet and brought to 16 kHz in
//! windows, so that no more than a second of it is held at its own rate.
//!
//! **Invariant:** what a file claims about itself is never believed where memory or time depends on it; what was
//! decoded is counted.

mod codec;
mod decode;
mod fault;
pub(crate) mod fbank;
mod mel;
mod mix;
mod mp4;
mod opus;
mod peaks;
mod recording;
mod resample;
mod sinc;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod trim;

pub use decode::decode;
pub use decode::decode_by;
pub use peaks::peaks;
pub use recording::DecodeOptions;
pub use recording::Meter;
pub use recording::Recording;
pub use recording::ResamplingFilter;
pub use recording::SAMPLE_RATE;

pub(crate) use mel::Features;
pub(crate) use mel::Filterbank;
pub(crate) use mel::Logarithm;
pub(crate) use mel::MelConfig;
pub(crate) use mel::MelFrontEnd;
pub(crate) use mel::Padding;
pub(crate) use mel::Spread;
pub(crate) use mel::hann;
