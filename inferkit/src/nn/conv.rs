//! Convolution over time.

use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::speech;

use super::activation::Activation;
use super::kernels::with_rows;
use super::packed::PackedMatrix;
use super::spare;
use super::weight::Placement;
use super::weight::StoredTensor;
use super::weight::Weight;
use crate::error::Error;
use crate::nn::device_fault;

/// A convolution over the frames of a sequence `[t, in]`, with all channels.
#[derive(Debug, Clone)]
pub(crate) struct Conv1d {
    form: Form,
    stride: usize,
    padding: usize,
}

#[derive(Debug, Clone)]
enum Form {
    /// By the processor's kernels: `[out, taps · in]`.
    Packed {
        matrix: PackedMatrix,
        bias: Vec<f32>,
        channels: usize,
    },
    /// By the tensor library: `[out, in, taps]` and `[out]`.
    Tensors { weight: Tensor, bias: Tensor },
}

impl Conv1d {
    /// A convolution with a weight `[out, in, taps]` and a bias `[out]`, as they are stored.
    ///
    /// * `stride`: input frames from one output frame to the next
    /// * `padding`: frames of zeros before the first and after the last
    ///
    /// # Errors
    /// [`Error::BadModel`] for a weight that is no convolution's.
    pub(crate) fn load(
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        (stride, padding): (usize, usize),
        placement: &Placement,
    ) -> crate::error::Result<Self> {
        let &[outputs, channels, taps] = weight.shape.as_slice() else {
            let message = format!(
                "tensor {}: shape {:?} is no convolution over time",
                weight.name, weight.shape
            );
            return Err(Error::bad_model(message));
        };
        bias.expect_shape(&[outputs])?;
        let bias = bias.to_plain(placement)?;
        let plain = weight.to_plain(placement)?;
        let form = if placement.layer_kernels().is_some() {
            let turned = plain
                .transpose(1, 2)
                .and_then(|turned| turned.contiguous()?.reshape((outputs, taps * channels)))
                .map_err(device_fault)?;
            match Weight::of_tensor(&weight.name, &turned, placement)? {
                Weight::Packed(matrix) => Form::Packed {
                    matrix,
                    bias: bias.to_vec1().map_err(device_fault)?,
                    channels,
                },
                Weight::Plain(_) | Weight::Blocks(_) => Form::Tensors { weight: plain, bias },
            }
        } else {
            Form::Tensors { weight: plain, bias }
        };
        Ok(Self { form, stride, padding })
    }

    /// `[t, in]` to `[(t + 2 · padding − taps) / stride + 1, out]`, with `activation` applied.
    pub(crate) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match &self.form {
            Form::Packed { matrix, bias, channels } => matrix.with_kernels(|weight, kernels| {
                let conv = speech::Conv1d {
                    weight,
                    bias: Some(bias),
                    channels: *channels,
                    stride: self.stride,
                    padding: self.padding,
                    activation: activation.of_kernels(),
                };
                let frames = conv.frames_out(x.dim(0)?);
                with_rows(&x.flatten_all()?, |all| {
                    let mut out = spare::floats(frames * bias.len());
                    conv.apply(kernels.pool(), kernels.precision(), all.row(0), &mut out);
                    Tensor::from_vec(out, (frames, bias.len()), x.device())
                })
            }),
            Form::Tensors { weight, bias } => {
                let columns = x.t()?.unsqueeze(0)?.contiguous()?;
                let convolved = columns.conv1d(weight, self.padding, self.stride, 1, 1)?;
                activation.apply(&convolved.squeeze(0)?.t()?.broadcast_add(bias)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Encoding;
    use crate::nn::Kernels;
    use candle_core::DType;
    use candle_core::Device;
    use std::borrow::Cow;

    fn stored(shape: &[usize], seed: usize) -> StoredTensor<'static> {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|i| ((i * 37 + seed) % 101) as f32 / 50.0 - 1.0);
        StoredTensor {
            name: Cow::Borrowed("conv"),
            encoding: Encoding::Plain(DType::F32),
            shape: shape.to_vec(),
            bytes: Cow::Owned(numbers.flat_map(f32::to_le_bytes).collect()),
        }
    }

    fn placement(kernels: Option<Kernels>) -> Placement {
        Placement {
            device: Device::Cpu,
            dtype: DType::F32,
            widen_blocks: false,
            kernels,
        }
    }

    #[test]
    fn kernels_and_tensors_convolve_alike() {
        let x = stored(&[9, 5], 3).to_plain(&placement(None)).unwrap();
        for (stride, frames) in [(1, 9), (2, 5)] {
            let convolve = |kernels| {
                Conv1d::load(
                    &stored(&[4, 5, 3], 1),
                    &stored(&[4], 2),
                    (stride, 1),
                    &placement(kernels),
                )
                .unwrap()
                .forward(&x, Activation::Gelu)
                .unwrap()
            };
            let (found, expected) = (convolve(Some(Kernels::open().unwrap())), convolve(None));
            assert_eq!(found.dims(), [frames, 4]);
            let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-5);
        }
    }

    #[test]
    fn a_matrix_is_no_convolution() {
        let error = Conv1d::load(&stored(&[4, 5], 1), &stored(&[4], 2), (1, 1), &placement(None)).unwrap_err();
        assert!(error.to_string().contains("is no convolution"), "{error}");
    }
}
