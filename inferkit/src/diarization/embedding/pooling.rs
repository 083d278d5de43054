//! Statistics over time, weighted by a mask.

use crate::diarization::embedding::mask::nearest;

/// Added to sums that are divided by (WeSpeaker and pyannote.audio, `models/blocks/pooling.py`).
const EPSILON: f32 = 1e-8;

/// What a trunk gives for one window: `[h, l, c]`, l being time.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrunkFrames<'a> {
    pub(super) values: &'a [f32],
    pub(super) height: usize,
    pub(super) frames: usize,
    pub(super) channels: usize,
}

impl TrunkFrames<'_> {
    /// Mean and deviation of each row of `[c · h, l]`, channels outermost, weighted by a mask over any number of frames.
    ///
    /// A mask of zeros gives zeros.
    pub(super) fn weighted(&self, mask: &[f32]) -> Vec<f32> {
        let weights: Vec<f32> = nearest(mask.len(), self.frames).map(|index| mask[index]).collect();
        let total = weights.iter().sum::<f32>() + EPSILON;
        let squares: f32 = weights.iter().map(|weight| weight * weight).sum();
        self.statistics(&weights, total, total - squares / total + EPSILON)
    }

    /// The same without weights: mean and unbiased deviation.
    #[cfg(test)]
    pub(super) fn plain(&self) -> Vec<f32> {
        let count = self.frames as f32;
        self.statistics(&vec![1.0; self.frames], count, count - 1.0)
    }

    /// The deviation is the root of the sum of squares divided by `spread`.
    fn statistics(&self, weights: &[f32], total: f32, spread: f32) -> Vec<f32> {
        let (channels, height) = (self.channels, self.height);
        let mut statistics = vec![0.0; 2 * channels * height];
        let (means, deviations) = statistics.split_at_mut(channels * height);
        let (mut mean, mut square) = (vec![0.0_f32; channels], vec![0.0_f32; channels]);
        for (row, line) in self
            .values
            .chunks_exact(self.frames * channels)
            .enumerate()
            .take(height)
        {
            let weighted = || {
                line.chunks_exact(channels)
                    .zip(weights)
                    .filter(|(_, weight)| **weight != 0.0)
            };
            mean.fill(0.0);
            square.fill(0.0);
            for (frame, weight) in weighted() {
                mean.iter_mut().zip(frame).for_each(|(sum, x)| *sum += x * weight);
            }
            for sum in &mut mean {
                *sum /= total;
            }
            for (frame, weight) in weighted() {
                for ((sum, x), mean) in square.iter_mut().zip(frame).zip(&mean) {
                    *sum += (x - mean) * (x - mean) * weight;
                }
            }
            for channel in 0..channels {
                means[channel * height + row] = mean[channel];
                deviations[channel * height + row] = (square[channel] / spread).sqrt();
            }
        }
        statistics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two channels, two rows of three frames.
    const VALUES: [f32; 12] = [1.0, 10.0, 3.0, 10.0, 5.0, 10.0, 0.0, 2.0, 0.0, 4.0, 0.0, 9.0];

    fn frames() -> TrunkFrames<'static> {
        TrunkFrames {
            values: &VALUES,
            height: 2,
            frames: 3,
            channels: 2,
        }
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_frames_that_the_mask_keeps() {
        // Channel 0, row 0 keeps 1 and 3: mean 2, deviation sqrt(2); channel 1, row 1 keeps 2 and 4: 3, sqrt(2).
        let root = 2_f32.sqrt();
        let expected = [2.0, 0.0, 10.0, 3.0, root, 0.0, 0.0, root];
        for (found, expected) in frames().weighted(&[1.0, 1.0, 0.0]).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }

    #[test]
    fn a_mask_of_zeros_gives_zeros_and_a_single_frame_no_deviation() {
        assert_eq!(frames().weighted(&[0.0; 3]), [0.0; 8]);
        assert_eq!(frames().weighted(&[0.0, 1.0, 0.0])[4..], [0.0; 4]);
    }

    #[test]
    fn a_mask_of_more_frames_is_read_at_the_nearest() {
        assert_eq!(
            frames().weighted(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
            frames().weighted(&[1.0, 1.0, 0.0])
        );
    }
}
