//! The search for the most probable text of one window: greedy, or with a beam.
//!
//! A search is told the logits that follow its hypotheses and says which hypotheses to go on with; it knows no network.
//!
//! Source: NeMo, `BeamSearchSequenceGenerator` and `GreedySequenceGenerator`.

mod greatest;
mod ranking;
#[cfg(test)]
mod tests;

use super::config::SearchConfig;

/// Tokens that end a text or fill what follows its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// Ends a text.
    pub(super) end: u32,
    /// Follows the end.
    pub(super) pad: u32,
}

/// The text found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    /// Its tokens, without prompt and end.
    pub(super) tokens: Vec<u32>,
    /// The natural logarithm of each token's probability.
    pub(super) logprobs: Vec<f32>,
    /// All hypotheses, best first in the order of the last round, prompt included: what the original reports.
    pub(super) hypotheses: Vec<Hypothesis>,
    /// Sum of the natural logarithms of the tokens' probabilities, the end's included.
    pub(super) score: f32,
    /// The mean of these logarithms.
    pub(super) average_logprob: f32,
}

/// A beginning of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hypothesis {
    /// Prompt and answer.
    pub(super) tokens: Vec<u32>,
    /// Sum of the natural logarithms of the answer's probabilities.
    pub(super) score: f32,
    /// The natural logarithm of the probability of each token of the answer.
    pub(super) logprobs: Vec<f32>,
}

/// A hypothesis that goes on: its parent among the hypotheses before, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    /// Number of the hypothesis that it continues.
    pub(super) parent: usize,
    /// The token that it adds.
    pub(super) token: u32,
    /// Whether it has come to its end: no logits are wanted any more.
    pub(super) finished: bool,
}

/// A search in progress.
#[derive(Debug)]
pub(super) struct Search {
    ends: Ends,
    prompt_tokens: usize,
    beam: usize,
    length_penalty: f64,
    /// Rounds that may still follow.
    rounds_left: usize,
    hypotheses: Vec<Hypothesis>,
    finished: Vec<bool>,
    /// What the ranking takes for the length of each hypothesis.
    lengths: Vec<usize>,
    /// Whether the first round is over, which expands the prompt alone.
    has_begun: bool,
}

impl Search {
    /// A search after `prompt`; `None` if there is no room for a single token.
    ///
    /// * `longest`: most tokens of a sequence, prompt included
    pub(super) fn new(config: &SearchConfig, prompt: &[u32], longest: usize, ends: Ends) -> Option<Self> {
        let room = longest.checked_sub(prompt.len()).filter(|room| *room > 0)?;
        Some(Self {
            ends,
            prompt_tokens: prompt.len(),
            beam: config.beam.map_or(1, std::num::NonZeroUsize::get),
            length_penalty: config.length_penalty,
            // A beam makes a round for each token of the room, after the one that begins it.
            rounds_left: if config.beam.is_some() { room + 1 } else { room },
            hypotheses: vec![Hypothesis {
                tokens: prompt.to_vec(),
                score: 0.0,
                logprobs: Vec::new(),
            }],
            finished: vec![false],
            lengths: vec![prompt.len() + 2],
            has_begun: config.beam.is_none(),
        })
    }

    /// Hypotheses at once.
    pub(super) const fn beam(&self) -> usize {
        self.beam
    }

    /// Takes the logits after each hypothesis that is not finished; says what to go on with, `None` when the search is over.
    ///
    /// * `logits`: one row for each hypothesis that is not finished, in their order
    pub(super) fn advance(&mut self, logits: &[&[f32]]) -> Option<Vec<Child>> {
        let children = self.children(logits);
        self.rounds_left = self.rounds_left.saturating_sub(1);
        let over = self.rounds_left == 0 || self.finished.iter().all(|finished| *finished);
        (!over && !children.is_empty()).then_some(children)
    }

    /// The best text so far.
    pub(super) fn into_found(self) -> Found {
        let best = self.best();
        let answer = |hypothesis: &Hypothesis| {
            let all = hypothesis.tokens.len().saturating_sub(self.prompt_tokens);
            let mut tokens = hypothesis.tokens.get(self.prompt_tokens..).unwrap_or_default().to_vec();
            while tokens.last().is_some_and(|token| self.is_end(*token)) {
                tokens.pop();
            }
            // The padding behind the end costs nothing.
            let scored = tokens.len() + usize::from(tokens.len() < all);
            // A beam's score is not their sum: it carries penalties.
            let sum: f32 = hypothesis.logprobs.iter().take(scored).sum();
            Found {
                average_logprob: sum / scored.max(1) as f32,
                score: hypothesis.score,
                logprobs: hypothesis.logprobs.iter().copied().take(tokens.len()).collect(),
                tokens,
                hypotheses: Vec::new(),
            }
        };
        Found {
            hypotheses: self.hypotheses.clone(),
            ..self.hypotheses.get(best).map(answer).unwrap_or_default()
        }
    }

    const fn is_end(&self, token: u32) -> bool {
        token == self.ends.end || token == self.ends.pad
    }
}
