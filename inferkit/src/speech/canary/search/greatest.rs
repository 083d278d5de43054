//! Logits to probabilities, and the greatest of them.

/// From logits to natural logarithms of probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogSoftmax {
    greatest: f32,
    log_sum: f32,
}

impl LogSoftmax {
    /// That of a row of logits.
    pub(super) fn of(logits: &[f32]) -> Self {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
        Self {
            greatest,
            log_sum: sum.ln(),
        }
    }

    /// The logarithm of a logit's probability, rounded as the original rounds it.
    pub(super) fn log_probability(self, logit: f32) -> f32 {
        (logit - self.greatest) - self.log_sum
    }
}

/// The `count` greatest logits with their places, greatest first; of equal ones the first comes first.
pub(super) fn greatest(logits: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut best: Vec<(usize, f32)> = Vec::with_capacity(count + 1);
    let mut least = f32::NEG_INFINITY;
    for (place, logit) in logits.iter().copied().enumerate() {
        if logit.is_nan() || (best.len() == count && logit <= least) {
            continue;
        }
        let at = best.partition_point(|(_, kept)| *kept >= logit);
        best.insert(at, (place, logit));
        best.truncate(count);
        least = best.last().map_or(least, |(_, logit)| *logit);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_come_first_and_of_equal_ones_the_earlier() {
        let logits = [1.0, 5.0, 5.0, -2.0, 7.0];
        assert_eq!(greatest(&logits, 3), [(4, 7.0), (1, 5.0), (2, 5.0)]);
        assert_eq!(greatest(&logits, 2), [(4, 7.0), (1, 5.0)]);
        assert_eq!(greatest(&[], 2), []);
    }

    #[test]
    fn what_is_no_number_never_wins() {
        assert_eq!(greatest(&[1.0, f32::NAN, 3.0], 1), [(2, 3.0)]);
        assert_eq!(greatest(&[f32::NAN, 1.0], 2), [(1, 1.0)]);
    }

    #[test]
    fn exponentials_of_great_numbers_do_not_overflow() {
        let softmax = LogSoftmax::of(&[1000.0, 1000.0]);
        assert!((softmax.log_probability(1000.0) + std::f32::consts::LN_2).abs() < 1e-6);
    }
}
