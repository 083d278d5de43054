//! Layers of a network from the tensors of its checkpoint; sizes come from the tensors' shapes.

use candle_core::Tensor;

use crate::error::Error;
use crate::error::Result;
use crate::nn::BatchNorm;
use crate::nn::BatchNormValues;
use crate::nn::Conv2d;
use crate::nn::Conv2dMoves;
use crate::nn::Device;
use crate::nn::Weights;
use crate::nn::device_fault;

/// A place among the tensors of a checkpoint, and the device that layers go to.
#[derive(Debug, Clone)]
pub(super) struct Layers<'a> {
    device: &'a Device,
    weights: Weights,
}

impl<'a> Layers<'a> {
    /// The tensors of `weights`, for layers on `device`.
    pub(super) const fn new(weights: Weights, device: &'a Device) -> Self {
        Self { device, weights }
    }

    pub(super) const fn device(&self) -> &'a Device {
        self.device
    }

    /// The scope `path` below this one.
    pub(super) fn at(&self, path: impl std::fmt::Display) -> Self {
        Self {
            device: self.device,
            weights: self.weights.at(path),
        }
    }

    /// Whether this scope holds a tensor `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.weights.contains(name)
    }

    /// The tensor `name`, of `dimensions` dimensions of any size.
    ///
    /// # Errors
    /// [`Error::BadModel`] when it is missing, has another number of dimensions, or is empty.
    pub(super) fn tensor(&self, name: &str, dimensions: usize) -> Result<Tensor> {
        let shape = self.weights.shape(name).unwrap_or_default();
        if shape.len() != dimensions || shape.contains(&0) {
            // Told by name if it is missing.
            self.weights.tensor(name, &shape)?;
            return Err(Error::bad_model(format!(
                "tensor {name}: shape {shape:?} in the file, {dimensions} dimensions expected; the file is damaged or of \
                 another kind of model"
            )));
        }
        self.weights.tensor(name, &shape)
    }

    /// The numbers of the tensor `name`, a vector of any length.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub(super) fn values(&self, name: &str) -> Result<Vec<f32>> {
        self.tensor(name, 1)?.to_vec1().map_err(device_fault)
    }

    /// The convolution `name`, with a bias where the file holds one. Its weight has `dimensions` dimensions.
    ///
    /// # Errors
    /// [`Error::BadModel`] when a tensor is missing or does not fit.
    pub(super) fn conv(&self, name: &str, dimensions: usize, moves: Conv2dMoves) -> Result<Conv2d> {
        let weight = self.tensor(&format!("{name}.weight"), dimensions)?;
        let bias = format!("{name}.bias");
        let bias = self.contains(&bias).then(|| self.values(&bias)).transpose()?;
        Conv2d::new(self.device, &weight, bias.as_deref(), moves).map_err(|error| misfit(name, error))
    }

    /// The convolution `conv` without bias and the batch norm `norm` behind it, as one layer.
    ///
    /// # Errors
    /// As [`conv`](Self::conv).
    pub(super) fn conv_norm(&self, [conv, norm]: [&str; 2], dimensions: usize, moves: Conv2dMoves) -> Result<Conv2d> {
        let weight = self.tensor(&format!("{conv}.weight"), dimensions)?;
        let (weight, bias) = self
            .batch_norm(norm)?
            .fold(&weight)
            .map_err(|error| misfit(norm, error))?;
        Conv2d::new(self.device, &weight, Some(&bias), moves).map_err(|error| misfit(conv, error))
    }

    /// The batch norm `name`, with or without learned factors.
    ///
    /// # Errors
    /// As [`conv`](Self::conv).
    pub(super) fn batch_norm(&self, name: &str) -> Result<BatchNorm> {
        let norm = self.at(name);
        let affine = norm
            .contains("weight")
            .then(|| Ok((norm.values("weight")?, norm.values("bias")?)));
        let values = BatchNormValues {
            mean: norm.values("running_mean")?,
            variance: norm.values("running_var")?,
            affine: affine.transpose()?,
        };
        BatchNorm::new(self.device, &values).map_err(|error| misfit(name, error))
    }
}

/// Tensors of a layer that do not fit each other.
pub(super) fn misfit(layer: &str, error: candle_core::Error) -> Error {
    let message =
        format!("layer {layer}: its tensors do not fit each other; the file is damaged or of another kind of model");
    Error::bad_model(message).with_source(error)
}

/// The layers of a model of the goldens: a folder with a `pytorch_model.bin`, or a file.
#[cfg(test)]
pub(super) fn golden_layers<'a>(model: &str, device: &'a Device) -> Layers<'a> {
    let place = crate::diarization::golden::path("models").join(model);
    let file = if place.is_dir() {
        place.join("pytorch_model.bin")
    } else {
        place
    };
    let checkpoint = crate::formats::torch::Checkpoint::open(&file).unwrap();
    Layers::new(Weights::from_torch(std::sync::Arc::new(checkpoint), device), device)
}
