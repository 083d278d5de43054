//! One text among those that are written at once.

/// A text so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Candidate {
    /// Text and times, without the end.
    pub(super) tokens: Vec<u32>,
    /// The natural logarithm of the probability of each of them.
    pub(super) logprobs: Vec<f32>,
    /// Sum of the natural logarithms of the tokens' probabilities, the end included.
    pub(super) logprob: f32,
    /// Whether nothing follows.
    pub(super) is_ended: bool,
}

impl Candidate {
    /// Adds a token, or ends with it.
    pub(super) fn push(&mut self, token: u32, logprob: f32, end_of_text: u32) {
        self.logprob += logprob;
        if token == end_of_text {
            self.is_ended = true;
        } else {
            self.tokens.push(token);
            self.logprobs.push(logprob);
        }
    }

    /// What texts are ranked by: the mean over their tokens (`decoding.py`, `MaximumLikelihoodRanker`).
    pub(super) fn score(&self) -> f32 {
        self.logprob / self.tokens.len().max(1) as f32
    }
}
