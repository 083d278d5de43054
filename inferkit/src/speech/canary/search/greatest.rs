//! Logits to probabilities, and the greatest of them.

/// The natural logarithm of the sum of exponentials.
pub(in crate::speech::canary) fn log_sum_exp(logits: &[f32]) -> f32 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !greatest.is_finite() {
        return greatest;
    }
    greatest + logits.iter().map(|logit| (logit - greatest).exp()).sum::<f32>().ln()
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
        assert!((log_sum_exp(&[1000.0, 1000.0]) - 1000.693_1).abs() < 1e-3);
        assert_eq!(log_sum_exp(&[f32::NEG_INFINITY]), f32::NEG_INFINITY);
    }
}
