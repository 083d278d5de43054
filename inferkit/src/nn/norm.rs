//! Root-mean-square normalisation.

use candle_core::D;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::ops;

use super::kernels::Kernels;
use super::kernels::make_rows;
use super::kernels::with_rows;

/// Scales each row to a root mean square of one, then by a learnt weight a column.
///
/// Squares are summed in f32 whatever the type of the row. Source: arXiv 1910.07467.
#[derive(Debug, Clone)]
pub(crate) struct RmsNorm {
    weight: Weight,
    epsilon: f32,
}

#[derive(Debug, Clone)]
enum Weight {
    Tensor(Tensor),
    Floats(Vec<f32>, Kernels),
}

impl RmsNorm {
    /// A norm with `weight` of shape `[d]`; `epsilon` is added to the mean square. It computes with `kernels`, where given.
    pub(crate) fn new(weight: Tensor, epsilon: f32, kernels: Option<&Kernels>) -> Result<Self> {
        let weight = match kernels {
            Some(kernels) => Weight::Floats(weight.to_vec1()?, kernels.clone()),
            None => Weight::Tensor(weight),
        };
        Ok(Self { weight, epsilon })
    }

    /// The norm as kernels take it, if they compute it.
    pub(super) fn of_kernels(&self) -> Option<ops::RmsNorm<'_>> {
        match &self.weight {
            Weight::Tensor(_) => None,
            Weight::Floats(weight, _) => Some(ops::RmsNorm {
                weight,
                epsilon: self.epsilon,
            }),
        }
    }

    /// Normalises the last dimension, `[…, d]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Weight::Tensor(weight) => {
                debug_assert_eq!(x.dim(D::Minus1)?, weight.dim(0)?, "a norm of another width");
                candle_nn::ops::rms_norm(&x.contiguous()?, weight, self.epsilon)
            }
            Weight::Floats(weight, kernels) => {
                let epsilon = self.epsilon;
                let norm = ops::RmsNorm { weight, epsilon };
                let normalised = with_rows(x, |rows| {
                    make_rows(rows.rows(), rows.width(), |out| {
                        norm.apply(kernels.pool(), kernels.isa(), rows, out);
                    })
                })?;
                normalised.reshape(x.dims())
            }
        }
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
        let y = RmsNorm::new(weight, 0.0, None)
            .unwrap()
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
        let y = RmsNorm::new(weight, 1e-6, None)
            .unwrap()
            .forward(&x)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        assert_eq!(y, [[0.0, 0.0]]);
    }

    #[test]
    fn the_processor_s_kernel_gives_what_tensors_give() {
        let weight = Tensor::arange(0_f32, 24.0, &Device::Cpu).unwrap();
        let x = Tensor::arange(-20_f32, 100.0, &Device::Cpu)
            .unwrap()
            .reshape((1, 5, 24))
            .unwrap();
        let kernels = Kernels::open().unwrap();
        let norm = |kernels| {
            RmsNorm::new(weight.clone(), 1e-5, kernels)
                .unwrap()
                .forward(&x)
                .unwrap()
        };
        let (found, expected) = (norm(Some(&kernels)), norm(None));
        assert_eq!(found.dims(), x.dims());
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5);
    }
}
