//! Windows that samples are weighted with before a transform.

use std::f64::consts::PI;

/// A Hann window of `length` samples; a symmetric one ends as it begins, a periodic one lacks that last sample.
///
/// Computed as published front ends do, in f64 and rounded once.
pub(crate) fn hann(length: usize, symmetric: bool) -> Vec<f32> {
    let period = if symmetric { length.saturating_sub(1) } else { length };
    let value = |index: usize| 0.5 - 0.5 * (2.0 * PI * index as f64 / period.max(1) as f64).cos();
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is wanted")]
    let rounded = |index| value(index) as f32;
    (0..length).map(rounded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symmetric_window_ends_with_zero_and_a_periodic_one_before_it() {
        assert_eq!(hann(5, true), [0.0, 0.5, 1.0, 0.5, 0.0]);
        let periodic = hann(4, false);
        assert!(
            (periodic[1] - 0.5).abs() < 1e-7 && (periodic[3] - 0.5).abs() < 1e-7,
            "{periodic:?}"
        );
    }

    #[test]
    fn windows_of_none_and_one_sample_are_no_division_by_zero() {
        assert_eq!(hann(0, true), [0.0; 0]);
        assert!(hann(1, true).iter().all(|value| value.is_finite()));
    }
}
