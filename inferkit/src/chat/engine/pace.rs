//! How much of a prompt fits into a step, by the time steps have taken so far.
//!
//! A step with answers in progress should not last longer than [`STEP_WITH_ANSWERS`], or their readers see
//! the stream stutter when somebody else sends a long prompt. Without answers the limit is
//! [`STEP_ALONE`], which is how long a cancelled prompt may go on.
//!
//! ```text
//! prompt tokens of a step = (time limit − time of a step of answers alone) / time of one prompt token
//! ```
//!
//! Both times are exponential averages over past steps. No clock is read here.

use std::time::Duration;

/// Longest step while answers are in progress: ten tokens a second still read as a flow.
pub(super) const STEP_WITH_ANSWERS: Duration = Duration::from_millis(100);

/// Longest step of prompts alone. Longer ones gain little speed, and a cancel waits for the step's end.
pub(super) const STEP_ALONE: Duration = Duration::from_millis(250);

/// Prompt tokens of the first step, whose speed is unknown.
const FIRST_CHUNK: usize = 64;

/// Steps with fewer prompt tokens say little of the time of one: fixed costs hide it.
const LEAST_TELLING: usize = 16;

/// Weight of the newest step in the averages.
const NEWEST: f64 = 0.3;

/// The engine's knowledge of how long its work takes.
#[derive(Debug, Default)]
pub(super) struct Pace {
    prompt_token_seconds: Option<f64>,
    answer_step_seconds: Option<f64>,
}

impl Pace {
    /// Learns that a step with `answers` rows of answers and `prompt_tokens` tokens of prompts took `time`.
    pub(super) fn observe(&mut self, answers: usize, prompt_tokens: usize, time: Duration) {
        let seconds = time.as_secs_f64();
        if prompt_tokens == 0 {
            average(&mut self.answer_step_seconds, seconds);
        } else if prompt_tokens >= LEAST_TELLING {
            let of_answers = if answers == 0 {
                0.0
            } else {
                self.answer_step_seconds.unwrap_or(0.0)
            };
            average(
                &mut self.prompt_token_seconds,
                (seconds - of_answers).max(0.0) / prompt_tokens as f64,
            );
        }
    }

    /// Prompt tokens for a step that also has `answers` rows of answers; may be 0.
    pub(super) fn prompt_tokens(&self, answers: usize) -> usize {
        let Some(token_seconds) = self.prompt_token_seconds else {
            return FIRST_CHUNK;
        };
        let room = if answers == 0 {
            STEP_ALONE.as_secs_f64()
        } else {
            STEP_WITH_ANSWERS.as_secs_f64() - self.answer_step_seconds.unwrap_or(0.0)
        };
        let tokens = room.max(0.0) / token_seconds.max(f64::EPSILON);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "capped and not negative"
        )]
        let tokens = tokens.min(f64::from(u32::MAX)) as usize;
        tokens
    }
}

fn average(value: &mut Option<f64>, newest: f64) {
    *value = Some(value.map_or(newest, |old| old + NEWEST * (newest - old)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_fills_what_the_answers_leave_of_a_tenth_of_a_second() {
        let mut pace = Pace::default();
        assert_eq!(pace.prompt_tokens(3), FIRST_CHUNK);
        pace.observe(0, 100, Duration::from_millis(100));
        assert_eq!(pace.prompt_tokens(0), 250);
        pace.observe(3, 0, Duration::from_millis(60));
        assert_eq!(pace.prompt_tokens(3), 40);
        pace.observe(3, 40, Duration::from_millis(100));
        assert_eq!(
            pace.prompt_tokens(3),
            40,
            "a step that took what was foreseen changes nothing"
        );
    }

    #[test]
    fn answers_that_take_the_whole_time_leave_nothing() {
        let mut pace = Pace::default();
        pace.observe(0, 100, Duration::from_millis(100));
        pace.observe(9, 0, Duration::from_millis(500));
        assert_eq!(pace.prompt_tokens(9), 0);
    }

    #[test]
    fn a_step_too_short_to_measure_does_not_divide_by_zero() {
        let mut pace = Pace::default();
        pace.observe(0, 64, Duration::ZERO);
        assert!(pace.prompt_tokens(0) > 1_000_000);
    }

    #[test]
    fn the_newest_step_counts_and_does_not_rule() {
        let mut pace = Pace::default();
        pace.observe(0, 100, Duration::from_millis(100));
        pace.observe(0, 100, Duration::from_millis(200));
        assert_eq!(pace.prompt_tokens(0), 192, "0.25 s / 1.3 ms");
        pace.observe(0, 4, Duration::from_secs(9));
        assert_eq!(pace.prompt_tokens(0), 192, "four tokens tell nothing");
    }
}
