//! Whole recordings through wrapper and engine.

mod recordings;
mod whole_texts;
