//! Functions of each element, by the processor's kernels or by tensors.

use candle_core::Result;
use candle_core::Tensor;

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// None.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU by the error function, `x · Φ(x)`.
    Gelu,
}

impl Activation {
    /// What the kernels call it.
    pub(super) const fn of_kernels(self) -> inferkit_kernels::Activation {
        match self {
            Self::Identity => inferkit_kernels::Activation::Identity,
            Self::Relu => inferkit_kernels::Activation::Relu,
            Self::Silu => inferkit_kernels::Activation::Silu,
            Self::Gelu => inferkit_kernels::Activation::Gelu,
        }
    }

    /// Applies it to a tensor.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Relu => x.relu(),
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu_erf(),
        }
    }
}
