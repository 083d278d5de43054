//! From logits to the text of one window: rules, search, and what is made of the tokens.
//!
//! ```text
//! logits ─ rules ─▶ allowed logits ─ attempt (greedy, best of several samples, beam) ─▶ Decoded
//! Decoded of a window ─ transcript ─▶ segments, next window, prompt of the next
//! ```
//!
//! Nothing here computes a network; everything can be tried on logits and tokens that are written by hand.
//!
//! Source: openai/whisper, `whisper/decoding.py` and `whisper/transcribe.py`.

mod attempt;
mod random;
mod rules;
mod segments;
mod transcript;

pub(super) use attempt::Attempt;
pub(super) use attempt::Decoded;
pub(super) use attempt::Ends;
pub(super) use attempt::LaneCopy;
pub(super) use attempt::Search;
pub(super) use random::Random;
pub(super) use rules::LogitRules;
pub(super) use segments::FRAMES_PER_SECOND;
pub(super) use segments::WindowSegment;
pub(super) use segments::cut;
pub(super) use transcript::Judgement;
pub(super) use transcript::Thresholds;
pub(super) use transcript::Transcript;
pub(super) use transcript::Window;
