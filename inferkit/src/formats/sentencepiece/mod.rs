//! SentencePiece models: a vocabulary, how text is normalised before, and the two ways of cutting it into pieces.
//!
//! ```text
//! file ─▶ wire (protobuf) ─▶ model: pieces, settings
//! text ─▶ normalizer (charsmap, spaces become ▁) ─▶ unigram | bpe ─▶ ids        ids ─▶ pieces ─▶ text
//! ```
//!
//! Exact to the original library, whose source the comments name: github.com/google/sentencepiece, version 0.2.

mod bpe;
mod charsmap;
mod error;
mod model;
mod normalizer;
mod prefixes;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tokenizer;
mod unigram;
mod wire;

pub(crate) use model::PieceKind;
pub(crate) use tokenizer::SentencePiece;
pub(crate) use tokenizer::TextPiece;
