//! From tokens to the pieces of an answer.
//!
//! ```text
//! token → bytes → characters → stop strings → thinking → tool calls → Delta
//! ```
//!
//! Each stage is a small machine with `push` and `finish`; what could still become something else is
//! held back by the stage that knows it.
//!
//! **Invariant:** pieces hold whole characters, and their concatenation does not depend on how the
//! text was cut into tokens.

mod characters;
mod decoder;
mod json;
mod parser;
mod stop;
mod thinking;
mod tool_call;

pub(crate) use decoder::AnswerDecoder;
pub(super) use decoder::AnswerOptions;
