//! Which frames of a window stand for a local speaker.

use crate::diarization::array::Windows;

/// How masks are made from who is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::diarization) struct MaskRule {
    /// Whether frames in which several people speak are left out, where enough others remain.
    pub(in crate::diarization) exclude_overlap: bool,
    /// Fewest frames that are more than enough.
    pub(in crate::diarization) min_frames: usize,
}

/// Shortest sound that a network of 25 ms frames takes, in samples (found by pyannote.audio by trial,
/// `pipelines/speaker_verification.py`, `min_num_samples`).
const MIN_SAMPLES: usize = 400;

impl MaskRule {
    /// The rule for windows of `frames` frames and `window` samples.
    pub(in crate::diarization) const fn new(exclude_overlap: bool, frames: usize, window: usize) -> Self {
        Self {
            exclude_overlap,
            min_frames: (frames * MIN_SAMPLES).div_ceil(if window == 0 { 1 } else { window }),
        }
    }

    /// The mask of each speaker of window `window`, `[s][f]` of 0 and 1; `None` for those who are silent in it.
    pub(in crate::diarization) fn masks(&self, active: &Windows<bool>, window: usize) -> Vec<Option<Vec<f32>>> {
        let [_, _, speakers] = active.shape();
        let alone: Vec<bool> = active
            .rows(window)
            .map(|row| row.iter().filter(|active| **active).count() < 2)
            .collect();
        let mask = |speaker: usize| {
            let full: Vec<bool> = active.rows(window).map(|row| row[speaker]).collect();
            if !full.contains(&true) {
                return None;
            }
            let clean = || full.iter().zip(&alone).map(|(active, alone)| *active && *alone);
            let chosen = if self.exclude_overlap && clean().filter(|kept| *kept).count() > self.min_frames {
                clean().collect()
            } else {
                full.clone()
            };
            Some(chosen.into_iter().map(|kept| f32::from(u8::from(kept))).collect())
        };
        (0..speakers).map(mask).collect()
    }
}

/// For each of `to` positions the nearest of `from`, as PyTorch interpolates in mode "nearest": computed in f32.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rounding down is meant"
)]
pub(super) fn nearest(from: usize, to: usize) -> impl Iterator<Item = usize> {
    let scale = from as f32 / to.max(1) as f32;
    (0..to).map(move |position| ((position as f32 * scale) as usize).min(from.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four frames of two speakers.
    fn active(rows: [[u8; 2]; 4]) -> Windows<bool> {
        Windows::new([1, 4, 2], rows.concat()).unwrap().map(|on| on == 1)
    }

    #[test]
    fn overlap_is_left_out_where_more_than_enough_remains() {
        let active = active([[1, 0], [1, 1], [1, 0], [0, 1]]);
        let rule = MaskRule {
            exclude_overlap: true,
            min_frames: 1,
        };
        let masks = rule.masks(&active, 0);
        assert_eq!(masks[0].as_deref(), Some([1.0, 0.0, 1.0, 0.0].as_slice()));
        assert_eq!(
            masks[1].as_deref(),
            Some([0.0, 1.0, 0.0, 1.0].as_slice()),
            "one clean frame is not more than one"
        );
        let rule = MaskRule {
            exclude_overlap: false,
            ..rule
        };
        assert_eq!(
            rule.masks(&active, 0)[0].as_deref(),
            Some([1.0, 1.0, 1.0, 0.0].as_slice())
        );
    }

    #[test]
    fn the_silent_have_no_mask() {
        let rule = MaskRule::new(true, 4, 10);
        assert_eq!(rule.masks(&active([[1, 0]; 4]), 0)[1], None);
    }

    #[test]
    fn ten_seconds_and_five_seconds_need_two_frames() {
        assert_eq!(MaskRule::new(true, 589, 160_000).min_frames, 2);
        assert_eq!(MaskRule::new(true, 293, 80_000).min_frames, 2);
    }

    #[test]
    fn the_nearest_of_more_or_of_fewer() {
        assert_eq!(nearest(6, 3).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!(nearest(2, 5).collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
        assert_eq!(nearest(4, 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
