//! SincNet: from samples to frames, by band-pass filters and two convolutions.
//!
//! ```text
//! window ─norm─▶ filters, stride s ─|x|─▶ greatest of 3, norm ─▶ conv 5 ─▶ greatest of 3, norm ─▶ conv 5 ─▶ greatest of 3, norm
//! ```
//!
//! The norm of a window is a factor a and a summand b for all its samples, and filters are linear: their answer to the window
//! is a · (filters ∗ x) + b · Σ taps. Windows that overlap by whole strides therefore share filters ∗ x.
//!
//! Source: Ravanelli and Bengio, "Speaker recognition from raw waveform with SincNet" (2018); pyannote.audio 4.0.7,
//! `models/blocks/sincnet.py`, and the filters of asteroid-filterbanks (`param_sinc_fb.py`).

use candle_core::Tensor;

use crate::diarization::layers::Layers;
use crate::diarization::layers::misfit;
use crate::error::Error;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::Conv2d;
use crate::nn::Conv2dMoves;
use crate::nn::InstanceNorm;
use crate::nn::PooledWindows;
use crate::nn::Rescale;
use crate::nn::device_fault;

/// Where the frames of a window lie in its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::diarization) struct FrameGeometry {
    /// Samples from one filtered value to the next.
    pub(in crate::diarization) stride: usize,
}

/// Taps of a filter.
const TAPS: usize = 251;
/// Frames of which the greatest values are kept.
const POOL: usize = 3;
/// Taps of the convolutions behind the filters.
const CONV_TAPS: usize = 5;
/// Lowest frequency and least width of a band, in Hz (`min_low_hz`, `min_band_hz`).
const LEAST_HZ: f32 = 50.0;
/// Half the sample rate, in Hz.
const HIGHEST_HZ: f32 = 8_000.0;
/// Added to the variance of a window.
const EPSILON: f64 = 1e-5;

impl FrameGeometry {
    /// Frames of a window of `samples` samples.
    #[cfg(test)]
    pub(in crate::diarization) fn frames(self, samples: usize) -> usize {
        let kernels = [TAPS, POOL, CONV_TAPS, POOL, CONV_TAPS, POOL];
        let strides = [self.stride.max(1), POOL, 1, POOL, 1, POOL];
        let fold =
            |n: usize, (kernel, stride): (usize, usize)| n.checked_sub(kernel).map_or(0, |rest| rest / stride + 1);
        kernels.into_iter().zip(strides).fold(samples, fold)
    }

    /// Samples from one frame to the next.
    pub(in crate::diarization) const fn hop_samples(self) -> usize {
        POOL * POOL * POOL * self.stride
    }

    /// Samples that a frame depends on.
    pub(in crate::diarization) const fn field_samples(self) -> usize {
        // Each pool or convolution adds its taps less one, in steps of what lies before it.
        let s = self.stride;
        TAPS + (POOL - 1) * s
            + (CONV_TAPS - 1) * POOL * s
            + (POOL - 1) * POOL * s
            + (CONV_TAPS - 1) * POOL * POOL * s
            + (POOL - 1) * POOL * POOL * s
    }
}

/// The front of PyanNet.
#[derive(Debug, Clone)]
pub(super) struct SincNet {
    geometry: FrameGeometry,
    device: candle_core::Device,
    filters: Conv2d,
    /// Sum of the taps of each filter.
    tap_sums: Vec<f32>,
    wav_norm: [f32; 2],
    norms: [InstanceNorm; 3],
    convs: [Conv2d; 2],
}

/// Windows of one length within a stretch of sound.
#[derive(Debug, Clone, Copy)]
pub(in crate::diarization) struct SoundWindows<'a> {
    /// Mono, 16 kHz.
    pub(in crate::diarization) samples: &'a [f32],
    /// Where windows begin, in samples, ascending.
    pub(in crate::diarization) starts: &'a [usize],
    /// Samples of a window.
    pub(in crate::diarization) window: usize,
}

impl SincNet {
    /// The layers below `layers`, with filters `stride` samples apart.
    pub(super) fn new(layers: &Layers<'_>, stride: usize) -> Result<Self> {
        let geometry = FrameGeometry { stride };
        let device = layers.device();
        let filters = filters(&layers.at("conv1d.0.filterbank"))?;
        let tap_sums = filters
            .chunks(TAPS)
            .map(|filter| narrow(filter.iter().map(|x| f64::from(*x)).sum()));
        let moves = Conv2dMoves {
            stride: [1, stride],
            ..Conv2dMoves::default()
        };
        let tap_sums: Vec<f32> = tap_sums.collect();
        let weight = Tensor::from_slice(&filters, (tap_sums.len(), 1, TAPS), &candle_core::Device::Cpu);
        let filter_layer = weight.and_then(|weight| Conv2d::new(device, &weight, None, moves));
        let [weight, bias] = ["wav_norm1d.weight", "wav_norm1d.bias"].map(|name| layers.values(name));
        let (Some(weight), Some(bias)) = (weight?.first().copied(), bias?.first().copied()) else {
            return Err(Error::bad_model(
                "tensor sincnet.wav_norm1d: it holds no number; the file is damaged",
            ));
        };
        let norm = |number: usize| -> Result<InstanceNorm> {
            let name = format!("norm1d.{number}");
            let norm = layers.at(&name);
            InstanceNorm::new(device, norm.values("weight")?, norm.values("bias")?)
                .map_err(|error| misfit(&name, error))
        };
        let conv = |number: usize| layers.conv(&format!("conv1d.{number}"), 3, Conv2dMoves::default());
        Ok(Self {
            geometry,
            device: device.candle().clone(),
            filters: filter_layer.map_err(|error| misfit("sincnet.conv1d.0", error))?,
            tap_sums,
            wav_norm: [weight, bias],
            norms: [norm(0)?, norm(1)?, norm(2)?],
            convs: [conv(1)?, conv(2)?],
        })
    }

    pub(super) const fn geometry(&self) -> FrameGeometry {
        self.geometry
    }

    /// Memory of its weights, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.filters.bytes() + self.convs.iter().map(Conv2d::bytes).sum::<usize>()
    }

    /// The frames of each window, `[b, f, c]`.
    pub(super) fn forward(&self, windows: SoundWindows<'_>) -> Result<Tensor> {
        let mut x = self.first_block(windows)?;
        for block in 1..=self.convs.len() {
            x = self.block(&x, block)?;
        }
        Ok(x)
    }

    /// Filters, absolute value, pool, norm.
    fn first_block(&self, windows: SoundWindows<'_>) -> Result<Tensor> {
        let SoundWindows {
            samples,
            starts,
            window,
        } = windows;
        let fits = |start: &usize| start.checked_add(window).is_some_and(|end| end <= samples.len());
        if !starts.iter().all(fits) {
            return Err(Error::internal("a window ends beyond the recording"));
        }
        let (mut scale, mut shift) = (Vec::with_capacity(starts.len()), Vec::new());
        for start in starts {
            let [a, b] = self.wave_norm(&samples[*start..start + window]);
            scale.push(a);
            shift.extend(self.tap_sums.iter().map(|sum| b * sum));
        }
        let (rows, starts) = self.filtered(windows)?;
        let frames = window
            .checked_sub(TAPS)
            .map_or(0, |rest| rest / self.geometry.stride + 1);
        let windows = PooledWindows {
            rows: &rows,
            starts: &starts,
            frames,
            pool: POOL,
            rescale: Some(Rescale {
                scale: &scale,
                shift: &shift,
            }),
        };
        self.norms[0].forward_pooled(windows).map_err(device_fault)
    }

    /// The filters' answers to the bare samples, `[t, c]`, and where the windows begin in them.
    fn filtered(&self, windows: SoundWindows<'_>) -> Result<(Tensor, Vec<usize>)> {
        let SoundWindows {
            samples,
            starts,
            window,
        } = windows;
        let (Some(first), Some(last)) = (starts.first().copied(), starts.last().copied()) else {
            return Err(Error::internal("a batch without windows"));
        };
        let stride = self.geometry.stride;
        let is_shared =
            starts.iter().all(|start| (start - first).is_multiple_of(stride)) && last - first < starts.len() * window;
        let answer = |samples: &[f32]| -> Result<Tensor> {
            let answer = Tensor::from_slice(samples, (1, samples.len(), 1), &self.device)
                .and_then(|x| self.filters.forward_sequences(&x, Activation::Identity));
            answer.and_then(|x| x.squeeze(0)).map_err(device_fault)
        };
        if is_shared {
            let rows = answer(&samples[first..last + window])?;
            return Ok((rows, starts.iter().map(|start| (start - first) / stride).collect()));
        }
        let parts = starts.iter().map(|start| answer(&samples[*start..start + window]));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let frames = parts.first().map_or(0, |part| part.dim(0).unwrap_or(0));
        let rows = Tensor::cat(&parts, 0).map_err(device_fault)?;
        Ok((rows, (0..starts.len()).map(|number| number * frames).collect()))
    }

    /// Convolution `number` and what follows it.
    fn block(&self, x: &Tensor, number: usize) -> Result<Tensor> {
        let (Some(conv), Some(norm)) = (self.convs.get(number - 1), self.norms.get(number)) else {
            return Err(Error::internal(format!("SincNet has no block {number}")));
        };
        let pooled = conv.forward_sequences(x, Activation::Identity).and_then(|x| {
            let (batch, frames, channels) = x.dims3()?;
            let starts: Vec<usize> = (0..batch).map(|number| number * frames).collect();
            norm.forward_pooled(PooledWindows {
                rows: &x.reshape((batch * frames, channels))?,
                starts: &starts,
                frames,
                pool: POOL,
                rescale: None,
            })
        });
        pooled.map_err(device_fault)
    }

    /// Factor and summand that take mean and spread from the samples of a window and give it the learned ones.
    fn wave_norm(&self, samples: &[f32]) -> [f32; 2] {
        let count = samples.len().max(1) as f64;
        let mean = samples.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = samples.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        let [weight, bias] = self.wav_norm.map(f64::from);
        let scale = weight / (variance + EPSILON).sqrt();
        [narrow(scale), narrow(bias - mean * scale)]
    }
}

/// The taps of all filters, cosines first, `[2 n, 251]`.
fn filters(bank: &Layers<'_>) -> Result<Vec<f32>> {
    let vector = |name: &str, dimensions: usize| -> Result<Vec<f32>> {
        let values = bank
            .tensor(name, dimensions)?
            .flatten_all()
            .and_then(|x| x.to_vec1::<f32>());
        values.map_err(device_fault)
    };
    let (low_hz, band_hz) = (vector("low_hz_", 2)?, vector("band_hz_", 2)?);
    let (window, times) = (vector("window_", 1)?, vector("n_", 2)?);
    if low_hz.len() != band_hz.len() || window.len() != TAPS / 2 || times.len() != TAPS / 2 {
        let message =
            "the sinc filters' tensors do not fit each other; the file is damaged or of another kind of model";
        return Err(Error::bad_model(message));
    }
    let mut cosines = Vec::with_capacity(2 * low_hz.len() * TAPS);
    let mut sines = Vec::with_capacity(low_hz.len() * TAPS);
    for (low, band) in low_hz.iter().zip(&band_hz) {
        let low = LEAST_HZ + low.abs();
        let high = (low + LEAST_HZ + band.abs()).clamp(LEAST_HZ, HIGHEST_HZ);
        let band = high - low;
        // Where the time is short, a rounding of the sine is enlarged some thousand times: taken in f64.
        let half = |wave: fn(f64, f64) -> f64| {
            let tap = move |(time, window): (&f32, &f32)| {
                let [low, high] = [low * time, high * time].map(f64::from);
                narrow(wave(low, high) / (f64::from(*time) / 2.0) * f64::from(*window))
            };
            times.iter().zip(&window).map(tap).collect::<Vec<f32>>()
        };
        let even = half(|a, b| b.sin() - a.sin());
        let odd = half(|a, b| a.cos() - b.cos());
        let scaled = |x: f32| x / (2.0 * band);
        let mirrored = |side: &[f32], centre: f32, sign: f32| -> Vec<f32> {
            let right = side.iter().rev().map(|x| sign * x);
            side.iter().copied().chain([centre]).chain(right).map(scaled).collect()
        };
        cosines.extend(mirrored(&even, 2.0 * band, 1.0));
        sines.extend(mirrored(&odd, 0.0, -1.0));
    }
    cosines.append(&mut sines);
    Ok(cosines)
}

#[expect(clippy::cast_possible_truncation, reason = "rounds to what layers compute with")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests;
