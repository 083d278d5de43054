//! Sound: any file to 16 kHz mono samples, and samples to what acoustic models read.

mod whisper_mel;

pub(crate) use whisper_mel::HOP_LENGTH;
pub(crate) use whisper_mel::Loudest;
pub(crate) use whisper_mel::SAMPLE_RATE;
pub(crate) use whisper_mel::WhisperMel;
