//! Speech recognition and translation: Canary and Whisper.

#[allow(dead_code, reason = "the wrapper is being put on top")]
mod canary;
