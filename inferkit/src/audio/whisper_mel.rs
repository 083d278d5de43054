//! Whisper's log-mel features: from 16 kHz samples to the rows that its encoder reads.
//!
//! ```text
//! samples [n] → frames [t, 400], centred, mirrored at the start → power [t, 201] → mel [t, m] → log10, floor, scale
//! ```
//!
//! The floor lies eight powers of ten below the loudest bin of the *whole recording*, which is then followed by 30 s of
//! silence. So that an hour does not stand in memory as features, a recording is measured once, and each window is
//! computed when it is its turn.
//!
//! Source: openai/whisper, `whisper/audio.py`, `log_mel_spectrogram`; filters as `librosa.filters.mel` (Slaney's scale and
//! norm) makes them.

use std::sync::Arc;

use realfft::RealFftPlanner;
use realfft::RealToComplex;
use realfft::num_complex::Complex;

use super::recording::SAMPLE_RATE;

/// Samples from one frame to the next: 10 ms.
pub(crate) const HOP_LENGTH: usize = 160;

/// Samples of a frame: 25 ms.
const FRAME_LENGTH: usize = 400;

/// Frequencies of a frame's spectrum.
const FREQUENCIES: usize = FRAME_LENGTH / 2 + 1;

/// Least power that is told from silence.
const LEAST_POWER: f32 = 1e-10;

/// Powers of ten between the loudest bin and the floor.
const RANGE: f32 = 8.0;

/// Makes log-mel features of a number of mel bins.
pub(crate) struct WhisperMel {
    transform: Arc<dyn RealToComplex<f32>>,
    /// `[400]`
    window: Vec<f32>,
    filters: Vec<Filter>,
}

/// One mel bin: weights of neighbouring frequencies.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

/// The loudest bin of a recording: log10 of its power.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Loudest(pub(crate) f32);

impl std::fmt::Debug for WhisperMel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WhisperMel")
            .field("bins", &self.bins())
            .finish_non_exhaustive()
    }
}

impl WhisperMel {
    /// Features of `bins` mel bins, 80 or 128 in published models.
    pub(crate) fn new(bins: usize) -> Self {
        let transform = RealFftPlanner::<f32>::new().plan_fft_forward(FRAME_LENGTH);
        let window = (0..FRAME_LENGTH)
            .map(|sample| hann(sample as f64 / FRAME_LENGTH as f64))
            .collect();
        Self {
            transform,
            window,
            filters: slaney_filters(bins),
        }
    }

    /// Mel bins of a frame.
    pub(crate) fn bins(&self) -> usize {
        self.filters.len()
    }

    /// Whole frames of a recording of `samples` samples.
    pub(crate) const fn frames(samples: usize) -> usize {
        samples / HOP_LENGTH
    }

    /// The loudest bin of the recording and of the silence after it. Costs as much as all its features.
    pub(crate) fn loudest(&self, samples: &[f32]) -> Loudest {
        // Frames that reach no sample are silent; one is enough.
        let reached = samples.len().saturating_add(FRAME_LENGTH).div_ceil(HOP_LENGTH);
        let mut loudest = LEAST_POWER.log10();
        let mut powers = vec![0.0; self.bins()];
        let mut scratch = self.scratch();
        for frame in 0..reached {
            self.powers(samples, frame, &mut scratch, &mut powers);
            loudest = powers
                .iter()
                .fold(loudest, |loudest, power| loudest.max(log_power(*power)));
        }
        Loudest(loudest)
    }

    /// Features of `count` frames from frame `first` on, `[count, bins]` row-major, values near −1..=1.5.
    ///
    /// Frames beyond the recording are silence.
    pub(crate) fn features(&self, samples: &[f32], first: usize, count: usize, loudest: Loudest) -> Vec<f32> {
        let mut features = vec![0.0; count.saturating_mul(self.bins())];
        let mut scratch = self.scratch();
        let floor = loudest.0 - RANGE;
        for (index, row) in features.chunks_exact_mut(self.bins().max(1)).enumerate() {
            self.powers(samples, first.saturating_add(index), &mut scratch, row);
            for value in row {
                *value = (log_power(*value).max(floor) + 4.0) / 4.0;
            }
        }
        features
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            frame: self.transform.make_input_vec(),
            spectrum: self.transform.make_output_vec(),
            inner: self.transform.make_scratch_vec(),
            power: vec![0.0; FREQUENCIES],
        }
    }

    /// Power in each mel bin of a frame.
    fn powers(&self, samples: &[f32], frame: usize, scratch: &mut Scratch, powers: &mut [f32]) {
        let start = frame.saturating_mul(HOP_LENGTH);
        let half = FRAME_LENGTH / 2;
        for (offset, (value, window)) in scratch.frame.iter_mut().zip(&self.window).enumerate() {
            // Before the first sample stands its mirror image, as `torch.stft(center=True)` pads.
            let position = start.saturating_add(offset);
            let position = position.checked_sub(half).unwrap_or(half.saturating_sub(position));
            let sample = samples.get(position).copied().unwrap_or(0.0);
            // What is no number is silence; else it would silence the whole recording.
            *value = if sample.is_finite() { sample * window } else { 0.0 };
        }
        let lengths_fit =
            self.transform
                .process_with_scratch(&mut scratch.frame, &mut scratch.spectrum, &mut scratch.inner);
        debug_assert!(lengths_fit.is_ok(), "the buffers are those of the transform");
        for (power, value) in scratch.power.iter_mut().zip(&scratch.spectrum) {
            *power = value.norm_sqr();
        }
        for (bin, filter) in powers.iter_mut().zip(&self.filters) {
            let power = scratch.power.get(filter.first..).unwrap_or_default();
            *bin = power
                .iter()
                .zip(&filter.weights)
                .map(|(power, weight)| power * weight)
                .sum();
        }
    }
}

/// What a frame is computed in.
struct Scratch {
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    inner: Vec<Complex<f32>>,
    power: Vec<f32>,
}

fn log_power(power: f32) -> f32 {
    power.max(LEAST_POWER).log10()
}

/// The periodic Hann window at `position` of its length, 0..1.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a window is kept in f32, as in the original"
)]
fn hann(position: f64) -> f32 {
    (0.5 - 0.5 * (std::f64::consts::TAU * position).cos()) as f32
}

/// Triangles on Slaney's mel scale from 0 Hz to half the sample rate, each of the same area.
#[allow(
    clippy::cast_possible_truncation,
    reason = "filters are kept in f32, as in the original"
)]
fn slaney_filters(bins: usize) -> Vec<Filter> {
    let nyquist = f64::from(SAMPLE_RATE) / 2.0;
    let top = hz_to_mel(nyquist);
    let edge = |index: usize| mel_to_hz(top * index as f64 / bins.saturating_add(1) as f64);
    let filter = |bin: usize| {
        let (low, centre, high) = (edge(bin), edge(bin.saturating_add(1)), edge(bin.saturating_add(2)));
        let weight = |frequency: usize| {
            let hz = nyquist * frequency as f64 / (FREQUENCIES - 1) as f64;
            let triangle = ((hz - low) / (centre - low)).min((high - hz) / (high - centre));
            (triangle.max(0.0) * 2.0 / (high - low)) as f32
        };
        let weights: Vec<f32> = (0..FREQUENCIES).map(weight).collect();
        let first = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let end = weights
            .iter()
            .rposition(|weight| *weight > 0.0)
            .map_or(first, |last| last.saturating_add(1));
        Filter {
            first,
            weights: weights.get(first..end).unwrap_or_default().to_vec(),
        }
    };
    (0..bins).map(filter).collect()
}

/// Slaney's mel scale: linear below 1000 Hz, logarithmic above (Auditory Toolbox, as in librosa with `htk=False`).
fn hz_to_mel(hz: f64) -> f64 {
    if hz < BREAK_HZ {
        hz / HZ_PER_MEL
    } else {
        BREAK_HZ / HZ_PER_MEL + (hz / BREAK_HZ).ln() / log_step()
    }
}

fn mel_to_hz(mel: f64) -> f64 {
    let break_mel = BREAK_HZ / HZ_PER_MEL;
    if mel < break_mel {
        mel * HZ_PER_MEL
    } else {
        BREAK_HZ * (log_step() * (mel - break_mel)).exp()
    }
}

/// Where the scale turns logarithmic.
const BREAK_HZ: f64 = 1000.0;

/// The slope of its linear part.
const HZ_PER_MEL: f64 = 200.0 / 3.0;

/// The step of its logarithmic part: a factor of 6.4 in 27 steps.
fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_floor_and_has_no_end() {
        let mel = WhisperMel::new(80);
        let loudest = mel.loudest(&[]);
        assert_eq!(loudest, Loudest(-10.0));
        let features = mel.features(&[], 1_000_000, 2, loudest);
        assert_eq!(features, vec![-1.5; 160]);
    }

    #[test]
    fn a_tone_stands_in_the_bin_of_its_frequency() {
        let mel = WhisperMel::new(80);
        let tone: Vec<f32> = (0..16_000)
            .map(|sample| (std::f32::consts::TAU * 440.0 * sample as f32 / 16_000.0).sin())
            .collect();
        let features = mel.features(&tone, 50, 1, mel.loudest(&tone));
        let loudest = features.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        // 440 Hz are 6.6 mel of 45.245; bin 11 has its centre at 45.245 · 12 / 81 = 6.7 mel.
        assert_eq!(loudest.0, 11);
    }

    #[test]
    fn a_window_is_a_part_of_the_recording_s_features() {
        let mel = WhisperMel::new(80);
        let noise: Vec<f32> = (0..8_000_u32)
            .map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0)
            .collect();
        let loudest = mel.loudest(&noise);
        let all = mel.features(&noise, 0, 50, loudest);
        assert_eq!(mel.features(&noise, 20, 5, loudest), all[20 * 80..25 * 80]);
    }

    #[test]
    fn samples_that_are_no_numbers_are_silence() {
        let mel = WhisperMel::new(80);
        let samples = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!(mel.loudest(&samples), Loudest(-10.0));
    }

    #[test]
    fn filters_have_the_area_and_the_places_of_slaney_s() {
        // First and last non-zero weights of librosa.filters.mel(sr=16000, n_fft=400, n_mels=80).
        let filters = slaney_filters(80);
        assert!((filters[0].weights[0] - 0.024_862_593).abs() < 1e-7, "{:?}", filters[0]);
        assert_eq!(filters[0].first, 1);
    }
}
