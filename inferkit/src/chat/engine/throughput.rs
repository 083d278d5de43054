//! How many tokens an engine draws in a second, as of the last seconds.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How long a token is remembered: after that time it counts for a third (e⁻¹).
const MEMORY: Duration = Duration::from_secs(3);

/// Below this nothing is drawn any more.
const NOTHING: f64 = 0.05;

/// Tokens a second, older ones counting for less. Written by the engine, read by whoever asks.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    /// The rate and when it was that; nothing was drawn yet without.
    state: Mutex<Option<(f64, Instant)>>,
}

impl Throughput {
    /// Notes that `tokens` were drawn.
    pub(super) fn count(&self, tokens: usize, now: Instant) {
        if tokens == 0 {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = faded(*state, now) + tokens as f64 / MEMORY.as_secs_f64();
        *state = Some((rate, now));
    }

    /// Tokens a second; 0 some seconds after the last.
    pub(super) fn per_second(&self, now: Instant) -> f64 {
        let rate = faded(*self.state.lock().unwrap_or_else(PoisonError::into_inner), now);
        if rate < NOTHING { 0.0 } else { rate }
    }
}

/// What is left of a rate.
fn faded(state: Option<(f64, Instant)>, now: Instant) -> f64 {
    state.map_or(0.0, |(rate, at)| {
        let age = now.saturating_duration_since(at).as_secs_f64();
        rate * (-age / MEMORY.as_secs_f64()).exp()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_told_as_it_is_and_fades_when_it_ends() {
        let (throughput, mut now) = (Throughput::default(), Instant::now());
        assert!(throughput.per_second(now).abs() < f64::EPSILON, "nothing was drawn");
        for _ in 0..400 {
            now += Duration::from_millis(50);
            throughput.count(2, now);
        }
        let rate = throughput.per_second(now);
        assert!(
            (39.0..41.0).contains(&rate),
            "2 tokens in 50 ms are 40 a second: {rate}"
        );
        let later = throughput.per_second(now + Duration::from_secs(3));
        assert!((14.0..16.0).contains(&later), "{later}");
        assert!(throughput.per_second(now + Duration::from_mins(1)).abs() < f64::EPSILON);
    }
}
