//! Speech recognition and translation: Canary and Whisper.

mod canary;
mod line;
mod stream;

pub use canary::CanaryAsrModel;
pub use canary::CanaryOptions;
