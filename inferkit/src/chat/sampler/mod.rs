//! From a row of logits to a token.
//!
//! ```text
//! logits → bias → penalties ─▶ greedy: the largest, ties to the lowest id
//!                            └▶ temperature → top-k → top-p → min-p → draw
//! ```
//!
//! **Invariant:** a draw depends on the row, the settings and (seed, choice, position) alone, hence
//! neither on the batch nor on how often a sequence was recomputed.

mod candidates;
mod generator;
mod logprobs;
mod penalties;
mod sample;

pub(crate) use logprobs::logprobs;
pub(crate) use sample::Sampler;
pub(crate) use sample::SamplerContext;
