//! Canary's front end: the shared log-mel features with this family's normalisation.

use std::ops::Range;

use super::config::FeatureConfig;
use super::loader::Loader;
use crate::audio::Features;
use crate::audio::Filterbank;
use crate::audio::MelConfig;
use crate::audio::MelFrontEnd;
use crate::audio::Padding;
use crate::audio::Spread;
use crate::error::Result;
use crate::nn::Kernels;

/// Added to a deviation before it divides.
///
/// Source: NeMo, `normalize_batch`, `CONSTANT`.
const EPSILON: f64 = 1e-5;

/// Recordings shorter than this are padded with silence on both sides.
///
/// Source: NeMo, `EncDecMultiTaskModel.transcribe`, one second.
pub(super) const SHORTEST_SAMPLES: usize = 16_000;

/// From samples to features.
#[derive(Debug, Clone)]
pub(super) struct FrontEnd {
    mel: MelFrontEnd,
    standardised: bool,
    /// What computes frames at the same time, on the processor.
    kernels: Option<Kernels>,
}

/// Frames that a thread computes at a time.
const FRAMES_AT_ONCE: usize = 200;

impl FrontEnd {
    /// A front end with the window and the filterbank of the model's file.
    pub(super) fn load(config: &FeatureConfig, loader_of_all: &Loader<'_>) -> Result<Self> {
        let loader = loader_of_all.at("preprocessor.featurizer");
        let spectrum = config.fft_length / 2 + 1;
        let filterbank = Filterbank::from_matrix(config.bins, &loader.floats("fb", &[1, config.bins, spectrum])?)?;
        #[expect(clippy::cast_possible_truncation, reason = "samples are f32")]
        let preemphasis = config.preemphasis as f32;
        let mel = MelFrontEnd::new(MelConfig {
            window: loader.floats("window", &[config.window_length])?,
            fft_length: config.fft_length,
            hop_length: config.hop_length,
            padding: Padding::Zeros,
            preemphasis,
            filterbank,
            logarithm: config.logarithm,
        })?;
        Ok(Self {
            mel,
            standardised: config.standardised,
            kernels: loader_of_all.placement().kernels.clone(),
        })
    }

    /// Frames that count in a recording of so many samples.
    pub(super) fn frames(&self, samples: usize) -> usize {
        self.mel.hops(samples)
    }

    /// Samples from one frame to the next.
    pub(super) fn hop_length(&self) -> usize {
        self.mel.config().hop_length
    }

    /// Features of a recording that is decoded as a whole.
    #[cfg(test)]
    pub(super) fn whole(&self, samples: &[f32]) -> Result<Features> {
        self.part(samples, 0..self.frames(samples.len()), Spread::Sample)
    }

    /// Features of some frames of a recording, normalised among themselves.
    ///
    /// The original normalises a part of a longer recording by its population's deviation, a whole one by a sample's.
    pub(super) fn part(&self, samples: &[f32], frames: Range<usize>, spread: Spread) -> Result<Features> {
        let mut features = self.log_mel(samples, frames)?;
        if self.standardised {
            features.standardise(spread, EPSILON);
        }
        Ok(features)
    }

    /// Features that are not normalised yet. Frames do not depend on one another, so they are cut among the threads.
    fn log_mel(&self, samples: &[f32], frames: Range<usize>) -> Result<Features> {
        let Some(kernels) = self.kernels.as_ref().filter(|_| frames.len() > FRAMES_AT_ONCE) else {
            return self.mel.log_mel(samples, frames);
        };
        let parts = kernels.map(frames.len().div_ceil(FRAMES_AT_ONCE), |part| {
            let start = frames.start + part * FRAMES_AT_ONCE;
            self.mel
                .log_mel(samples, start..(start + FRAMES_AT_ONCE).min(frames.end))
        });
        let bins = self.mel.config().filterbank.bins();
        let mut values = Vec::with_capacity(frames.len() * bins);
        for part in parts {
            values.extend_from_slice(part?.values());
        }
        Ok(Features::new(bins, values))
    }
}

/// A recording that is too short with silence on both sides; none for one that is long enough.
pub(super) fn padded(samples: &[f32]) -> Option<Vec<f32>> {
    let missing = SHORTEST_SAMPLES
        .checked_sub(samples.len())
        .filter(|missing| *missing > 0)?;
    let mut padded = vec![0.0; missing / 2];
    padded.extend_from_slice(samples);
    padded.resize(SHORTEST_SAMPLES, 0.0);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::super::testing::clip;
    use super::super::testing::difference;
    use super::super::testing::golden_tensors;
    use super::super::testing::load;
    use super::*;
    use candle_core::Device;
    use candle_core::Tensor;

    fn tensor(features: &Features) -> Tensor {
        Tensor::from_slice(features.values(), (features.frames(), features.bins()), &Device::Cpu).unwrap()
    }

    /// Columns that count of a golden `[m, t]`, as `[t, m]`.
    fn columns(golden: &Tensor, frames: usize) -> Tensor {
        golden.t().unwrap().narrow(0, 0, frames).unwrap().contiguous().unwrap()
    }

    /// Sums of 512 products in f32 on both sides; logarithms of near silence amplify them to 1e-4.
    const MOST: f32 = 1e-3;

    #[test]
    fn features_of_clips_are_the_original_s() {
        let (front_end, golden) = (
            load("canary-180m-flash").networks.front_end,
            golden_tensors("mel.safetensors"),
        );
        for name in ["a_en", "b_en", "c_fr", "t_en"] {
            let samples = clip(name);
            let found = front_end.whole(&samples).unwrap();
            let frames = golden[&format!("{name}.len")].to_vec1::<i64>().unwrap();
            assert_eq!(frames, [i64::try_from(found.frames()).unwrap()], "{name}");
            let found_by = difference(
                &tensor(&found),
                &columns(&golden[&format!("{name}.mel")], found.frames()),
            );
            assert!(found_by < MOST, "{name}: {found_by}");
        }
        let samples = clip("a_en");
        let found = front_end
            .mel
            .log_mel(&samples, 0..front_end.frames(samples.len()))
            .unwrap();
        let found_by = difference(
            &tensor(&found),
            &columns(&golden["a_en.mel_unnormalised"], found.frames()),
        );
        assert!(found_by < MOST, "{found_by}");
    }

    #[test]
    fn frames_of_all_threads_are_those_of_one_bit_by_bit() {
        let front_end = load("canary-180m-flash").networks.front_end;
        let samples: Vec<f32> = (0..160 * 700_u32).map(|i| (i as f32 * 0.05).sin()).collect();
        let frames = 3..650;
        let found = front_end.log_mel(&samples, frames.clone()).unwrap();
        let expected = front_end.mel.log_mel(&samples, frames).unwrap();
        assert_eq!(found.values(), expected.values());
    }

    #[test]
    fn a_short_recording_gets_silence_on_both_sides_and_more_of_it_at_the_end() {
        let short = vec![1.0; SHORTEST_SAMPLES - 3];
        let padded = padded(&short).unwrap();
        assert_eq!((padded.len(), padded[0], padded[1]), (SHORTEST_SAMPLES, 0.0, 1.0));
        assert_eq!(padded[SHORTEST_SAMPLES - 3..], [1.0, 0.0, 0.0]);
        assert_eq!(super::padded(&vec![0.0; SHORTEST_SAMPLES]), None);
        assert_eq!(super::padded(&[]).unwrap().len(), SHORTEST_SAMPLES);
    }
}
