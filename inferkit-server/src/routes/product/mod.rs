//! inferkit's own audio routes: transcription with everything there is, and who speaks when.

mod diarize;
mod peaks;
mod transcribe;

pub use diarize::DiarizationApi;
pub use transcribe::TranscribeApi;

#[cfg(test)]
mod tests;
