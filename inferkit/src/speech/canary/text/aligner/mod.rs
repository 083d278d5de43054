//! Forced alignment: when each word of a known text is spoken, by the log-probabilities of a CTC model.
//!
//! ```text
//! text ─▶ labels: y = blank t₁ blank t₂ … blank ─┐
//! log-probabilities [t, v] ──────────────────────┴▶ viterbi: a state per frame ─▶ lists: words, segments, characters
//! ```
//!
//! Source: NeMo 3.0.0, `nemo/collections/asr/parts/utils/aligner_utils.py`.

mod labels;
mod lists;
mod viterbi;

pub(in super::super) use labels::Labels;
pub(in super::super) use lists::Character;
pub(in super::super) use viterbi::LogProbabilities;

/// Which state of the labels each frame belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Alignment {
    pub(in super::super) states: Vec<usize>,
}
