//! Layer normalisation.

use candle_core::D;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::ops;

use super::kernels::Kernels;
use super::kernels::make_rows;
use super::kernels::with_rows;

/// Moves each row to a mean of zero and scales it to a variance of one, then applies a learnt weight and bias a column.
///
/// Source: arXiv 1607.06450.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    form: Form,
    epsilon: f32,
}

#[derive(Debug, Clone)]
enum Form {
    Tensors {
        weight: Tensor,
        bias: Tensor,
    },
    Floats {
        weight: Vec<f32>,
        bias: Vec<f32>,
        kernels: Kernels,
    },
}

impl LayerNorm {
    /// A norm with `weight` and `bias` of shape `[d]`; `epsilon` is added to the variance. It computes with `kernels`,
    /// where given.
    pub(crate) fn new(weight: Tensor, bias: Tensor, epsilon: f32, kernels: Option<&Kernels>) -> Result<Self> {
        let form = match kernels {
            Some(kernels) => Form::Floats {
                weight: weight.to_vec1()?,
                bias: bias.to_vec1()?,
                kernels: kernels.clone(),
            },
            None => Form::Tensors { weight, bias },
        };
        Ok(Self { form, epsilon })
    }

    /// Normalises the last dimension, `[…, d]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Tensors { weight, bias } => {
                debug_assert_eq!(x.dim(D::Minus1)?, weight.dim(0)?, "a norm of another width");
                candle_nn::ops::layer_norm(&x.contiguous()?, weight, bias, self.epsilon)
            }
            Form::Floats { weight, bias, kernels } => {
                let norm = ops::LayerNorm {
                    weight,
                    bias: Some(bias),
                    epsilon: self.epsilon,
                };
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
    fn a_row_gets_mean_zero_and_variance_one_then_weight_and_bias() {
        let weight = Tensor::new(&[1_f32, 2.0], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0.5_f32, -1.0], &Device::Cpu).unwrap();
        let x = Tensor::new(&[[3_f32, 7.0]], &Device::Cpu).unwrap();
        for kernels in [None, Some(&Kernels::open().unwrap())] {
            let norm = LayerNorm::new(weight.clone(), bias.clone(), 0.0, kernels).unwrap();
            // Mean 5 and deviation 2: the row is (−1, 1).
            assert_eq!(norm.forward(&x).unwrap().to_vec2::<f32>().unwrap(), [[-0.5, 1.0]]);
        }
    }

    #[test]
    fn the_processor_s_kernel_gives_what_tensors_give() {
        let (weight, bias) = (
            Tensor::arange(0_f32, 24.0, &Device::Cpu).unwrap(),
            Tensor::arange(-3_f32, 21.0, &Device::Cpu).unwrap(),
        );
        let x = Tensor::arange(-20_f32, 100.0, &Device::Cpu)
            .unwrap()
            .reshape((1, 5, 24))
            .unwrap();
        let kernels = Kernels::open().unwrap();
        let norm = |kernels| {
            LayerNorm::new(weight.clone(), bias.clone(), 1e-5, kernels)
                .unwrap()
                .forward(&x)
                .unwrap()
        };
        let (found, expected) = (norm(Some(&kernels)), norm(None));
        assert_eq!(found.dims(), x.dims());
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
    }
}
