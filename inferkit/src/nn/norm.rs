//! Root-mean-square normalisation.

use candle_core::D;
use candle_core::Result;
use candle_core::Tensor;

/// Scales each row to a root mean square of one, then by a learnt weight a column.
///
/// Squares are summed in f32 whatever the type of the row. Source: arXiv 1910.07467.
#[derive(Debug, Clone)]
pub(crate) struct RmsNorm {
    weight: Tensor,
    epsilon: f32,
}

impl RmsNorm {
    /// A norm with `weight` of shape `[d]`; `epsilon` is added to the mean square.
    pub(crate) const fn new(weight: Tensor, epsilon: f32) -> Self {
        Self { weight, epsilon }
    }

    /// Normalises the last dimension, `[…, d]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        debug_assert_eq!(x.dim(D::Minus1)?, self.weight.dim(0)?, "a norm of another width");
        candle_nn::ops::rms_norm(&x.contiguous()?, &self.weight, self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_row_is_divided_by_its_root_mean_square_and_weighted() {
        let weight = Tensor::new(&[1_f32, 2.0], &Device::Cpu).unwrap();
        let x = Tensor::new(&[[3_f32, 4.0], [0.0, 0.0]], &Device::Cpu).unwrap();
        let y = RmsNorm::new(weight, 0.0)
            .forward(&x.narrow(0, 0, 1).unwrap())
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        // root mean square of (3, 4) is sqrt(12.5)
        assert!(
            (y[0][0] - 0.848_528).abs() < 1e-5 && (y[0][1] - 2.262_742).abs() < 1e-5,
            "{y:?}"
        );
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let weight = Tensor::new(&[1_f32, 1.0], &Device::Cpu).unwrap();
        let x = Tensor::zeros((1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let y = RmsNorm::new(weight, 1e-6)
            .forward(&x)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        assert_eq!(y, [[0.0, 0.0]]);
    }
}
