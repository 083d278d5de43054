//! Which tokens may come next.
//!
//! Source: openai/whisper, `whisper/decoding.py`, `SuppressBlank`, `SuppressTokens`, `ApplyTimestampRules`.

use crate::speech::whisper::config::WhisperConfig;
use crate::speech::whisper::tokens::SpecialTokens;

/// The logit of a token that must not come.
const NEVER: f32 = f32::NEG_INFINITY;

/// Forbids tokens by setting their logits to minus infinity.
#[derive(Debug, Clone)]
pub(crate) struct LogitRules {
    never: Vec<u32>,
    never_first: Vec<u32>,
    end_of_text: u32,
    first_timestamp: u32,
    /// The highest time that a window may begin with.
    last_initial_timestamp: u32,
}

impl LogitRules {
    /// The rules of a model.
    pub(crate) fn new(config: &WhisperConfig, special: &SpecialTokens) -> Self {
        let mut never: Vec<u32> = config
            .suppressed
            .iter()
            .copied()
            .chain(special.never_written())
            .chain([special.no_timestamps])
            .collect();
        never.sort_unstable();
        never.dedup();
        let steps = u32::try_from(config.max_initial_timestamp).unwrap_or(u32::MAX);
        Self {
            never,
            never_first: config.suppressed_first.clone(),
            end_of_text: special.end_of_text,
            first_timestamp: special.first_timestamp,
            last_initial_timestamp: special.first_timestamp.saturating_add(steps),
        }
    }

    /// Forbids in `logits`, `[v]`, what must not follow the tokens `written` so far.
    pub(crate) fn apply(&self, logits: &mut [f32], written: &[u32]) {
        for token in &self.never {
            forbid(logits, *token, token.saturating_add(1));
        }
        if written.is_empty() {
            for token in &self.never_first {
                forbid(logits, *token, token.saturating_add(1));
            }
        }
        self.keep_times_in_pairs(logits, written);
        self.keep_times_ascending(logits, written);
        if written.is_empty() {
            forbid(logits, 0, self.first_timestamp);
            forbid(logits, self.last_initial_timestamp.saturating_add(1), u32::MAX);
        }
        self.prefer_times(logits);
    }

    /// Times come in pairs, an end and a start, except right before the end of the text.
    fn keep_times_in_pairs(&self, logits: &mut [f32], written: &[u32]) {
        let is_time = |token: &u32| *token >= self.first_timestamp;
        if !written.last().is_some_and(is_time) {
            return;
        }
        if self.ends_a_pair(written) {
            forbid(logits, self.first_timestamp, u32::MAX);
        } else {
            forbid(logits, 0, self.end_of_text);
        }
    }

    /// Whether the last but one token is a time, or there is none.
    fn ends_a_pair(&self, written: &[u32]) -> bool {
        let before = written.len().checked_sub(2).and_then(|index| written.get(index));
        before.is_none_or(|token| *token >= self.first_timestamp)
    }

    /// Times never go back, and a segment is never without length.
    fn keep_times_ascending(&self, logits: &mut [f32], written: &[u32]) {
        let Some(last_time) = written.iter().rev().find(|token| **token >= self.first_timestamp) else {
            return;
        };
        let follows_text = written.last() == Some(last_time) && !self.ends_a_pair(written);
        let first_allowed = if follows_text {
            *last_time
        } else {
            last_time.saturating_add(1)
        };
        forbid(logits, self.first_timestamp, first_allowed);
    }

    /// A time comes if all times together are more probable than any one other token.
    fn prefer_times(&self, logits: &mut [f32]) {
        let split = (self.first_timestamp as usize).min(logits.len());
        let (texts, times) = logits.split_at_mut(split);
        let greatest_text = greatest(texts);
        if log_sum_exp(times) > greatest_text {
            texts.fill(NEVER);
        }
    }
}

/// Forbids the tokens `first..end`, as far as there are any.
fn forbid(logits: &mut [f32], first: u32, end: u32) {
    let end = (end as usize).min(logits.len());
    let first = (first as usize).min(end);
    if let Some(forbidden) = logits.get_mut(first..end) {
        forbidden.fill(NEVER);
    }
}

/// The greatest logit; minus infinity for none. In lanes that do not wait for each other: a row has 50,000.
pub(super) fn greatest(logits: &[f32]) -> f32 {
    let (chunks, rest) = logits.as_chunks::<16>();
    let mut lanes = [NEVER; 16];
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = if *logit > *lane { *logit } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(NEVER, f32::max)
}

/// The logarithm of the sum of the exponentials; minus infinity for no allowed token.
pub(super) fn log_sum_exp(logits: &[f32]) -> f32 {
    let greatest = greatest(logits);
    if greatest == NEVER {
        return NEVER;
    }
    // What is 18 below the greatest adds less than the rounding of a float.
    let sum: f32 = logits
        .iter()
        .map(|logit| logit - greatest)
        .filter(|difference| *difference > -18.0)
        .map(f32::exp)
        .sum();
    greatest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::whisper::config::tests::published;
    use crate::speech::whisper::tokens::tests::SMALL_VOCABULARY;
    use crate::speech::whisper::tokens::tests::small;

    const END: u32 = 10;
    const TIME: u32 = 20;

    /// What may follow a time that is alone.
    const TEXT: [u32; 11] = [0, 3, 4, 5, 6, 7, 8, 9, END, 12, 13];

    fn rules() -> LogitRules {
        let mut model = published();
        model["vocab_size"] = SMALL_VOCABULARY.into();
        let config = WhisperConfig::from_json(model.to_string().as_bytes(), None, None).unwrap();
        LogitRules::new(&config, small().special())
    }

    /// Tokens below 40 that may follow `written` where the text token 5 is likeliest by far.
    fn allowed(written: &[u32]) -> Vec<u32> {
        let mut logits = vec![0.0; SMALL_VOCABULARY];
        logits[5] = 100.0;
        logits[END as usize] = 50.0;
        rules().apply(&mut logits, written);
        (0..40).filter(|token| logits[*token as usize] > NEVER).collect()
    }

    #[test]
    fn a_window_begins_with_a_time_of_its_first_second() {
        let mut logits = vec![0.0; SMALL_VOCABULARY];
        rules().apply(&mut logits, &[]);
        let allowed: Vec<usize> = (0..logits.len()).filter(|token| logits[*token] > NEVER).collect();
        assert_eq!(allowed, (20..=70).collect::<Vec<_>>());
    }

    #[test]
    fn after_the_first_time_comes_text() {
        // 1 and 2 are suppressed, 11 and 14 to 19 steer; 3 only at the beginning. Languages are no better than in the
        // original, which does not forbid them.
        assert_eq!(allowed(&[TIME]), TEXT);
    }

    #[test]
    fn after_text_comes_text_or_a_later_time() {
        let times = (TIME + 3..40).collect::<Vec<_>>();
        assert_eq!(allowed(&[TIME + 2, 5]), [TEXT.to_vec(), times].concat());
    }

    #[test]
    fn after_an_end_comes_a_start_at_that_time_or_the_end_of_the_text() {
        let times = (TIME + 7..40).collect::<Vec<_>>();
        assert_eq!(allowed(&[TIME, 5, TIME + 7]), [vec![END, 12, 13], times].concat());
    }

    #[test]
    fn after_a_pair_comes_text() {
        assert_eq!(allowed(&[TIME, 5, TIME + 7, TIME + 7]), TEXT);
    }

    #[test]
    fn times_that_are_together_more_probable_than_any_text_win() {
        let mut logits = vec![-50.0; SMALL_VOCABULARY];
        // Each of 1,400 times has a 1/1000 of the text token's probability.
        logits[5] = 0.0;
        logits[TIME as usize..TIME as usize + 1400].fill(-1000_f32.ln());
        rules().apply(&mut logits, &[TIME, 5]);
        assert!(logits[5] == NEVER && logits[TIME as usize + 1] > NEVER);

        logits[5] = 1.0;
        rules().apply(&mut logits, &[TIME, 5]);
        assert!(
            logits[5] > NEVER,
            "2.7 of the text token's probability is more than 1.4"
        );
    }

    #[test]
    fn the_logarithm_of_a_sum_is_exact_where_nothing_is_left_out() {
        assert!((log_sum_exp(&[0.0, 0.0, NEVER]) - 2_f32.ln()).abs() < 1e-6);
        assert!((log_sum_exp(&[1_000.0, 1_000.0]) - 1_000.693_1).abs() < 1e-3);
        for none in [&[NEVER, NEVER][..], &[]] {
            assert!(log_sum_exp(none) <= f32::MIN, "{none:?}");
        }
    }
}
