//! The whole against the original: a small model with random weights at every stage, and the demo's model on recordings.
//!
//! `tests/golden/whisper/make.py` makes the small model and what transformers and openai-whisper make of it.

mod cancellation;
mod golden;
mod hostile;
mod recordings;
mod stages;
mod transcripts;
mod whole_texts;
