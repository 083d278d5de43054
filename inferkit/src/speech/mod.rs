//! Speech recognition and translation: Canary and Whisper.
