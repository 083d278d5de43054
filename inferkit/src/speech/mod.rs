//! Speech recognition and translation: Canary and Whisper.

mod canary;
mod repetition;
mod whisper;

pub use canary::CanaryAsrModel;
pub use canary::CanaryOptions;
pub use whisper::WhisperModel;
pub use whisper::WhisperOptions;
#[cfg(any(fuzzing, test))]
pub(crate) use whisper::fuzzing;
