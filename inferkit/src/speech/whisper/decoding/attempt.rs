//! One way to write down one window: at a temperature, by the most probable token, samples, or a beam.

mod beam;
mod candidate;

use super::random::Random;
use super::rules::LogitRules;
use super::rules::greatest;
use super::rules::log_sum_exp;
use crate::speech::whisper::network::DecoderStep;
use candidate::Candidate;

/// How the text of a window is searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Search {
    /// The most probable token, again and again.
    Greedy,
    /// The likeliest of `count` texts drawn at a temperature above zero.
    Samples { temperature: f32, count: usize },
    /// The likeliest of what remains when only `width` beginnings are kept at a time.
    Beam { width: usize },
}

/// What a window's text begins with, unsaid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Text before, start of the transcript, language, task.
    pub(crate) tokens: Vec<u32>,
    /// Where among them the start of the transcript stands.
    pub(crate) start: usize,
}

/// What became of a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decoded {
    /// Text and times, without the end.
    pub(crate) tokens: Vec<u32>,
    /// The natural logarithm of the probability of each of them, among what may stand there.
    pub(crate) logprobs: Vec<f32>,
    /// Mean natural logarithm of the tokens' probabilities, the end included.
    pub(crate) average_logprob: f32,
    /// Probability that nobody speaks.
    pub(crate) no_speech_probability: f32,
    /// Temperature that gave it.
    pub(crate) temperature: f32,
}

/// What a lane holds must be copied to another, before the next step: the first `tokens` tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneCopy {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) tokens: usize,
}

/// A window's text being written, in one or more lanes.
#[derive(Debug)]
pub(crate) struct Attempt {
    search: Search,
    prompt: Prompt,
    slot: usize,
    lanes: Vec<usize>,
    candidates: Vec<Candidate>,
    /// Texts that a beam has ended.
    ended: Vec<Candidate>,
    /// Longest text, in tokens.
    longest: usize,
    no_speech_probability: f32,
    is_begun: bool,
}

/// What of a model an attempt needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// Ends a text.
    pub(crate) end_of_text: u32,
    /// Says that nobody speaks.
    pub(crate) no_speech: u32,
}

impl Search {
    /// Lanes that it needs.
    pub(crate) const fn lanes(self) -> usize {
        match self {
            Self::Greedy => 1,
            Self::Samples { count, .. } => count,
            Self::Beam { width } => width,
        }
    }

    const fn temperature(self) -> f32 {
        match self {
            Self::Samples { temperature, .. } => temperature,
            Self::Greedy | Self::Beam { .. } => 0.0,
        }
    }
}

impl Attempt {
    /// An attempt that has written nothing, with as many of `lanes` as the search needs.
    ///
    /// At most half of the `positions` are written, as in the original (`decoding.py`, `sample_len`).
    pub(crate) fn new(search: Search, prompt: Prompt, (slot, lanes): (usize, &[usize]), positions: usize) -> Self {
        let lanes: Vec<usize> = lanes.iter().copied().take(search.lanes().max(1)).collect();
        // The last token that is drawn is not read.
        let room = (positions + 1).saturating_sub(prompt.tokens.len());
        Self {
            search,
            prompt,
            slot,
            candidates: lanes.iter().map(|_| Candidate::default()).collect(),
            lanes,
            ended: Vec::new(),
            longest: (positions / 2).min(room).max(1),
            no_speech_probability: 0.0,
            is_begun: false,
        }
    }

    /// Adds to `step` what must be computed next. Logits are wanted in the order in which [`advance`](Self::advance) takes
    /// them.
    pub(crate) fn plan(&self, step: &mut DecoderStep) {
        if !self.is_begun {
            let last = self.prompt.tokens.len().saturating_sub(1);
            for (index, lane) in self.lanes.iter().enumerate() {
                let wanted = if index == 0 {
                    vec![self.prompt.start, last]
                } else {
                    vec![last]
                };
                step.add(&self.prompt.tokens, (*lane, self.slot, 0), &wanted);
            }
            return;
        }
        for (candidate, lane) in self.candidates.iter().zip(&self.lanes) {
            if let Some(last) = candidate.tokens.last().filter(|_| !candidate.is_ended) {
                let cached = self.prompt.tokens.len() + candidate.tokens.len() - 1;
                step.add(&[*last], (*lane, self.slot, cached), &[0]);
            }
        }
    }

    /// Rows of logits that the planned step gives this attempt.
    pub(crate) fn rows(&self) -> usize {
        if self.is_begun {
            self.candidates.iter().filter(|candidate| !candidate.is_ended).count()
        } else {
            self.lanes.len() + 1
        }
    }

    /// Chooses the next tokens by the logits of the planned step, `[rows, v]`; returns what lanes must take from others.
    pub(crate) fn advance(
        &mut self,
        logits: &mut [f32],
        rules: &LogitRules,
        ends: Ends,
        random: &mut Random,
    ) -> Vec<LaneCopy> {
        let vocabulary = logits.len() / self.rows().max(1);
        let mut rows: Vec<&mut [f32]> = logits.chunks_exact_mut(vocabulary.max(1)).collect();
        if !self.is_begun && !rows.is_empty() {
            let at_start = rows.remove(0);
            self.no_speech_probability = probability(at_start, ends.no_speech);
            self.is_begun = true;
        }
        let open = self.candidates.iter().filter(|candidate| !candidate.is_ended);
        for (candidate, row) in open.zip(&mut rows) {
            rules.apply(row, &candidate.tokens);
        }
        let copies = match self.search {
            Search::Beam { width } => self.advance_beam(&rows, ends, width),
            Search::Greedy | Search::Samples { .. } => {
                let open = self.candidates.iter_mut().filter(|candidate| !candidate.is_ended);
                for (candidate, row) in open.zip(&rows) {
                    let token = match self.search {
                        Search::Samples { temperature, .. } => draw(row, temperature, random),
                        Search::Greedy | Search::Beam { .. } => most_probable(row),
                    };
                    let logprob = row.get(token as usize).map_or(0.0, |logit| logit - log_sum_exp(row));
                    candidate.push(token, logprob, ends.end_of_text);
                }
                Vec::new()
            }
        };
        for candidate in &mut self.candidates {
            candidate.is_ended |= candidate.tokens.len() >= self.longest;
        }
        copies
    }

    /// Whether there is nothing left to write.
    pub(crate) fn is_done(&self) -> bool {
        self.is_begun && self.rows() == 0
    }

    /// The best text.
    pub(crate) fn decoded(&self) -> Decoded {
        // The end that was cut off by the longest length counts as a token of probability one, as in the original.
        let all = self.ended.iter().chain(&self.candidates);
        let best = all.fold(None::<&Candidate>, |best, candidate| match best {
            Some(best) if best.score() >= candidate.score() => Some(best),
            _ => Some(candidate),
        });
        let best = best.cloned().unwrap_or_default();
        Decoded {
            average_logprob: best.logprob / (best.tokens.len() + 1) as f32,
            no_speech_probability: self.no_speech_probability,
            temperature: self.search.temperature(),
            tokens: best.tokens,
            logprobs: best.logprobs,
        }
    }
}

/// The probability of one token by the logits of all.
fn probability(logits: &[f32], token: u32) -> f32 {
    let logit = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    (logit - log_sum_exp(logits)).exp()
}

/// The most probable token, the first of several.
fn most_probable(logits: &[f32]) -> u32 {
    let greatest = greatest(logits);
    let first = logits.iter().position(|logit| *logit >= greatest);
    first.and_then(|token| u32::try_from(token).ok()).unwrap_or_default()
}

/// A token by its probability at `temperature`.
fn draw(logits: &[f32], temperature: f32, random: &mut Random) -> u32 {
    let greatest = greatest(logits);
    let weight = |logit: &f32| f64::from((logit - greatest) / temperature).exp();
    let total: f64 = logits.iter().map(weight).sum();
    let mut rest = random.uniform() * total;
    for (token, logit) in logits.iter().enumerate() {
        rest -= weight(logit);
        if rest < 0.0 {
            return u32::try_from(token).unwrap_or(u32::MAX);
        }
    }
    most_probable(logits)
}

#[cfg(test)]
mod tests;
