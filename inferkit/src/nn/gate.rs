//! The gated linear unit over columns.

use candle_core::D;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Rows;
use inferkit_kernels::ops;

use super::kernels::Kernels;
use super::kernels::make_rows;
use super::kernels::with_rows;

/// The first half of each row times the sigmoid of the second: `[t, 2·d]` to `[t, d]`.
///
/// Source: arXiv 1612.08083.
#[derive(Debug, Clone)]
pub(crate) struct Glu {
    kernels: Option<Kernels>,
}

impl Glu {
    /// A unit that computes with `kernels`, where given.
    pub(crate) fn new(kernels: Option<&Kernels>) -> Self {
        Self {
            kernels: kernels.cloned(),
        }
    }

    /// `[t, 2·d]` to `[t, d]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(D::Minus1)? / 2;
        let Some(kernels) = &self.kernels else {
            let halves = (x.narrow(D::Minus1, 0, width)?, x.narrow(D::Minus1, width, width)?);
            return halves.0 * candle_nn::ops::sigmoid(&halves.1.contiguous()?)?;
        };
        with_rows(x, |rows| {
            let half = |start: usize| {
                let values = rows.values().get(start..).unwrap_or_default();
                Rows::strided(values, rows.rows(), width, rows.width())
            };
            make_rows(rows.rows(), width, |out| {
                if rows.rows() > 0 {
                    ops::sigmoid_mul(kernels.pool(), kernels.isa(), half(width), half(0), out);
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_second_half_opens_and_shuts_the_first_on_either_path() {
        let x = Tensor::new(&[[2_f32, 4.0, 0.0, -100.0], [1.0, 1.0, 1.0, 100.0]], &Device::Cpu).unwrap();
        for kernels in [None, Some(Kernels::open().unwrap())] {
            let y = Glu::new(kernels.as_ref())
                .forward(&x)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap();
            for (found, expected) in y.concat().iter().zip([1.0, 0.0, 0.731_059, 1.0]) {
                assert!((found - expected).abs() < 1e-6, "{y:?}");
            }
        }
    }
}
