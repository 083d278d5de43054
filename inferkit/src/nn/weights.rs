//! A checkpoint's tensors by path, as layers want them: on the device, in f32, of the shape asked for.
//!
//! ```text
//! let layer = weights.at("encoder.layers").at(3);          // a scope: encoder.layers.3
//! let norm = layer.tensor("norm_out.weight", &[d])?;        // [d], f32
//! let query = layer.linear("self_attn.linear_q", d, d, Bias::Optional)?;
//! ```
//!
//! For families that compute in f32 whatever the file holds: f16, bf16 and f64 are widened or rounded to it. Chat models,
//! which choose types and read quantized files, load by [`super::StoredTensor`] themselves.
//!
//! **Invariant:** a layer does not know what kind of file its numbers came from.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use candle_core::DType;
use candle_core::Tensor;

use super::device::Device;
use super::fault::device_fault;
use super::linear::Linear;
use super::weight::Encoding;
use super::weight::Placement;
use super::weight::StoredTensor;
use crate::error::Error;
use crate::error::Result;
use crate::formats::safetensors;
use crate::formats::safetensors::ElementType;
use crate::formats::torch;

/// A place among the tensors of a checkpoint. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    checkpoint: Checkpoint,
    placement: Arc<Placement>,
    /// What names begin with here: empty, or with a dot at its end.
    prefix: String,
}

#[derive(Debug, Clone)]
enum Checkpoint {
    Torch(Arc<torch::Checkpoint>),
    Safetensors(Arc<safetensors::Checkpoint>),
}

/// Whether a linear layer has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bias {
    /// The file has to hold one.
    Required,
    /// It has one where the file holds one.
    Optional,
    /// It has none, whatever the file holds.
    None,
}

impl Weights {
    /// The tensors of a PyTorch checkpoint, for layers on `device`.
    pub(crate) fn from_torch(checkpoint: Arc<torch::Checkpoint>, device: &Device) -> Self {
        Self::of(Checkpoint::Torch(checkpoint), device)
    }

    /// The tensors of a safetensors checkpoint, for layers on `device`.
    pub(crate) fn from_safetensors(checkpoint: Arc<safetensors::Checkpoint>, device: &Device) -> Self {
        Self::of(Checkpoint::Safetensors(checkpoint), device)
    }

    fn of(checkpoint: Checkpoint, device: &Device) -> Self {
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

    /// The device that tensors are made on.
    pub(crate) fn device(&self) -> &candle_core::Device {
        &self.placement.device
    }

    /// The tensor `name` of this scope, on the device, in f32.
    ///
    /// # Errors
    /// [`Error::BadModel`] with its whole name when it is missing or has another shape than `shape`.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let stored = self.need(name)?;
        stored.expect_shape(shape)?;
        stored.to_plain(&self.placement)
    }

    /// The tensor `name`, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::BadModel`] when it has another shape than `shape`.
    pub(crate) fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        let Some(stored) = self.find(name)? else {
            return Ok(None);
        };
        stored.expect_shape(shape)?;
        stored.to_plain(&self.placement).map(Some)
    }

    /// The linear layer `name`: `<name>.weight` of shape `[outputs, inputs]` and `<name>.bias` of shape `[outputs]`.
    ///
    /// A convolution of kernel width one is the same layer; its weight `[outputs, inputs, 1, …]` is taken too.
    ///
    /// # Errors
    /// [`Error::BadModel`] with the whole name of a tensor that is missing or has another shape.
    pub(crate) fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: Bias) -> Result<Linear> {
        let mut stored = self.need(&format!("{name}.weight"))?;
        if let Some((matrix, kernel)) = stored.shape.split_at_checked(2)
            && kernel.iter().all(|width| *width == 1)
        {
            stored.shape = matrix.to_vec();
        }
        stored.expect_shape(&[outputs, inputs])?;
        let bias_name = format!("{name}.bias");
        let bias = match bias {
            Bias::Required => Some(self.tensor(&bias_name, &[outputs])?),
            Bias::Optional => self.optional(&bias_name, &[outputs])?,
            Bias::None => None,
        };
        Linear::new(&stored.to_weight(&self.placement)?, bias).map_err(device_fault)
    }

    /// The shape of the tensor `name`, outermost dimension first; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::BadModel`] when its type is not known.
    pub(crate) fn shape(&self, name: &str) -> Result<Option<Vec<usize>>> {
        let name = self.full(name);
        match &self.checkpoint {
            Checkpoint::Torch(checkpoint) => Ok(checkpoint.shape(&name).map(<[usize]>::to_vec)),
            Checkpoint::Safetensors(checkpoint) => Ok(checkpoint.find(&name)?.map(|view| view.shape)),
        }
    }

    /// Whether this scope holds a tensor `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        let name = self.full(name);
        match &self.checkpoint {
            Checkpoint::Torch(checkpoint) => checkpoint.contains(&name),
            Checkpoint::Safetensors(checkpoint) => checkpoint.contains(&name),
        }
    }

    /// The names of this scope's tensors, without what they all begin with, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all_names().filter_map(|name| name.strip_prefix(&self.prefix))
    }

    /// Bytes that the whole checkpoint will take on the device, from its directory alone.
    ///
    /// # Errors
    /// [`Error::BadModel`] when a tensor's type is not known.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let root = Self {
            prefix: String::new(),
            ..self.clone()
        };
        let mut sum = 0_u64;
        for name in self.all_names() {
            if let Some(stored) = root.find(name)? {
                sum = sum.saturating_add(self.placement.resident_bytes(&stored));
            }
        }
        Ok(sum)
    }

    fn all_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.checkpoint {
            Checkpoint::Torch(checkpoint) => Box::new(checkpoint.names()),
            Checkpoint::Safetensors(checkpoint) => Box::new(checkpoint.names()),
        }
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn need(&self, name: &str) -> Result<StoredTensor<'_>> {
        let name = self.full(name);
        match &self.checkpoint {
            Checkpoint::Torch(checkpoint) => from_torch(checkpoint.tensor(&name)?),
            Checkpoint::Safetensors(checkpoint) => from_safetensors(checkpoint.tensor(&name)?),
        }
    }

    fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let name = self.full(name);
        match &self.checkpoint {
            Checkpoint::Torch(checkpoint) => checkpoint.find(&name)?.map(from_torch).transpose(),
            Checkpoint::Safetensors(checkpoint) => checkpoint.find(&name)?.map(from_safetensors).transpose(),
        }
    }
}

fn from_torch(view: torch::TensorView<'_>) -> Result<StoredTensor<'_>> {
    Ok(StoredTensor {
        name: Cow::Borrowed(view.name),
        encoding: encoding(view.name, view.dtype)?,
        shape: view.shape,
        bytes: view.bytes,
    })
}

fn from_safetensors(view: safetensors::TensorView<'_>) -> Result<StoredTensor<'_>> {
    Ok(StoredTensor {
        name: Cow::Borrowed(view.name),
        encoding: encoding(view.name, view.dtype)?,
        shape: view.shape,
        bytes: Cow::Borrowed(view.bytes),
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
