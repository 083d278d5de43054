//! Speech recognition and translation: Canary and Whisper.

mod whisper;

pub use whisper::WhisperModel;
pub use whisper::WhisperOptions;
