//! One round of the search: every hypothesis is continued, and the best continuations survive.

use super::Child;
use super::Hypothesis;
use super::Search;
use super::greatest::LogSoftmax;
use super::greatest::greatest;

/// A continuation that may survive.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    score: f32,
    /// The natural logarithm of the token's probability.
    logprob: f32,
    /// Score over length penalty.
    rank: f32,
}

impl Search {
    /// Continues the hypotheses; those that survive replace them.
    pub(super) fn children(&mut self, logits: &[&[f32]]) -> Vec<Child> {
        let candidates = self.candidates(logits);
        let penalties: Vec<f32> = self.lengths.iter().map(|length| self.penalty(*length)).collect();
        let begins = !self.has_begun;
        self.has_begun = true;
        let survivors = best(candidates, self.beam);
        let hypotheses = survivors.iter().enumerate().filter_map(|(place, candidate)| {
            let parent = self.hypotheses.get(candidate.parent)?;
            // The original multiplies back with the penalty of the place, not of the parent.
            let score = match penalties.get(place) {
                Some(penalty) if !begins && self.beam > 1 => candidate.rank * penalty,
                Some(_) | None => candidate.score,
            };
            let tokens = [parent.tokens.as_slice(), &[candidate.token]].concat();
            let logprobs = [parent.logprobs.as_slice(), &[candidate.logprob]].concat();
            Some(Hypothesis {
                tokens,
                score,
                logprobs,
            })
        });
        self.hypotheses = hypotheses.collect();
        // The token that begins a hypothesis does not end it, whatever it is; the next round does.
        let ends = |candidate: &Candidate| !begins && self.is_end(candidate.token);
        self.finished = survivors.iter().map(ends).collect();
        self.lengths = if begins {
            vec![self.prompt_tokens + 2; survivors.len()]
        } else {
            self.hypotheses
                .iter()
                .map(|hypothesis| self.length(hypothesis))
                .collect()
        };
        let child = |(candidate, finished): (&Candidate, &bool)| Child {
            parent: candidate.parent,
            token: candidate.token,
            finished: *finished,
        };
        survivors.iter().zip(&self.finished).map(child).collect()
    }

    /// The number of the best hypothesis; the first of equal ones.
    pub(super) fn best(&self) -> usize {
        let mut best = (0, f32::NEG_INFINITY);
        for (number, (hypothesis, length)) in self.hypotheses.iter().zip(&self.lengths).enumerate() {
            let rank = hypothesis.score / self.penalty(*length);
            if rank > best.1 {
                best = (number, rank);
            }
        }
        best.0
    }

    /// All continuations, hypothesis by hypothesis. A finished one has a single continuation, of padding and at no cost.
    fn candidates(&self, logits: &[&[f32]]) -> Vec<Candidate> {
        let mut rows = logits.iter();
        let mut candidates = Vec::with_capacity(self.beam * self.hypotheses.len());
        for (parent, hypothesis) in self.hypotheses.iter().enumerate() {
            let length = self.lengths.get(parent).copied().unwrap_or(0);
            let mut add = |token, logprob: f32| {
                let score = hypothesis.score + logprob;
                candidates.push(Candidate {
                    parent,
                    token,
                    score,
                    logprob,
                    rank: score / self.penalty(length),
                });
            };
            if self.finished.get(parent) == Some(&true) {
                add(self.ends.pad, 0.0);
                continue;
            }
            let Some(row) = rows.next() else { continue };
            let softmax = LogSoftmax::of(row);
            for (token, logit) in greatest(row, self.beam) {
                add(
                    u32::try_from(token).unwrap_or(self.ends.end),
                    softmax.log_probability(logit),
                );
            }
        }
        candidates
    }

    /// Tokens that are neither end nor padding, and one.
    fn length(&self, hypothesis: &Hypothesis) -> usize {
        1 + hypothesis.tokens.iter().filter(|token| !self.is_end(**token)).count()
    }

    /// ((5 + n) / 6)^α
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32, as in the original")]
    fn penalty(&self, length: usize) -> f32 {
        ((5.0 + length as f64) / 6.0).powf(self.length_penalty) as f32
    }
}

/// The `count` candidates of the highest rank, highest first; of equal ones the earlier.
fn best(candidates: Vec<Candidate>, count: usize) -> Vec<Candidate> {
    let mut sorted = candidates;
    sorted.sort_by(|one, other| other.rank.total_cmp(&one.rank));
    sorted.truncate(count);
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::Ends;
    use super::*;
    use crate::speech::canary::config::SearchConfig;
    use crate::speech::canary::testing::golden_json;

    #[test]
    fn the_penalty_of_a_length_is_the_original_s() {
        let algorithms = golden_json("algorithms.json");
        let cases = algorithms["length_penalty"].as_array().unwrap();
        assert_eq!(cases.len(), 9);
        for case in cases {
            let length = usize::try_from(case[0].as_u64().unwrap()).unwrap();
            let config = SearchConfig {
                beam: None,
                length_penalty: case[1].as_f64().unwrap(),
                max_generation_delta: None,
            };
            let search = Search::new(&config, &[3], 9, Ends { end: 1, pad: 0 }).unwrap();
            let (found, expected) = (f64::from(search.penalty(length)), case[2].as_f64().unwrap());
            // The original computes in f64 here; the result is rounded to f32.
            assert!(
                (found / expected - 1.0).abs() <= f64::from(f32::EPSILON),
                "{case}: {found}"
            );
        }
    }
}
