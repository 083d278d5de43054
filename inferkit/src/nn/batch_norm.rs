//! Batch norm at inference: a factor and a summand for each channel.
//!
//! Behind a convolution it becomes part of it ([`BatchNorm::fold`]); in front of one it is a layer of its own.

use candle_core::D;
use candle_core::Result;
use candle_core::Tensor;

use super::Device;
use super::activation::Activation;
use super::kernels::Kernels;
use super::kernels::with_rows;
use super::kernels::write_pieces;

/// The statistics of a batch norm as they are stored, each `[c]`.
#[derive(Debug, Clone)]
pub(crate) struct BatchNormValues {
    /// Running mean.
    pub(crate) mean: Vec<f32>,
    /// Running variance.
    pub(crate) variance: Vec<f32>,
    /// Learned factor and summand; none means 1 and 0.
    pub(crate) affine: Option<(Vec<f32>, Vec<f32>)>,
}

/// `x * scale + shift` for each channel.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    kernels: Option<Kernels>,
}

/// What PyTorch adds to a variance.
const EPSILON: f64 = 1e-5;

impl BatchNorm {
    /// A norm of these statistics.
    ///
    /// # Errors
    /// When they are not all of one length.
    pub(crate) fn new(device: &Device, values: &BatchNormValues) -> Result<Self> {
        let channels = values.mean.len();
        let one_length = values.variance.len() == channels
            && values
                .affine
                .as_ref()
                .is_none_or(|(weight, bias)| weight.len() == channels && bias.len() == channels);
        if !one_length {
            candle_core::bail!("the statistics of a batch norm have different lengths");
        }
        let mut norm = Self {
            scale: Vec::with_capacity(channels),
            shift: Vec::with_capacity(channels),
            kernels: device.kernels().cloned(),
        };
        for (channel, (mean, variance)) in values.mean.iter().zip(&values.variance).enumerate() {
            let affine = values
                .affine
                .as_ref()
                .map(|(weight, bias)| (weight[channel], bias[channel]));
            let (weight, bias) = affine.unwrap_or((1.0, 0.0));
            let scale = f64::from(weight) / (f64::from(*variance) + EPSILON).sqrt();
            norm.scale.push(narrow(scale));
            norm.shift.push(narrow(f64::from(bias) - f64::from(*mean) * scale));
        }
        Ok(norm)
    }

    /// Weight and bias of a convolution without bias, `[n, ..]`, followed by this norm.
    pub(crate) fn fold(&self, weight: &Tensor) -> Result<(Tensor, Vec<f32>)> {
        let mut shape = vec![1; weight.rank()];
        if let Some(outputs) = shape.first_mut() {
            *outputs = self.scale.len();
        }
        let scale = Tensor::from_slice(&self.scale, shape, weight.device())?;
        Ok((weight.broadcast_mul(&scale)?, self.shift.clone()))
    }

    /// `activation` of the normalised values, for any `[.., c]`.
    pub(crate) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let channels = self.scale.len();
        if x.dim(D::Minus1)? != channels {
            candle_core::bail!("a batch norm of {channels} channels does not fit {:?}", x.dims());
        }
        if let (Some(kernels), Activation::Relu) = (&self.kernels, activation) {
            return self.rectified(kernels, x);
        }
        let scale = Tensor::from_slice(&self.scale, channels, x.device())?;
        let shift = Tensor::from_slice(&self.shift, channels, x.device())?;
        activation.apply(&x.broadcast_mul(&scale)?.broadcast_add(&shift)?)
    }

    fn rectified(&self, kernels: &Kernels, x: &Tensor) -> Result<Tensor> {
        /// Rows of a piece of work.
        const ROWS: usize = 32;
        let channels = self.scale.len();
        let mut out = vec![0.0; x.elem_count()];
        with_rows(x, |rows| {
            write_pieces(kernels.pool(), &mut out, ROWS * channels, |piece, target| {
                let values = &rows.values()[piece * ROWS * channels..][..target.len()];
                for (x, y) in values.chunks_exact(channels).zip(target.chunks_exact_mut(channels)) {
                    for ((y, x), (scale, shift)) in y.iter_mut().zip(x).zip(self.scale.iter().zip(&self.shift)) {
                        *y = (x * scale + shift).max(0.0);
                    }
                }
            });
            Ok(())
        })?;
        Tensor::from_vec(out, x.dims(), x.device())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds to what layers compute with")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::DevicePreference;

    fn values() -> BatchNormValues {
        BatchNormValues {
            mean: vec![1.0, -2.0],
            variance: vec![4.0, 0.25],
            affine: Some((vec![2.0, 1.0], vec![0.5, -1.0])),
        }
    }

    #[test]
    fn a_channel_loses_its_mean_and_its_spread_and_gets_the_learned_ones() {
        let x = Tensor::new(&[[3_f32, -1.5], [1.0, -2.5]], &candle_core::Device::Cpu).unwrap();
        for device in [Device::open(DevicePreference::Cpu).unwrap(), Device::without_kernels()] {
            let norm = BatchNorm::new(&device, &values()).unwrap();
            let found = norm.forward(&x, Activation::Relu).unwrap().to_vec2::<f32>().unwrap();
            for (found, expected) in found.concat().iter().zip([2.5, 0.0, 0.5, 0.0]) {
                assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn a_folded_norm_is_part_of_the_weight() {
        let device = Device::open(DevicePreference::Cpu).unwrap();
        let norm = BatchNorm::new(&device, &values()).unwrap();
        let weight = Tensor::new(&[[1_f32, 2.0], [3.0, 4.0]], &candle_core::Device::Cpu).unwrap();
        let (weight, bias) = norm.fold(&weight).unwrap();
        let found = [weight.to_vec2::<f32>().unwrap().concat(), bias].concat();
        for (found, expected) in found.iter().zip([1.0, 2.0, 6.0, 8.0, -0.5, 3.0]) {
            assert!((found - expected).abs() < 2e-4, "{found} for {expected}");
        }
    }

    #[test]
    fn statistics_of_different_lengths_are_an_error() {
        let uneven = BatchNormValues {
            variance: vec![1.0],
            ..values()
        };
        assert!(BatchNorm::new(&Device::without_kernels(), &uneven).is_err());
    }
}
