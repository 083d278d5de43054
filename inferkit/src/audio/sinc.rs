//! Any sampling rate to 16 kHz by windowed sinc filters, as torchaudio resamples.
//!
//! Speaker networks learned from recordings that were brought to 16 kHz this way, and decisions of theirs near a threshold
//! follow the filter. It is shorter than the one for speech and passes less above 7 kHz.
//!
//! Of each output the filter has o / n source samples in steps: one set of taps for each of the n places that an output can
//! have between source samples. Taps beyond the window's six crossings are zero and left out.
//!
//! Source: torchaudio 2.9, `functional/functional.py`, `_get_sinc_resample_kernel` with its defaults.

use std::f64::consts::PI;

use super::SAMPLE_RATE;

/// Crossings of zero on each side of the middle (`lowpass_filter_width`).
const CROSSINGS: f64 = 6.0;
/// Where the filter ends, as a share of half the lower rate (`rolloff`).
const ROLLOFF: f64 = 0.99;

/// The state between two pieces of a recording.
#[derive(Debug)]
pub(super) struct SincResampler {
    /// Source samples of a period.
    period: usize,
    /// One for each output of a period.
    phases: Vec<Phase>,
    /// Zeros before the first sample, as many as the filter reaches back.
    width: usize,
    /// Source samples that are still needed, the first of them number `dropped`, counted with the zeros.
    waiting: Vec<f32>,
    dropped: usize,
    taken: usize,
    given: usize,
}

/// The taps for one place between source samples.
#[derive(Debug)]
struct Phase {
    /// The first source sample, counted from the beginning of the period's reach.
    first: usize,
    taps: Vec<f32>,
}

impl SincResampler {
    /// From `rate` samples per second, which is not 0.
    pub(super) fn new(rate: u32) -> Self {
        let divisor = greatest_common_divisor(rate, SAMPLE_RATE).max(1);
        let [period, outputs] = [rate / divisor, SAMPLE_RATE / divisor].map(|count| count.max(1));
        let base = f64::from(period.min(outputs)) * ROLLOFF;
        let width = whole((CROSSINGS * f64::from(period) / base).ceil());
        Self {
            phases: (0..outputs)
                .map(|output| Phase::new([period, outputs], output, base, width))
                .collect(),
            period: period as usize,
            width,
            waiting: vec![0.0; width],
            dropped: 0,
            taken: 0,
            given: 0,
        }
    }

    /// Takes the next samples and appends what is ready to `output`.
    pub(super) fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        self.taken = self.taken.saturating_add(samples.len());
        self.waiting.extend_from_slice(samples);
        self.drain(usize::MAX, output);
    }

    /// Appends what follows from the silence behind the last sample.
    pub(super) fn finish(mut self, output: &mut Vec<f32>) {
        let expected = self.taken.saturating_mul(self.phases.len()).div_ceil(self.period);
        let silence = self.width.saturating_add(self.period);
        self.waiting.resize(self.waiting.len().saturating_add(silence), 0.0);
        self.drain(expected, output);
    }

    /// Gives outputs while their source samples are there, `most` in all.
    fn drain(&mut self, most: usize, output: &mut Vec<f32>) {
        while self.given < most {
            let begin = (self.given / self.phases.len())
                .saturating_mul(self.period)
                .saturating_sub(self.dropped);
            let Some(phase) = self.phases.get(self.given % self.phases.len()) else {
                return;
            };
            let source = self
                .waiting
                .get(begin.saturating_add(phase.first)..)
                .unwrap_or_default();
            let Some(source) = source.get(..phase.taps.len()) else {
                let done = begin.min(self.waiting.len());
                self.waiting.drain(..done);
                self.dropped = self.dropped.saturating_add(done);
                return;
            };
            output.push(source.iter().zip(&phase.taps).map(|(sample, tap)| sample * tap).sum());
            self.given = self.given.saturating_add(1);
        }
    }
}

impl Phase {
    /// The taps of output number `output` of a period.
    fn new([period, outputs]: [u32; 2], output: u32, base: f64, width: usize) -> Self {
        let place = f64::from(output) / f64::from(outputs);
        let reach = width.saturating_mul(2).saturating_add(period as usize);
        let distance = |index: usize| {
            let source = (index as f64 - width as f64) / f64::from(period);
            (source - place) * base
        };
        let is_inside = |index: &usize| distance(*index).abs() < CROSSINGS;
        let first = (0..reach).find(is_inside).unwrap_or(0);
        let tap = |index: usize| {
            let x = PI * distance(index);
            let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
            let window = (x / CROSSINGS / 2.0).cos().powi(2);
            narrow(sinc * window * base / f64::from(period))
        };
        Self {
            first,
            taps: (first..reach).take_while(is_inside).map(tap).collect(),
        }
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    match a.checked_rem(b) {
        None | Some(0) => b.max(1),
        Some(rest) => greatest_common_divisor(b, rest),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small whole number"
)]
fn whole(x: f64) -> usize {
    x as usize
}

#[expect(clippy::cast_possible_truncation, reason = "taps are made in f64 and kept in f32")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::safetensors::Checkpoint;
    use std::path::Path;

    fn golden(name: &str) -> Vec<f32> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/pyannote/stages/resample.safetensors");
        let golden = Checkpoint::open(&path).unwrap();
        let view = golden.tensor(name).unwrap();
        view.bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }

    fn resampled(rate: u32, samples: &[f32], piece: usize) -> Vec<f32> {
        let mut resampler = SincResampler::new(rate);
        let mut output = Vec::new();
        samples
            .chunks(piece)
            .for_each(|piece| resampler.push(piece, &mut output));
        resampler.finish(&mut output);
        output
    }

    // 1e-5: sums of another order.
    #[test]
    fn recordings_become_those_of_torchaudio_whatever_pieces_they_come_in() {
        for rate in [8_000, 22_050, 44_100, 48_000] {
            let (samples, expected) = (golden(&format!("{rate}.in")), golden(&format!("{rate}.out")));
            for piece in [samples.len(), 1_000, 7] {
                let found = resampled(rate, &samples, piece);
                assert_eq!(found.len(), expected.len(), "{rate} Hz in pieces of {piece}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-5, "{rate} Hz: {found} for {expected}");
                }
            }
        }
    }

    #[test]
    fn the_length_is_rounded_up_and_nothing_stays_nothing() {
        for (rate, samples, expected) in [
            (44_100, 1, 1),
            (44_100, 441, 160),
            (44_100, 442, 161),
            (8_000, 0, 0),
            (8_001, 3, 6),
        ] {
            assert_eq!(
                resampled(rate, &vec![0.1; samples], 100).len(),
                expected,
                "{samples} at {rate} Hz"
            );
        }
    }

    #[test]
    fn no_more_is_kept_than_the_filter_reaches() {
        let mut resampler = SincResampler::new(44_100);
        let mut output = Vec::new();
        for _ in 0..100 {
            resampler.push(&vec![0.5; 4_410], &mut output);
            assert!(resampler.waiting.len() < 2_000);
            output.clear();
        }
    }
}
