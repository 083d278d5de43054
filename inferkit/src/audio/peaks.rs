//! The outline of a recording, for drawing.

use std::num::NonZeroU32;

use super::SAMPLE_RATE;

/// The greatest loudness of each of `per_second` parts of a second: 0 for silence to 127 for full scale.
///
/// * `samples`: mono, 16 kHz, −1..=1
/// * returns one value for each part, the last of which may be shorter than the others
pub fn peaks(samples: &[f32], per_second: NonZeroU32) -> Vec<i8> {
    let (rate, parts) = (u64::from(SAMPLE_RATE), u64::from(per_second.get()));
    // Part k begins at sample k · rate / parts, rounded down, so that they do not drift where that is no whole number.
    let begin = |part: u64| usize::try_from(part * rate / parts).unwrap_or(usize::MAX);
    let count = (samples.len() as u64 * parts).div_ceil(rate);
    (0..count)
        .map(|part| (begin(part), begin(part + 1)))
        .map(|(start, end)| samples.get(start..end.min(samples.len())).map_or(0, loudest))
        .collect()
}

fn loudest(samples: &[f32]) -> i8 {
    let greatest = samples
        .iter()
        .fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "between 0 and 127 by the line's own clamp"
    )]
    let scaled = (greatest * 127.0).round().clamp(0.0, 127.0) as i8;
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[f32], per_second: u32) -> Vec<i8> {
        peaks(samples, NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn each_part_gives_its_loudest_sample() {
        let mut samples = vec![0.0; 16_000];
        samples[0] = -1.0;
        samples[3_999] = 0.25;
        samples[4_000] = 0.5;
        assert_eq!(of(&samples, 4), [127, 64, 0, 0]);
    }

    #[test]
    fn a_part_that_is_cut_short_counts() {
        assert_eq!(of(&[], 10), [0; 0]);
        assert_eq!(of(&[0.1], 10), [13]);
        assert_eq!(of(&vec![1.0; 16_001], 1), [127, 127]);
    }

    #[test]
    fn parts_do_not_drift_where_they_are_no_whole_samples() {
        // 16 000 / 3 is no whole number, and ten seconds have thirty parts nevertheless.
        assert_eq!(of(&vec![0.5; 160_000], 3).len(), 30);
    }

    #[test]
    fn more_parts_than_samples_and_values_beyond_full_scale_do_no_harm() {
        assert_eq!(of(&[2.0, f32::NAN], 32_000), [0, 127, 0, 0]);
    }
}
