//! How fast each pair of a head turns: the plain rule and the ways to stretch it over a longer context.
//!
//! Source of the formulas: transformers 5.23, `modeling_rope_utils.py`; llama.cpp for the divisors in GGUF files.

use std::f64::consts::TAU;

/// The base of the angles and how they are stretched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RopeConfig {
    /// Pair `i` of `d/2` turns by `theta^(-2i/d)` a position.
    pub(crate) theta: f64,
    /// How the angles are stretched over a longer context.
    pub(crate) scaling: RopeScaling,
}

/// How the angles are stretched over a longer context.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RopeScaling {
    /// Not at all.
    None,
    /// All angles divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Long waves divided, short ones kept, a smooth passage between: Llama 3.1 and later.
    Llama3 {
        /// The divisor of long waves.
        factor: f64,
        /// Waves longer than `original / low_frequency_factor` positions are long.
        low_frequency_factor: f64,
        /// Waves shorter than `original / high_frequency_factor` positions are short.
        high_frequency_factor: f64,
        /// The context the model was first trained on, in positions.
        original_positions: f64,
    },
    /// As Llama 3, by turns over the original context, and with louder attention. Source: arXiv 2309.00071.
    Yarn {
        /// The divisor of slow pairs.
        factor: f64,
        /// The context the model was first trained on, in positions.
        original_positions: f64,
        /// Pairs that turn more often than this over the original context are kept.
        beta_fast: f64,
        /// Pairs that turn less often than this are divided.
        beta_slow: f64,
        /// Whether the border pairs are rounded to whole ones.
        truncate: bool,
        /// The factor on cosine and sine.
        magnitude: f64,
    },
    /// A divisor for each pair, from the file.
    Divisors(Vec<f32>),
}

impl RopeConfig {
    /// Turn per position of each of `head_dim / 2` pairs, in radians.
    pub(crate) fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let plain = |pair: usize| self.theta.powf(-2.0 * pair as f64 / head_dim as f64);
        let pairs = 0..head_dim / 2;
        match &self.scaling {
            RopeScaling::None => pairs.map(plain).collect(),
            RopeScaling::Linear { factor } => pairs.map(|pair| plain(pair) / factor).collect(),
            RopeScaling::Llama3 { .. } => pairs.map(|pair| self.scaling.llama3(plain(pair))).collect(),
            RopeScaling::Yarn { .. } => {
                let kept = self.scaling.yarn_kept(self.theta, head_dim);
                pairs.map(|pair| self.scaling.blend(plain(pair), kept(pair))).collect()
            }
            RopeScaling::Divisors(divisors) => pairs
                .zip(divisors)
                .map(|(pair, divisor)| plain(pair) / f64::from(*divisor))
                .collect(),
        }
    }

    /// The factor on cosine and sine.
    pub(crate) const fn magnitude(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { magnitude, .. } => magnitude,
            _ => 1.0,
        }
    }
}

impl RopeScaling {
    /// YaRN's default factor on cosine and sine: attention over a stretched context is made louder.
    pub(crate) fn yarn_magnitude(factor: f64, slope: f64) -> f64 {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * slope * factor.ln() + 1.0
        }
    }

    fn llama3(&self, frequency: f64) -> f64 {
        let Self::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_positions,
        } = *self
        else {
            return frequency;
        };
        let waves = original_positions * frequency / TAU;
        if waves < low_frequency_factor {
            frequency / factor
        } else if waves > high_frequency_factor {
            frequency
        } else {
            let kept = (waves - low_frequency_factor) / (high_frequency_factor - low_frequency_factor);
            (1.0 - kept) * frequency / factor + kept * frequency
        }
    }

    /// How much of pair `i`'s plain frequency is kept, from 1 (fast pairs) to 0 (slow ones).
    fn yarn_kept(&self, theta: f64, head_dim: usize) -> impl Fn(usize) -> f64 + use<> {
        let (low, high) = match *self {
            Self::Yarn {
                original_positions,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => {
                let dim = head_dim as f64;
                let pair_of = |turns: f64| dim * (original_positions / (turns * TAU)).ln() / (2.0 * theta.ln());
                let (low, high) = (pair_of(beta_fast), pair_of(beta_slow));
                let (low, high) = if truncate {
                    (low.floor(), high.ceil())
                } else {
                    (low, high)
                };
                (low.max(0.0), high.min(dim - 1.0))
            }
            _ => (0.0, 0.0),
        };
        let high = if low < high { high } else { low + 0.001 };
        move |pair| 1.0 - ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn blend(&self, frequency: f64, kept: f64) -> f64 {
        match self {
            Self::Yarn { factor, .. } => frequency / factor * (1.0 - kept) + frequency * kept,
            _ => frequency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(theta: f64, head_dim: usize, scaling: RopeScaling) -> Vec<f64> {
        RopeConfig { theta, scaling }.frequencies(head_dim)
    }

    #[test]
    fn plain_frequencies_fall_from_one_by_powers_of_theta() {
        let found = frequencies(10_000.0, 8, RopeScaling::None);
        for (found, expected) in found.iter().zip([1.0, 0.1, 0.01, 0.001]) {
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn linear_scaling_and_divisors_divide() {
        assert_eq!(frequencies(100.0, 4, RopeScaling::Linear { factor: 2.0 }), [0.5, 0.05]);
        assert_eq!(
            frequencies(100.0, 4, RopeScaling::Divisors(vec![1.0, 4.0])),
            [1.0, 0.025]
        );
    }

    #[test]
    fn llama3_keeps_short_waves_divides_long_ones_and_blends_between() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_positions: 64.0,
        };
        let found = frequencies(500_000.0, 12, scaling);
        // by hand: 10.2 waves of pair 0 are short, 1.14 of pair 1 lie between, the others are long
        let expected = [
            1.0,
            0.018_723_196,
            0.001_574_901_3,
            1.767_766_95e-4,
            1.984_251_3e-5,
            2.227_246_8e-6,
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn yarn_keeps_fast_pairs_divides_slow_ones_and_is_louder() {
        let magnitude = RopeScaling::yarn_magnitude(4.0, 1.0);
        assert!((magnitude - 1.138_629_4).abs() < 1e-6);
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            original_positions: 64.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
            magnitude,
        };
        let plain = frequencies(10_000.0, 32, RopeScaling::None);
        let found = frequencies(10_000.0, 32, scaling);
        assert!((found[0] - plain[0]).abs() < 1e-12, "the fastest pair is kept");
        assert!(
            (found[15] - plain[15] / 4.0).abs() < 1e-12,
            "the slowest pair is divided"
        );
        assert!(
            found
                .iter()
                .zip(&plain)
                .all(|(found, plain)| found <= plain && *found >= plain / 4.0)
        );
    }

    #[test]
    fn no_scaling_of_short_contexts_is_louder() {
        assert!((RopeScaling::yarn_magnitude(0.5, 1.0) - 1.0).abs() < f64::EPSILON);
    }
}
