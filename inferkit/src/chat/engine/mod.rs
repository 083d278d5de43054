//! The engine of a chat model: one thread that owns the runner, the cache's blocks and the schedule.
//!
//! ```text
//! Admission::submit ─ line: places ───── inbox ─▶ ┌ worker thread ────────────────────────────────────┐
//!                                                    │ scheduler + pool ─ plan ─ batch ─▶ runner ─ logits │
//! AnswerStream ◀────────── outlet, bounded ───────── │ request ◀─ Answer: sampler, detokenizer ◀─────┘    │
//!                                                    └────────────────────────────────────────────────────┘
//! ```
//!
//! A turn of the thread: read the inbox; end what was cancelled or came too late; choose a step; compute it;
//! draw tokens and send what they add. With nothing to do it sleeps on its inbox.
//!
//! **Invariant:** nothing outside the thread touches runner, blocks or schedule, and the thread never waits
//! for a reader. What fails in one request ends that request; what fails in a step ends the requests in it;
//! only a panic of the runner or the schedule ends the engine.

mod admission;
mod batch;
mod handle;
mod outlet;
mod pace;
mod pool;
mod request;
mod scheduler;
mod sequence;
mod throughput;
mod worker;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::error::Result;
use crate::task::Delta;
use crate::task::FinishReason;
use crate::task::TokenLogprob;

pub(crate) use admission::Submission;
pub(crate) use handle::Engine;
pub(crate) use outlet::AnswerStream;

/// Turns the rows of logits of one choice into its answer: sampler, detokenizer and stop rules behind one call.
pub(crate) trait Answer: Send {
    /// Draws the token that follows all those before, and says what it adds to the answer.
    ///
    /// * `logits`: `[v]`, may be changed
    /// * `is_last`: the longest answer is reached; nothing follows
    ///
    /// # Errors
    /// [`crate::Error::Internal`] if there is nothing to draw from; the request ends, the engine goes on.
    fn advance(&mut self, logits: &mut [f32], is_last: bool) -> Result<Step>;
}

/// What a token adds to an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The token drawn.
    pub(crate) token: u32,
    /// What can be said now; empty while characters or stop rules are undecided.
    pub(crate) pieces: Vec<Piece>,
    /// Whether the token belongs to the thinking part.
    pub(crate) is_reasoning: bool,
    /// Why the answer ends with this token, if it does.
    pub(crate) end: Option<FinishReason>,
}

/// A piece of an answer with the log-probabilities of its tokens, where asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) delta: Delta,
    pub(crate) logprobs: Vec<TokenLogprob>,
}

/// Bounds of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EngineConfig {
    /// Most answers at work at once. A row of logits is kept for each.
    pub(crate) max_running: usize,
    /// Most requests in line beside those that can start at once.
    pub(crate) max_queued: usize,
    /// Longest wait in line.
    pub(crate) queue_timeout: Duration,
    /// How long a reader may leave no room for more of its answer.
    pub(crate) reader_patience: Duration,
    /// Most tokens of a step. Bounds the runner's scratch memory; how long a step lasts is bounded by
    /// measured time ([`pace`]), and rarely lets a step grow this large on a processor.
    pub(crate) max_step_tokens: usize,
}

impl Default for EngineConfig {
    /// 32 answers, 2048 tokens a step; the rest as the server documents it.
    fn default() -> Self {
        Self {
            max_running: 32,
            max_queued: 64,
            queue_timeout: Duration::from_mins(1),
            reader_patience: Duration::from_mins(1),
            max_step_tokens: 2048,
        }
    }
}
