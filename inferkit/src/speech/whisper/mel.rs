//! Whisper's features: log-mel, cut off eight powers of ten below the loudest bin, and scaled.
//!
//! The loudest bin is that of the *whole recording*. So that an hour does not stand in memory as features, a recording is
//! measured once, and each window is computed when it is its turn.
//!
//! Source: openai/whisper, `whisper/audio.py`, `log_mel_spectrogram`.

use crate::audio::Filterbank;
use crate::audio::Logarithm;
use crate::audio::MelConfig;
use crate::audio::MelFrontEnd;
use crate::audio::Padding;
use crate::audio::SAMPLE_RATE;
use crate::audio::hann;
use crate::error::Result;

/// Samples from one frame to the next: 10 ms.
pub(super) const HOP_LENGTH: usize = 160;

/// Samples of a frame: 25 ms.
pub(super) const FRAME_LENGTH: usize = 400;

/// Least power that is told from silence.
const LEAST_POWER: f32 = 1e-10;

/// Powers of ten between the loudest bin and the floor.
const RANGE: f32 = 8.0;

/// Frames that are measured at a time.
const MEASURED: usize = 3000;

/// Makes features of a number of mel bins.
#[derive(Debug, Clone)]
pub(super) struct WhisperMel(MelFrontEnd);

/// The loudest bin of a recording: log10 of its power.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Loudest(f32);

impl WhisperMel {
    /// Features of `bins` mel bins, 80 or 128 in published models.
    ///
    /// # Errors
    /// As [`MelFrontEnd::new`].
    pub(super) fn new(bins: usize) -> Result<Self> {
        let front_end = MelFrontEnd::new(MelConfig {
            window: hann(FRAME_LENGTH, false),
            fft_length: FRAME_LENGTH,
            hop_length: HOP_LENGTH,
            padding: Padding::ReflectionBefore,
            preemphasis: 0.0,
            filterbank: Filterbank::slaney(bins, FRAME_LENGTH, f64::from(SAMPLE_RATE))?,
            logarithm: Logarithm::Base10Above(LEAST_POWER),
        })?;
        Ok(Self(front_end))
    }

    /// Mel bins of a frame.
    pub(super) fn bins(&self) -> usize {
        self.0.config().filterbank.bins()
    }

    /// Whole frames of a recording of `samples` samples.
    pub(super) const fn frames(samples: usize) -> usize {
        samples / HOP_LENGTH
    }

    /// The loudest bin of the recording and of the silence after it. Costs as much as all its features.
    ///
    /// # Errors
    /// As [`MelFrontEnd::log_mel`].
    pub(super) fn loudest(&self, samples: &[f32]) -> Result<Loudest> {
        // Frames that reach no sample are silent.
        let reached = samples.len().saturating_add(FRAME_LENGTH).div_ceil(HOP_LENGTH);
        let mut loudest = LEAST_POWER.log10();
        for first in (0..reached).step_by(MEASURED) {
            let features = self.0.log_mel(samples, first..reached.min(first + MEASURED))?;
            loudest = features.values().iter().copied().fold(loudest, f32::max);
        }
        Ok(Loudest(loudest))
    }

    /// Features of `count` frames from frame `first` on, `[count, bins]` row-major, values near −1..=1.5.
    ///
    /// Frames beyond the recording are silence.
    ///
    /// # Errors
    /// As [`MelFrontEnd::log_mel`].
    pub(super) fn features(
        &self,
        samples: &[f32],
        (first, count): (usize, usize),
        loudest: Loudest,
    ) -> Result<Vec<f32>> {
        let mut features = self
            .0
            .log_mel(samples, first..first.saturating_add(count))?
            .into_values();
        let floor = loudest.0 - RANGE;
        for value in &mut features {
            *value = (value.max(floor) + 4.0) / 4.0;
        }
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mel() -> WhisperMel {
        WhisperMel::new(80).unwrap()
    }

    #[test]
    fn silence_is_the_floor_and_has_no_end() {
        let loudest = mel().loudest(&[]).unwrap();
        assert_eq!(loudest, Loudest(-10.0));
        let features = mel().features(&[], (1_000_000, 2), loudest).unwrap();
        assert_eq!(features, vec![-1.5; 160]);
    }

    #[test]
    fn a_tone_stands_in_the_bin_of_its_frequency() {
        let tone: Vec<f32> = (0..16_000_u16)
            .map(|sample| (std::f32::consts::TAU * 440.0 * f32::from(sample) / 16_000.0).sin())
            .collect();
        let features = mel().features(&tone, (50, 1), mel().loudest(&tone).unwrap()).unwrap();
        let loudest = features.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        // 440 Hz are 6.6 mel of 45.245; bin 11 has its centre at 45.245 · 12 / 81 = 6.7 mel.
        assert_eq!(loudest.0, 11);
    }

    /// Hertz to mel as Slaney's Auditory Toolbox defines it: linear up to 1 kHz, 27 steps for each factor of 6.4 above.
    fn slaney_mel(hertz: f64) -> f64 {
        if hertz < 1000.0 {
            hertz * 3.0 / 200.0
        } else {
            15.0 + 27.0 * (hertz / 1000.0).ln() / 6.4_f64.ln()
        }
    }

    /// The other way round.
    fn slaney_hertz(mel: f64) -> f64 {
        if mel < 15.0 {
            mel * 200.0 / 3.0
        } else {
            1000.0 * ((mel - 15.0) / 27.0 * 6.4_f64.ln()).exp()
        }
    }

    /// The power of frequency `line` of a frame, by the definition of the transform.
    fn power(frame: &[f32], line: usize) -> f64 {
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (at, sample) in frame.iter().enumerate() {
            let turn = std::f64::consts::TAU * at as f64 / FRAME_LENGTH as f64;
            let windowed = f64::from(*sample) * (0.5 - 0.5 * turn.cos());
            real += windowed * (turn * line as f64).cos();
            imaginary -= windowed * (turn * line as f64).sin();
        }
        real * real + imaginary * imaginary
    }

    #[test]
    fn features_are_those_of_the_published_definition_for_both_numbers_of_bins() {
        let noise: Vec<f32> = (0..4_000_u32)
            .map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0)
            .collect();
        // Frame 10 has its middle at sample 1600.
        let frame = &noise[1600 - FRAME_LENGTH / 2..1600 + FRAME_LENGTH / 2];
        let powers: Vec<f64> = (0..=FRAME_LENGTH / 2).map(|line| power(frame, line)).collect();
        for bins in [80, 128] {
            let mel = WhisperMel::new(bins).unwrap();
            let filterbank = &mel.0.config().filterbank;
            assert_eq!((mel.bins(), filterbank.spectrum()), (bins, 201));
            let highest = slaney_mel(8000.0);
            let corner = |number: usize| slaney_hertz(highest * number as f64 / (bins + 1) as f64);
            let features = mel.features(&noise, (10, 1), Loudest(-2.0)).unwrap();
            assert_eq!(features.len(), bins);
            for (bin, found) in features.iter().enumerate() {
                let [low, middle, high] = [corner(bin), corner(bin + 1), corner(bin + 2)];
                let weight = |line: usize| {
                    let hertz = line as f64 * 40.0;
                    let height = ((hertz - low) / (middle - low)).min((high - hertz) / (high - middle));
                    height.max(0.0) * 2.0 / (high - low)
                };
                let sum: f64 = powers
                    .iter()
                    .enumerate()
                    .map(|(line, power)| weight(line) * power)
                    .sum();
                let expected = (sum.max(1e-10).log10().max(-10.0) + 4.0) / 4.0;
                // f32 beside f64: a millionth of the power, which the logarithm makes as much of the feature.
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4,
                    "{bins} bins, bin {bin}: {found} and {expected}"
                );
            }
        }
    }

    #[test]
    fn a_window_is_a_part_of_the_recording_s_features() {
        let noise: Vec<f32> = (0..8_000_u32)
            .map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0)
            .collect();
        let loudest = mel().loudest(&noise).unwrap();
        let all = mel().features(&noise, (0, 50), loudest).unwrap();
        let part = mel().features(&noise, (20, 5), loudest).unwrap();
        assert_eq!(part, all[20 * 80..25 * 80]);
    }

    #[test]
    fn samples_that_are_no_numbers_are_silence() {
        let samples = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let features = mel().features(&samples, (0, 3), Loudest(0.0)).unwrap();
        assert!(features.iter().all(|value| value.is_finite()), "{features:?}");
    }
}
