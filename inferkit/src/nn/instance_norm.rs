//! Instance norm over time of pooled sequences, as networks that read sound itself have it.
//!
//! ```text
//! rows [t, c] ─window─▶ [b, f, c] ─rescale, rectify─▶ ─greatest of p frames─▶ [b, f / p, c] ─norm over time─▶ leaky ReLU
//! ```
//!
//! Windows may overlap: the rows of a recording are computed once, and each window reads its part of them.

use candle_core::Result;
use candle_core::Tensor;

use super::Device;
use super::activation::Activation;
use super::kernels::Kernels;
use super::kernels::with_rows;
use super::kernels::write_pieces;

/// A learned factor and summand for each channel, after mean and spread over time are taken out.
#[derive(Debug, Clone)]
pub(crate) struct InstanceNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    kernels: Option<Kernels>,
}

/// Parts of a sequence of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PooledWindows<'a> {
    /// `[t, c]`
    pub(crate) rows: &'a Tensor,
    /// First row of each window.
    pub(crate) starts: &'a [usize],
    /// Rows of a window.
    pub(crate) frames: usize,
    /// Rows of which the greatest values are kept; a rest at the end is dropped.
    pub(crate) pool: usize,
    /// What is done to the rows of a window first.
    pub(crate) rescale: Option<Rescale<'a>>,
}

/// `|x * scale + shift|`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rescale<'a> {
    /// For each window.
    pub(crate) scale: &'a [f32],
    /// For each window and channel.
    pub(crate) shift: &'a [f32],
}

/// Added to a variance, as PyTorch does where nothing else is said.
const EPSILON: f64 = 1e-5;

impl InstanceNorm {
    /// A norm of `weight` and `bias`, both `[c]`.
    ///
    /// # Errors
    /// When their lengths differ or are zero.
    pub(crate) fn new(device: &Device, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self> {
        if weight.len() != bias.len() || weight.is_empty() {
            candle_core::bail!(
                "weight and bias of an instance norm have {} and {} values",
                weight.len(),
                bias.len()
            );
        }
        Ok(Self {
            weight,
            bias,
            kernels: device.kernels().cloned(),
        })
    }

    /// Leaky ReLU of the normalised windows, `[b, frames / pool, c]`.
    pub(crate) fn forward_pooled(&self, windows: PooledWindows<'_>) -> Result<Tensor> {
        let (rows, channels) = windows.rows.dims2()?;
        let (batch, pooled) = (windows.starts.len(), windows.frames / windows.pool.max(1));
        let fits = |rescale: Rescale<'_>| rescale.scale.len() == batch && rescale.shift.len() == batch * channels;
        let inside = windows
            .starts
            .iter()
            .all(|start| start.saturating_add(windows.frames) <= rows);
        if channels != self.weight.len() || pooled == 0 || !inside || !windows.rescale.is_none_or(fits) {
            candle_core::bail!(
                "windows of {} of {:?} do not fit a norm of {}",
                windows.frames,
                windows.rows.dims(),
                self.weight.len()
            );
        }
        let Some(kernels) = &self.kernels else {
            return self.by_tensors(windows, pooled);
        };
        let mut out = vec![0.0; batch * pooled * channels];
        with_rows(windows.rows, |rows| {
            write_pieces(kernels.pool(), &mut out, pooled * channels, |number, target| {
                let Some(start) = windows.starts.get(number) else {
                    return;
                };
                let values = &rows.values()[start * channels..][..windows.frames * channels];
                match windows.rescale {
                    None => pool_rows(values, windows.pool * channels, target, channels, |_, x| x),
                    Some(Rescale { scale, shift }) => {
                        let (scale, shift) = (scale[number], &shift[number * channels..][..channels]);
                        let rescaled = |channel: usize, x: f32| (x * scale + shift[channel]).abs();
                        pool_rows(values, windows.pool * channels, target, channels, rescaled);
                    }
                }
                self.normalize(target);
            });
            Ok(())
        })?;
        Tensor::from_vec(out, (batch, pooled, channels), windows.rows.device())
    }

    /// One window, `[t, c]`.
    #[expect(clippy::cast_possible_truncation, reason = "rounds to what layers compute with")]
    fn normalize(&self, window: &mut [f32]) {
        let channels = self.weight.len();
        let frames = (window.len() / channels) as f64;
        // A sum over thousands of frames would lose three digits in f32.
        let mut mean = vec![0.0_f64; channels];
        for row in window.chunks_exact(channels) {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        for sum in &mut mean {
            *sum /= frames;
        }
        let mut squares = vec![0.0_f64; channels];
        for row in window.chunks_exact(channels) {
            for ((sum, x), mean) in squares.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(*x) - mean) * (f64::from(*x) - mean);
            }
        }
        let factors: Vec<[f32; 2]> = (0..channels)
            .map(|channel| {
                let scale = f64::from(self.weight[channel]) / (squares[channel] / frames + EPSILON).sqrt();
                let shift = f64::from(self.bias[channel]) - mean[channel] * scale;
                [scale as f32, shift as f32]
            })
            .collect();
        for row in window.chunks_exact_mut(channels) {
            for (x, [scale, shift]) in row.iter_mut().zip(&factors) {
                let y = *x * scale + shift;
                *x = y.max(0.01 * y);
            }
        }
    }

    fn by_tensors(&self, windows: PooledWindows<'_>, pooled: usize) -> Result<Tensor> {
        let (device, channels) = (windows.rows.device(), self.weight.len());
        let parts = windows
            .starts
            .iter()
            .map(|start| windows.rows.narrow(0, *start, windows.frames));
        let mut x = Tensor::stack(&parts.collect::<Result<Vec<_>>>()?, 0)?;
        let batch = windows.starts.len();
        if let Some(Rescale { scale, shift }) = windows.rescale {
            let scale = Tensor::from_slice(scale, (batch, 1, 1), device)?;
            let shift = Tensor::from_slice(shift, (batch, 1, channels), device)?;
            x = x.broadcast_mul(&scale)?.broadcast_add(&shift)?.abs()?;
        }
        let x = x
            .narrow(1, 0, pooled * windows.pool)?
            .contiguous()?
            .reshape((batch, pooled, windows.pool, channels))?
            .max(2)?;
        let x = x.broadcast_sub(&x.mean_keepdim(1)?)?;
        let spread = (x.sqr()?.mean_keepdim(1)? + EPSILON)?.sqrt()?;
        let weight = Tensor::from_slice(&self.weight, channels, device)?;
        let bias = Tensor::from_slice(&self.bias, channels, device)?;
        let x = x.broadcast_div(&spread)?.broadcast_mul(&weight)?.broadcast_add(&bias)?;
        Activation::LeakyRelu.apply(&x)
    }
}

/// The greatest of every group of `group` values, channel by channel, after `first`.
fn pool_rows(values: &[f32], group: usize, out: &mut [f32], channels: usize, first: impl Fn(usize, f32) -> f32) {
    for (group, target) in values.chunks_exact(group).zip(out.chunks_exact_mut(channels)) {
        target.fill(f32::NEG_INFINITY);
        for row in group.chunks_exact(channels) {
            for (channel, (greatest, x)) in target.iter_mut().zip(row).enumerate() {
                let x = first(channel, *x);
                *greatest = if x > *greatest { x } else { *greatest };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::DevicePreference;

    fn devices() -> [Device; 2] {
        [Device::open(DevicePreference::Cpu).unwrap(), Device::without_kernels()]
    }

    fn rows(values: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 2), &candle_core::Device::Cpu).unwrap()
    }

    #[test]
    fn the_greatest_of_each_pool_lose_mean_and_spread() {
        // Channel 0 pools to 3 and 1: mean 2, spread 1. Channel 1 does not move: it becomes its bias.
        let rows = rows(&[[3.0, 4.0], [0.0, 4.0], [1.0, 4.0], [-5.0, 4.0], [9.0, 9.0]]);
        for device in devices() {
            let norm = InstanceNorm::new(&device, vec![2.0, 1.0], vec![0.0, -1.0]).unwrap();
            let windows = PooledWindows {
                rows: &rows,
                starts: &[0],
                frames: 5,
                pool: 2,
                rescale: None,
            };
            let found = norm.forward_pooled(windows).unwrap().flatten_all().unwrap();
            for (found, expected) in found.to_vec1::<f32>().unwrap().iter().zip([2.0, -0.01, -0.02, -0.01]) {
                assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn windows_overlap_and_are_rescaled_each_for_itself() {
        let rows = rows(&[[1.0, 0.5], [-3.0, 1.5], [2.5, 7.0], [-1.0, 0.0], [5.0, -2.0]]);
        let [found, expected] = devices().map(|device| {
            let norm = InstanceNorm::new(&device, vec![1.0, 0.5], vec![0.25, 0.0]).unwrap();
            let windows = PooledWindows {
                rows: &rows,
                starts: &[0, 1],
                frames: 4,
                pool: 2,
                rescale: Some(Rescale {
                    scale: &[1.0, -2.0],
                    shift: &[0.5, 0.0, 1.0, -1.0],
                }),
            };
            norm.forward_pooled(windows).unwrap()
        });
        assert_eq!(found.dims(), [2, 2, 2]);
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
    }

    #[test]
    fn a_window_beyond_the_rows_is_an_error() {
        let norm = InstanceNorm::new(&devices()[0], vec![1.0; 2], vec![0.0; 2]).unwrap();
        let windows = PooledWindows {
            rows: &rows(&[[0.0; 2]; 3]),
            starts: &[1],
            frames: 3,
            pool: 1,
            rescale: None,
        };
        assert!(norm.forward_pooled(windows).is_err());
        assert!(InstanceNorm::new(&devices()[0], vec![1.0], vec![]).is_err());
    }
}
