//! What makes tokens less likely that have been used.

use std::collections::HashMap;

/// Counts of a sequence's tokens, and what they cost.
///
/// A map of the tokens that occur, not a vector of the vocabulary's length: an answer uses hundreds
/// of tokens out of a hundred thousand.
#[derive(Debug)]
pub(super) struct Penalties {
    repetition: f32,
    frequency: f32,
    presence: f32,
    /// Occurrences in the answer; 0 for tokens of the prompt alone.
    counts: HashMap<u32, u32>,
}

impl Penalties {
    /// `repetition` applies to tokens of prompt and answer, the others to those of the answer.
    pub(super) fn new(repetition: f32, frequency: f32, presence: f32, prompt: &[u32]) -> Self {
        let counts = if is_neutral(repetition, 1.0) {
            HashMap::new()
        } else {
            prompt.iter().map(|&token| (token, 0)).collect()
        };
        Self {
            repetition,
            frequency,
            presence,
            counts,
        }
    }

    /// Counts a token of the answer.
    pub(super) fn accept(&mut self, token: u32) {
        if !self.is_off() {
            *self.counts.entry(token).or_insert(0) += 1;
        }
    }

    /// Lowers the logits of the tokens that have been used.
    ///
    /// Source of the repetition penalty: Keskar et al., "CTRL" (arXiv 1909.05858), section 4.1, as in
    /// transformers (`RepetitionPenaltyLogitsProcessor`); of the others: the OpenAI API reference.
    pub(super) fn apply(&self, logits: &mut [f32]) {
        for (&token, &count) in &self.counts {
            let Some(logit) = logits.get_mut(token as usize) else {
                continue;
            };
            *logit = if *logit > 0.0 {
                *logit / self.repetition
            } else {
                *logit * self.repetition
            };
            if count > 0 {
                *logit -= self.frequency * count as f32 + self.presence;
            }
        }
    }

    fn is_off(&self) -> bool {
        is_neutral(self.repetition, 1.0) && is_neutral(self.frequency, 0.0) && is_neutral(self.presence, 0.0)
    }
}

/// Whether a setting has exactly its neutral value, so that nothing has to be counted.
fn is_neutral(value: f32, neutral: f32) -> bool {
    value.to_bits() == neutral.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_token_pays_once_for_presence_and_each_time_for_frequency() {
        let mut penalties = Penalties::new(1.0, 0.5, 0.25, &[0]);
        penalties.accept(1);
        penalties.accept(1);
        let mut logits = [1.0, 2.0, 3.0];
        penalties.apply(&mut logits);
        assert_eq!(
            logits.map(f32::to_bits),
            [1.0_f32, 0.75, 3.0].map(f32::to_bits),
            "the prompt does not pay"
        );
    }

    #[test]
    fn repetition_divides_positive_and_multiplies_negative_logits_of_prompt_and_answer() {
        let mut penalties = Penalties::new(2.0, 0.0, 0.0, &[0, 1]);
        penalties.accept(2);
        let mut logits = [4.0, -4.0, 1.0, 4.0];
        penalties.apply(&mut logits);
        assert_eq!(logits.map(f32::to_bits), [2.0_f32, -8.0, 0.5, 4.0].map(f32::to_bits));
    }

    #[test]
    fn neutral_penalties_keep_no_counts() {
        let mut penalties = Penalties::new(1.0, 0.0, 0.0, &[0, 1]);
        penalties.accept(2);
        assert!(penalties.counts.is_empty());
    }
}
