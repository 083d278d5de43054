//! Functions of each element, by the processor's kernels or by tensors.

use candle_core::Result;
use candle_core::Tensor;

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// GELU by the error function, `x · Φ(x)`.
    Gelu,
}

impl Activation {
    /// What the kernels call it.
    pub(super) const fn of_kernels(self) -> inferkit_kernels::Activation {
        match self {
            Self::Gelu => inferkit_kernels::Activation::Gelu,
        }
    }

    /// Applies it to a tensor.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.gelu_erf(),
        }
    }
}
