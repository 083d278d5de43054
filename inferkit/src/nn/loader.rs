//! From stored tensors to layers in memory, tensor by tensor, for families that choose number types.
//!
//! ```text
//! let loader = Loader::new(&checkpoint, &loading).at("encoder.layers.3");   // a scope
//! let norm = loader.at("norm_out").layer_norm(d)?;                          // encoder.layers.3.norm_out.weight, .bias
//! ```
//!
//! **Invariant:** no tensor is copied before its shape has been compared with the configuration's.

use std::borrow::Cow;
use std::cell::Cell;

use candle_core::DType;
use candle_core::Tensor;

use crate::error::Error;
use crate::error::Result;
use crate::formats::safetensors;
use crate::formats::safetensors::ElementType;
use crate::formats::torch;
use crate::job::Job;
use crate::job::Progress;
use crate::nn::Conv1d;
use crate::nn::Encoding;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::Placement;
use crate::nn::StoredTensor;
use crate::nn::Weight;
use crate::nn::device_fault;

/// Where stored tensors come from.
pub(crate) trait TensorSource {
    /// The tensor `name`, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::BadModel`] when it is of a type that no layer takes.
    fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>>;

    /// Its shape, without touching its numbers.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
}

/// What tensors become, how far the work is, and whether it is still wanted. One for each load.
pub(crate) struct Loading<'a> {
    /// Where weights go.
    pub(crate) placement: Placement,
    /// Told of progress, asked for cancellation.
    pub(crate) job: &'a Job,
    /// Bytes of all checkpoints of the model.
    pub(crate) total_bytes: u64,
    /// Bytes read so far.
    pub(crate) read_bytes: Cell<u64>,
    /// Bytes that the weights take where they went.
    pub(crate) weights_bytes: Cell<u64>,
}

/// Tensors below one prefix, such as `encoder.layers.3.`.
pub(crate) struct Loader<'a> {
    source: &'a dyn TensorSource,
    loading: &'a Loading<'a>,
    prefix: String,
}

/// Epsilon of layer norms and batch norms: PyTorch's default, which the families that load this way have.
pub(crate) const EPSILON: f32 = 1e-5;

impl<'a> Loading<'a> {
    /// A load that has not begun.
    pub(crate) const fn new(placement: Placement, job: &'a Job, total_bytes: u64) -> Self {
        Self {
            placement,
            job,
            total_bytes,
            read_bytes: Cell::new(0),
            weights_bytes: Cell::new(0),
        }
    }
}

impl<'a> Loader<'a> {
    /// All tensors of `source`.
    pub(crate) const fn new(source: &'a dyn TensorSource, loading: &'a Loading<'a>) -> Self {
        Self {
            source,
            loading,
            prefix: String::new(),
        }
    }

    /// Those below `part`.
    pub(crate) fn at(&self, part: impl std::fmt::Display) -> Self {
        Self {
            prefix: format!("{}{part}.", self.prefix),
            ..*self
        }
    }

    /// Where weights go.
    pub(crate) const fn placement(&self) -> &'a Placement {
        &self.loading.placement
    }

    /// Whether two names stand for the same numbers of the file.
    pub(crate) fn is_same(&self, one: &str, other: &str) -> Result<bool> {
        let [one, other] = [one, other].map(|name| self.source.find(&format!("{}{name}", self.prefix)));
        Ok(one?
            .zip(other?)
            .is_some_and(|(one, other)| std::ptr::eq(one.bytes.as_ptr(), other.bytes.as_ptr())))
    }

    /// Plain numbers of the computing type.
    pub(crate) fn plain(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let stored = self.need(name, shape)?;
        let tensor = stored.to_plain(self.placement())?;
        self.account(&stored)?;
        Ok(tensor)
    }

    /// Numbers that are computed with on the processor in f32, whatever the device and the computing type are.
    pub(crate) fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let stored = self.need(name, shape)?;
        let on_processor = Placement {
            device: candle_core::Device::Cpu,
            ..self.placement().in_f32()
        };
        let tensor = stored.to_plain(&on_processor)?;
        self.account(&stored)?;
        tensor
            .flatten_all()
            .and_then(|flat| flat.to_vec1())
            .map_err(device_fault)
    }

    /// Plain numbers, if they are stored.
    pub(crate) fn plain_if(&self, stored: bool, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        stored.then(|| self.plain(name, shape)).transpose()
    }

    /// A matrix `[rows, columns]`; in the file it may have further dimensions of one.
    pub(crate) fn matrix(&self, name: &str, shape: &[usize]) -> Result<Weight> {
        let mut stored = self.need(name, shape)?;
        stored.shape.truncate(2);
        let weight = stored.to_weight(self.placement())?;
        self.account(&stored)?;
        Ok(weight)
    }

    /// A linear layer `weight` and, if it has one, `bias`; `form` is that of the weight, `[out, in]` and any ones.
    pub(crate) fn linear(&self, form: &[usize], has_bias: bool) -> Result<Linear> {
        let weight = self.matrix("weight", form)?;
        let outputs = form.first().copied().unwrap_or(0);
        let bias = self.plain_if(has_bias, "bias", &[outputs])?;
        Linear::new(&weight, bias).map_err(device_fault)
    }

    /// A layer norm `weight` and `bias`.
    pub(crate) fn layer_norm(&self, width: usize) -> Result<LayerNorm> {
        let (weight, bias) = (self.plain("weight", &[width])?, self.plain("bias", &[width])?);
        LayerNorm::new(weight, bias, EPSILON, self.placement().layer_kernels()).map_err(device_fault)
    }

    /// A convolution over time `weight` `[outputs, channels, taps]` with its `bias`; `moves` are stride and padding, in frames.
    pub(crate) fn convolution(&self, form: [usize; 3], moves: (usize, usize)) -> Result<Conv1d> {
        let weight = self.need("weight", &form)?;
        let bias = self.need("bias", &[form[0]])?;
        let convolution = Conv1d::load(&weight, &bias, moves, self.placement())?;
        self.account(&weight)?;
        self.account(&bias)?;
        Ok(convolution)
    }

    fn need(&self, name: &str, shape: &[usize]) -> Result<StoredTensor<'a>> {
        let name = format!("{}{name}", self.prefix);
        let stored = self.source.find(&name)?.ok_or_else(|| missing(&name))?;
        stored.expect_shape(shape)?;
        Ok(stored)
    }

    /// Counts a tensor that was read, tells so, and stops if asked to.
    fn account(&self, stored: &StoredTensor<'_>) -> Result<()> {
        self.loading.job.check()?;
        let add = |cell: &Cell<u64>, bytes: u64| cell.set(cell.get().saturating_add(bytes));
        add(&self.loading.read_bytes, stored.bytes.len() as u64);
        add(&self.loading.weights_bytes, self.placement().resident_bytes(stored));
        let (read, total) = (self.loading.read_bytes.get(), self.loading.total_bytes);
        self.loading
            .job
            .report(Progress::phase("reading weights").with_bytes(read, Some(total)));
        Ok(())
    }
}

/// The error about a tensor that a configuration calls for and no file has.
pub(crate) fn missing(name: &str) -> Error {
    Error::bad_model(format!(
        "tensor {name} is missing from the checkpoint; download the model again"
    ))
}

impl TensorSource for torch::Checkpoint {
    fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let view = Self::find(self, name)?;
        view.map(|view| stored(view.name, view.dtype, view.shape, view.bytes))
            .transpose()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Self::shape(self, name).map(<[usize]>::to_vec)
    }
}

impl TensorSource for safetensors::Checkpoint {
    fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let view = Self::find(self, name)?;
        view.map(|view| stored(view.name, view.dtype, view.shape, Cow::Borrowed(view.bytes)))
            .transpose()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Self::find(self, name).ok().flatten().map(|view| view.shape)
    }
}

fn stored<'a>(name: &'a str, dtype: ElementType, shape: Vec<usize>, bytes: Cow<'a, [u8]>) -> Result<StoredTensor<'a>> {
    let dtype = match dtype {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::Bf16 => DType::BF16,
        other => {
            return Err(Error::unsupported_model(format!(
                "tensor {name}: weights of {other} are not supported; use a checkpoint of F32, F16 or BF16"
            )));
        }
    };
    Ok(StoredTensor {
        name: Cow::Borrowed(name),
        encoding: Encoding::Plain(dtype),
        shape,
        bytes,
    })
}

#[cfg(test)]
mod tests;
