//! A checkpoint's tensors by path, as layers want them: on the device, in f32, of the shape asked for.
//!
//! ```text
//! let layer = weights.at("encoder.layers").at(3);          // a scope: encoder.layers.3
//! let norm = layer.tensor("norm_out.weight", &[d])?;        // [d], f32
//! ```
//!
//! For families that compute in f32 whatever the file holds: f16, bf16 and f64 are widened or rounded to it. Chat models,
//! which choose types and read quantized files, load by [`super::StoredTensor`] themselves.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use candle_core::DType;
use candle_core::Tensor;

use super::device::Device;
use super::weight::Encoding;
use super::weight::Placement;
use super::weight::StoredTensor;
use crate::error::Error;
use crate::error::Result;
use crate::formats::safetensors::ElementType;
use crate::formats::torch;

/// A place among the tensors of a checkpoint. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    checkpoint: Arc<torch::Checkpoint>,
    placement: Arc<Placement>,
    /// What names begin with here: empty, or with a dot at its end.
    prefix: String,
}

impl Weights {
    /// The tensors of a PyTorch checkpoint, for layers on `device`.
    pub(crate) fn from_torch(checkpoint: Arc<torch::Checkpoint>, device: &Device) -> Self {
        let placement = Placement {
            device: device.candle().clone(),
            dtype: DType::F32,
            widen_blocks: false,
            kernels: device.kernels().cloned(),
        };
        Self {
            checkpoint,
            placement: Arc::new(placement),
            prefix: String::new(),
        }
    }

    /// The scope `path` below this one: a name, several with dots between them, or an index.
    #[must_use]
    pub(crate) fn at(&self, path: impl Display) -> Self {
        Self {
            prefix: format!("{}{path}.", self.prefix),
            ..self.clone()
        }
    }

    /// The tensor `name` of this scope, on the device, in f32.
    ///
    /// # Errors
    /// [`Error::BadModel`] with its whole name when it is missing or has another shape than `shape`.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let stored = stored(self.checkpoint.tensor(&self.full(name))?)?;
        stored.expect_shape(shape)?;
        stored.to_plain(&self.placement)
    }

    /// The shape of the tensor `name`, outermost dimension first; `None` if there is none.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.checkpoint.shape(&self.full(name)).map(<[usize]>::to_vec)
    }

    /// Whether this scope holds a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(&self.full(name))
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn stored(view: torch::TensorView<'_>) -> Result<StoredTensor<'_>> {
    Ok(StoredTensor {
        name: Cow::Borrowed(view.name),
        encoding: encoding(view.name, view.dtype)?,
        shape: view.shape,
        bytes: view.bytes,
    })
}

/// How the tensor library names numbers of this type.
fn encoding(name: &str, element: ElementType) -> Result<Encoding> {
    Ok(Encoding::Plain(match element {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::Bf16 => DType::BF16,
        ElementType::F64 => DType::F64,
        ElementType::I64 => DType::I64,
        ElementType::I32 => DType::I32,
        ElementType::I16 => DType::I16,
        ElementType::U32 => DType::U32,
        ElementType::U8 => DType::U8,
        ElementType::Bool
        | ElementType::I8
        | ElementType::F8E4M3
        | ElementType::F8E5M2
        | ElementType::U16
        | ElementType::U64 => {
            return Err(Error::unsupported_model(format!(
                "tensor {name}: weights of {element} are not supported; use a checkpoint of F32, F16 or BF16"
            )));
        }
    }))
}

#[cfg(test)]
mod tests;
