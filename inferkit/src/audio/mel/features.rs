//! Frames of features, and what is done to all of them together.

/// A matrix `[t, m]`: one row of `m` numbers a frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Features {
    bins: usize,
    values: Vec<f32>,
}

/// What a sum of squares is divided by to become a variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// The number of frames less one; a single frame has no spread.
    Sample,
    /// The number of frames.
    Population,
}

impl Features {
    /// Frames of `bins` numbers; numbers beyond the last whole frame are dropped.
    pub(crate) fn new(bins: usize, mut values: Vec<f32>) -> Self {
        let rest = values.len().checked_rem(bins).unwrap_or(values.len());
        values.truncate(values.len() - rest);
        Self { bins, values }
    }

    /// Numbers a frame.
    #[cfg(test)]
    pub(crate) const fn bins(&self) -> usize {
        self.bins
    }

    /// Frames.
    pub(crate) fn frames(&self) -> usize {
        self.values.len().checked_div(self.bins).unwrap_or(0)
    }

    /// All numbers, `[t, m]` row-major.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// All numbers, `[t, m]` row-major.
    pub(crate) fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Gives each bin a mean of zero and a standard deviation of one over the frames: `(x - mean) / (deviation + epsilon)`.
    ///
    /// Sums are taken in f64, so that their error does not grow with the recording.
    pub(crate) fn standardise(&mut self, spread: Spread, epsilon: f64) {
        let frames = self.frames();
        if frames == 0 {
            return;
        }
        let mut means = vec![0.0_f64; self.bins];
        for frame in self.values.chunks_exact(self.bins) {
            for (mean, value) in means.iter_mut().zip(frame) {
                *mean += f64::from(*value);
            }
        }
        for mean in &mut means {
            *mean /= frames as f64;
        }
        let mut scales = vec![0.0_f64; self.bins];
        for frame in self.values.chunks_exact(self.bins) {
            for ((scale, mean), value) in scales.iter_mut().zip(&means).zip(frame) {
                let centred = f64::from(*value) - mean;
                *scale += centred * centred;
            }
        }
        let divisor = match spread {
            Spread::Population => frames,
            // A single frame has a sum of zero, whatever it is divided by.
            Spread::Sample => (frames - 1).max(1),
        };
        #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is wanted")]
        let pairs: Vec<(f32, f32)> = means
            .iter()
            .zip(&scales)
            .map(|(mean, squares)| {
                let deviation = (squares / divisor as f64).sqrt();
                (*mean as f32, (1.0 / (deviation + epsilon)) as f32)
            })
            .collect();
        for frame in self.values.chunks_exact_mut(self.bins) {
            for (value, (mean, scale)) in frame.iter_mut().zip(&pairs) {
                *value = (*value - mean) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standardised(values: &[f32], spread: Spread) -> Vec<f32> {
        let mut features = Features::new(2, values.to_vec());
        features.standardise(spread, 0.0);
        features.into_values()
    }

    #[test]
    fn each_bin_gets_mean_zero_and_deviation_one() {
        let x = [1.0, 10.0, 3.0, 30.0];
        let root = std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(standardised(&x, Spread::Population), [-1.0, -1.0, 1.0, 1.0]);
        for (found, expected) in standardised(&x, Spread::Sample).iter().zip([-root, -root, root, root]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }

    #[test]
    fn a_single_frame_becomes_zero_and_none_stays_none() {
        let mut one = Features::new(2, vec![5.0, 6.0]);
        one.standardise(Spread::Sample, 1e-5);
        assert_eq!(one.values(), [0.0, 0.0]);
        let mut none = Features::new(2, Vec::new());
        none.standardise(Spread::Sample, 1e-5);
        assert_eq!(none.frames(), 0);
    }

    #[test]
    fn half_a_frame_is_dropped() {
        assert_eq!(Features::new(2, vec![1.0, 2.0, 3.0]).frames(), 1);
        assert_eq!(Features::new(0, vec![1.0]).frames(), 0);
    }
}
