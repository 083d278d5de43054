//! Log-mel features: from 16 kHz samples to the matrix that a speech encoder reads.
//!
//! ```text
//! samples [n] ─ preemphasis, window ─▶ frame [fft] ─▶ power [fft/2 + 1] ─ filterbank ─▶ mel [m] ─▶ logarithm
//! ```
//!
//! Whisper and Canary differ in window, filters, floor and normalisation; all are described by [`MelConfig`], and the
//! numbers come from the model's own files, never from here. Normalisation is a step of its own ([`Features`]), since it
//! looks at many frames while everything before looks at one.
//!
//! **Invariant:** nothing in this module knows a model by name.

mod features;
mod filterbank;
mod window;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use realfft::RealFftPlanner;
use realfft::RealToComplex;

pub(crate) use features::Features;
pub(crate) use features::Spread;
pub(crate) use filterbank::Filterbank;
pub(crate) use window::hann;

use crate::error::Error;
use crate::error::Result;

/// How samples become log-mel frames.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MelConfig {
    /// Window, no longer than the transform; it stands in the middle of it.
    pub(crate) window: Vec<f32>,
    /// Samples of a transform; even.
    pub(crate) fft_length: usize,
    /// Samples from one frame to the next. Frame `t` has its middle at sample `t · hop_length`.
    pub(crate) hop_length: usize,
    /// What stands before the first sample and after the last.
    pub(crate) padding: Padding,
    /// Part of the sample before that is taken off each sample; 0 for none.
    pub(crate) preemphasis: f32,
    /// From powers to mel bins.
    pub(crate) filterbank: Filterbank,
    /// What a bin becomes at the end.
    pub(crate) logarithm: Logarithm,
}

/// What stands outside of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Zeros.
    Zeros,
    /// The recording mirrored at its first and last sample.
    Reflection,
}

/// What the sum of a mel bin becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Logarithm {
    /// Itself.
    None,
    /// `ln(x + guard)`.
    NaturalPlus(f32),
    /// `ln(max(x, floor))`.
    NaturalAbove(f32),
    /// `log10(max(x, floor))`.
    Base10Above(f32),
}

/// A [`MelConfig`] ready to compute. Cheap to clone; clones share the tables.
#[derive(Clone)]
pub(crate) struct MelFrontEnd {
    config: Arc<MelConfig>,
    transform: Arc<dyn RealToComplex<f32>>,
    /// Zeros of a transform before its window.
    window_offset: usize,
}

impl fmt::Debug for MelFrontEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MelFrontEnd")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl MelFrontEnd {
    /// Plans the transform.
    ///
    /// # Errors
    /// [`Error::BadModel`] for sizes that do not fit one another.
    pub(crate) fn new(config: MelConfig) -> Result<Self> {
        let fft_length = config.fft_length;
        let window_offset = fft_length.checked_sub(config.window.len()).map(|room| room / 2);
        let fits = config.hop_length > 0
            && (2..=1 << 16).contains(&fft_length)
            && fft_length.is_multiple_of(2)
            && config.filterbank.spectrum() == fft_length / 2 + 1;
        let Some(window_offset) = window_offset.filter(|_| fits && !config.window.is_empty()) else {
            return Err(Error::bad_model(format!(
                "features: a transform of {fft_length} samples, a window of {}, a hop of {} and a filterbank over {} \
                 frequencies do not fit one another; the model's files contradict themselves",
                config.window.len(),
                config.hop_length,
                config.filterbank.spectrum()
            )));
        };
        Ok(Self {
            transform: RealFftPlanner::new().plan_fft_forward(fft_length),
            config: Arc::new(config),
            window_offset,
        })
    }

    /// How it computes.
    pub(crate) fn config(&self) -> &MelConfig {
        &self.config
    }

    /// Whole hops of a recording of so many samples.
    pub(crate) fn hops(&self, samples: usize) -> usize {
        samples / self.config.hop_length.max(1)
    }

    /// Computes the frames `frames` of a recording, without normalisation.
    ///
    /// A frame depends on the samples around its middle only: cutting the frames of a whole recording gives the same as
    /// computing a part of them.
    ///
    /// * `samples`: mono, −1..=1
    /// * returns `[t, m]`, one row a frame
    ///
    /// # Errors
    /// [`Error::Internal`] if the transform refuses its own buffers.
    pub(crate) fn log_mel(&self, samples: &[f32], frames: Range<usize>) -> Result<Features> {
        let bins = self.config.filterbank.bins();
        let mut values = Vec::with_capacity(frames.len().saturating_mul(bins));
        let mut frame = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        let mut scratch = self.transform.make_scratch_vec();
        let mut power = vec![0.0; spectrum.len()];
        for index in frames {
            self.fill(samples, index, &mut frame);
            self.transform
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .map_err(|error| Error::internal("a Fourier transform failed").with_source(error))?;
            for (power, value) in power.iter_mut().zip(&spectrum) {
                *power = value.re * value.re + value.im * value.im;
            }
            let logarithm = self.config.logarithm;
            values.extend(self.config.filterbank.apply(&power).map(|sum| logarithm.of(sum)));
        }
        Ok(Features::new(bins, values))
    }

    /// Windowed samples of frame `index`; the transform may have left anything in `frame`.
    fn fill(&self, samples: &[f32], index: usize, frame: &mut [f32]) {
        let MelConfig {
            window, preemphasis, ..
        } = &*self.config;
        let (before, rest) = frame.split_at_mut(self.window_offset.min(frame.len()));
        let (inside, after) = rest.split_at_mut(window.len().min(rest.len()));
        before.fill(0.0);
        after.fill(0.0);
        let middle = index.saturating_mul(self.config.hop_length);
        // The first sample under the window, counted from the first of the transform.
        let first = (middle + self.window_offset).checked_sub(self.config.fft_length / 2);
        let whole = first.and_then(|first| {
            let end = first.checked_add(window.len())?;
            Some((samples.get(first.checked_sub(1)?..end - 1)?, samples.get(first..end)?))
        });
        if let Some((previous, current)) = whole {
            let pairs = previous.iter().zip(current);
            for ((value, weight), (previous, current)) in inside.iter_mut().zip(window).zip(pairs) {
                *value = (current - preemphasis * previous) * weight;
            }
            return;
        }
        let outside = self.config.fft_length / 2;
        for (at, (value, weight)) in inside.iter_mut().zip(window).enumerate() {
            // Counted from `outside` samples before the first, so that it is never negative.
            let place = middle + self.window_offset + at;
            *value = self.emphasised(samples, place, outside) * weight;
        }
    }

    /// The emphasised sample `place - outside`, of the recording or of what stands outside of it.
    fn emphasised(&self, samples: &[f32], place: usize, outside: usize) -> f32 {
        let index = match (place.checked_sub(outside), self.config.padding) {
            (Some(index), _) if index < samples.len() => index,
            (_, Padding::Zeros) => return 0.0,
            (None, Padding::Reflection) => outside - place,
            (Some(index), Padding::Reflection) => match (2 * samples.len()).checked_sub(index + 2) {
                Some(mirrored) => mirrored,
                None => return 0.0,
            },
        };
        let previous = index.checked_sub(1).and_then(|previous| samples.get(previous));
        let current = samples.get(index).copied().unwrap_or_default();
        current - self.config.preemphasis * previous.copied().unwrap_or_default()
    }
}

impl Logarithm {
    fn of(self, sum: f32) -> f32 {
        match self {
            Self::None => sum,
            Self::NaturalPlus(guard) => (sum + guard).ln(),
            Self::NaturalAbove(floor) => sum.max(floor).ln(),
            Self::Base10Above(floor) => sum.max(floor).log10(),
        }
    }
}

#[cfg(test)]
mod tests;
