//! Kaldi's log-mel features: from 16 kHz samples to the matrix that speaker networks read.
//!
//! ```text
//! samples [n] → frames [t, 400] − mean → pre-emphasis → window → power [t, 257] → triangles [t, m] → log
//! ```
//!
//! Only whole frames count; each depends on its own samples alone, so the features of a part of a recording that begins on
//! a multiple of the hop are a part of the recording's. Centring, which is not so, is left to the reader.
//!
//! **Invariant:** nothing in this module knows a model by name.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::RealFftPlanner;
use realfft::RealToComplex;
use realfft::num_complex::Complex32;

use crate::error::Error;
use crate::error::Result;

/// How features are taken. Frames are 25 ms long and 10 ms apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FbankOptions {
    /// Values of a frame.
    pub(crate) mel_bins: usize,
    /// What a frame is multiplied with.
    pub(crate) window: FbankWindow,
    /// What samples are multiplied with: 32768 where a network learned from 16-bit numbers.
    pub(crate) scale: f32,
}

/// The shape of a frame's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FbankWindow {
    /// 0.54 − 0.46 cos.
    Hamming,
    /// (0.5 − 0.5 cos)^0.85.
    Povey,
}

/// Samples of a frame.
pub(crate) const FRAME: usize = 400;
/// Samples from one frame to the next.
pub(crate) const HOP: usize = 160;
/// Samples of a frame and the zeros behind it: the next power of two.
const FFT: usize = 512;
/// Share of the sample before that is taken off each sample.
const PRE_EMPHASIS: f32 = 0.97;
/// Least energy; the logarithm's floor (`torch.finfo(torch.float).eps`).
const FLOOR: f32 = 1.192_092_9e-7;
/// Limits of the triangles, in Hz: Kaldi's default and half the sample rate.
const BAND: [f64; 2] = [20.0, 8_000.0];
/// Samples of a second.
const SAMPLE_RATE: f64 = 16_000.0;

/// Takes features. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fbank {
    fft: Arc<dyn RealToComplex<f32>>,
    /// `[400]`
    window: Arc<[f32]>,
    triangles: Arc<[Triangle]>,
    scale: f32,
}

/// The part of a mel triangle that is not zero.
#[derive(Debug, Clone, PartialEq)]
struct Triangle {
    /// Its first bin of the power spectrum.
    first: usize,
    weights: Vec<f32>,
}

impl Fbank {
    /// Features of these options.
    pub(crate) fn new(options: FbankOptions) -> Self {
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(FFT),
            window: window(options.window),
            triangles: triangles(options.mel_bins),
            scale: options.scale,
        }
    }

    /// Values of a frame.
    pub(crate) fn mel_bins(&self) -> usize {
        self.triangles.len()
    }

    /// Whole frames that `samples` samples hold.
    pub(crate) const fn frames(samples: usize) -> usize {
        match samples.checked_sub(FRAME) {
            Some(rest) => rest / HOP + 1,
            None => 0,
        }
    }

    /// The features of `samples` (mono, 16 kHz, −1..=1), `[t, m]` row-major, one row per 10 ms.
    ///
    /// # Errors
    /// [`Error::Internal`] when the transform refuses its own buffers.
    pub(crate) fn compute(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let mut features = Vec::with_capacity(Self::frames(samples.len()) * self.mel_bins());
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        for source in samples.windows(FRAME).step_by(HOP) {
            self.prepare(source, &mut frame);
            self.fft
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .map_err(|error| Error::internal("the transform of a frame failed").with_source(error))?;
            self.mel(&spectrum, &mut features);
        }
        Ok(features)
    }

    /// A frame without its mean, pre-emphasised, windowed, with zeros behind.
    fn prepare(&self, source: &[f32], frame: &mut [f32]) {
        #[expect(clippy::cast_possible_truncation, reason = "a mean, which f32 holds")]
        let mean = self.scale * (source.iter().map(|x| f64::from(*x)).sum::<f64>() / FRAME as f64) as f32;
        let mut before = source.first().map_or(0.0, |x| x * self.scale - mean);
        frame.fill(0.0);
        for ((target, x), weight) in frame.iter_mut().zip(source).zip(self.window.iter()) {
            let x = x * self.scale - mean;
            *target = (x - PRE_EMPHASIS * before) * weight;
            before = x;
        }
    }

    fn mel(&self, spectrum: &[Complex32], features: &mut Vec<f32>) {
        let mut power = [0.0; FFT / 2];
        for (power, value) in power.iter_mut().zip(spectrum) {
            *power = value.norm_sqr();
        }
        for triangle in self.triangles.iter() {
            let bins = power.iter().skip(triangle.first);
            let energy: f32 = bins.zip(&triangle.weights).map(|(power, weight)| power * weight).sum();
            features.push(energy.max(FLOOR).ln());
        }
    }
}

impl std::fmt::Debug for Fbank {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Fbank")
            .field("mel_bins", &self.mel_bins())
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}

fn window(shape: FbankWindow) -> Arc<[f32]> {
    let last = FRAME.saturating_sub(1) as f64;
    (0..FRAME)
        .map(|index| {
            let cosine = (TAU * index as f64 / last).cos();
            narrow(match shape {
                FbankWindow::Hamming => 0.46f64.mul_add(-cosine, 0.54),
                FbankWindow::Povey => 0.5f64.mul_add(-cosine, 0.5).powf(0.85),
            })
        })
        .collect()
}

/// Triangles that are linear on the mel scale and evaluated at the bins below the highest.
fn triangles(mel_bins: usize) -> Arc<[Triangle]> {
    let mel = |hertz: f64| 1_127.0 * (hertz / 700.0).ln_1p();
    let [low, high] = BAND.map(mel);
    let width = (high - low) / (mel_bins as f64 + 1.0);
    let bin_mel = |bin: usize| mel(bin as f64 * SAMPLE_RATE / FFT as f64);
    (0..mel_bins)
        .map(|number| {
            let [left, centre, right] = [0.0, 1.0, 2.0].map(|step| (number as f64 + step).mul_add(width, low));
            let weight = |bin: usize| {
                let mel = bin_mel(bin);
                narrow(
                    ((mel - left) / (centre - left))
                        .min((right - mel) / (right - centre))
                        .max(0.0),
                )
            };
            let is_inside = |bin: &usize| weight(*bin) > 0.0;
            let first = (0..FFT / 2).find(is_inside).unwrap_or(0);
            Triangle {
                first,
                weights: (first..FFT / 2).take_while(is_inside).map(weight).collect(),
            }
        })
        .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "tables are made in f64 and kept in f32")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::safetensors::Checkpoint;
    use std::path::Path;

    fn golden() -> Checkpoint {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/pyannote/stages/fbank.safetensors");
        Checkpoint::open(&path).unwrap()
    }

    fn values(golden: &Checkpoint, name: &str) -> Vec<f32> {
        let view = golden.tensor(name).unwrap();
        view.bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }

    fn close(found: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(found.len(), expected.len());
        let greatest = expected.iter().fold(1.0_f32, |greatest, x| greatest.max(x.abs()));
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() <= tolerance * greatest,
                "value {i}: {found} for {expected}"
            );
        }
    }

    const WESPEAKER: FbankOptions = FbankOptions {
        mel_bins: 80,
        window: FbankWindow::Hamming,
        scale: 32_768.0,
    };

    // 1e-4 of the largest value: the reference sums 257 products in another order.
    #[test]
    fn features_are_those_of_torchaudio() {
        let golden = golden();
        let samples = values(&golden, "waveform");
        for (name, options) in [
            ("wespeaker_raw", WESPEAKER),
            (
                "mel24",
                FbankOptions {
                    mel_bins: 24,
                    ..WESPEAKER
                },
            ),
            (
                "campplus_raw",
                FbankOptions {
                    mel_bins: 80,
                    window: FbankWindow::Povey,
                    scale: 1.0,
                },
            ),
        ] {
            let features = Fbank::new(options).compute(&samples).unwrap();
            close(&features, &values(&golden, name), 1e-4);
        }
        let silence = Fbank::new(WESPEAKER).compute(&[0.0; 1_600]).unwrap();
        close(&silence, &values(&golden, "silence"), 1e-6);
    }

    #[test]
    fn windows_and_triangles_are_those_of_torchaudio() {
        let golden = golden();
        close(&window(FbankWindow::Hamming), &values(&golden, "hamming"), 1e-6);
        close(&window(FbankWindow::Povey), &values(&golden, "povey"), 1e-6);
        let mut dense = vec![0.0; 80 * 256];
        for (row, triangle) in dense.chunks_mut(256).zip(triangles(80).iter()) {
            row[triangle.first..][..triangle.weights.len()].copy_from_slice(&triangle.weights);
        }
        // The reference computes in f32 what is here computed in f64.
        close(&dense, &values(&golden, "mel_banks"), 5e-5);
    }

    #[test]
    fn only_whole_frames_count() {
        let fbank = Fbank::new(WESPEAKER);
        for (samples, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (160_000, 998)] {
            assert_eq!(Fbank::frames(samples), frames);
            if samples < 1_000 {
                assert_eq!(fbank.compute(&vec![0.1; samples]).unwrap().len(), frames * 80);
            }
        }
    }

    #[test]
    fn the_features_of_a_part_are_a_part_of_the_features() {
        let samples: Vec<f32> = (0..4_000).map(|i| ((i * i % 977) as f32 / 977.0) - 0.5).collect();
        let fbank = Fbank::new(WESPEAKER);
        let all = fbank.compute(&samples).unwrap();
        let part = fbank.compute(&samples[5 * HOP..]).unwrap();
        assert_eq!(part, all[5 * 80..]);
    }
}
