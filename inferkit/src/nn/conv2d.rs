//! Convolution of images and of sequences, which are images of one line; channels stand last.
//!
//! On the processor kernels do all of it, residual and activation included: kernels of 3 x 3 taps by Winograd's transform,
//! others as products with windows. Elsewhere the tensor library convolves, between two changes of layout.

use std::sync::Arc;

use candle_core::DType;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Format;
use inferkit_kernels::PackedWeight;
use inferkit_kernels::Precision;
use inferkit_kernels::Residual;
use inferkit_kernels::Rows;
use inferkit_kernels::speech;
use inferkit_kernels::speech::FeatureMaps;
use inferkit_kernels::speech::Finish;
use inferkit_kernels::speech::Window;
use inferkit_kernels::speech::WinogradConv2d;

use super::Device;
use super::activation::Activation;
use super::images::Images;
use super::kernels::Kernels;
use super::kernels::with_rows;

/// How the kernel moves; pairs are height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conv2dMoves {
    /// Input positions from one output to the next.
    pub(crate) stride: [usize; 2],
    /// Zeros at each border.
    pub(crate) padding: [usize; 2],
    /// Input positions from one tap to the next.
    pub(crate) dilation: [usize; 2],
}

impl Default for Conv2dMoves {
    /// By single positions, without padding.
    fn default() -> Self {
        Self {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
        }
    }
}

/// A convolution with bias, `[b, h, w, c]` to `[b, h', w', n]`.
#[derive(Debug, Clone)]
pub(crate) struct Conv2d {
    channels: usize,
    outputs: usize,
    /// Height and width.
    taps: [usize; 2],
    moves: Conv2dMoves,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Packed(Arc<Packed>, Kernels),
    /// `[n, c, h, w]` and `[n, 1, 1]`.
    Tensors {
        kernel: Tensor,
        bias: Tensor,
    },
}

/// Weights of the kernels.
#[derive(Debug)]
enum Packed {
    /// `[n, h * w * c]` and the bias.
    Windows(PackedWeight, Vec<f32>),
    /// Transformed: a quarter of the products.
    Winograd(WinogradConv2d),
}

impl Conv2d {
    /// A layer of a `weight` `[n, c, h, w]`; `[n, c, w]` is a kernel one line high, `[n, c]` one of a single tap.
    ///
    /// # Errors
    /// When the weight has no such shape, is empty, or `bias` does not hold n values; when taps are apart otherwise than in a
    /// kernel one line high that moves by single positions and is padded by whole distances.
    pub(crate) fn new(device: &Device, weight: &Tensor, bias: Option<&[f32]>, moves: Conv2dMoves) -> Result<Self> {
        let (outputs, channels, taps) = match *weight.dims() {
            [n, c] => (n, c, [1, 1]),
            [n, c, w] => (n, c, [1, w]),
            [n, c, h, w] => (n, c, [h, w]),
            _ => candle_core::bail!("a kernel of the shape {:?}", weight.dims()),
        };
        let bias = bias.map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
        let apart = moves.dilation != [1, 1];
        let fits_apart =
            taps[0] == 1 && moves.stride == [1, 1] && moves.padding[1].is_multiple_of(moves.dilation[1].max(1));
        if bias.len() != outputs || weight.elem_count() == 0 || (apart && !fits_apart) {
            candle_core::bail!(
                "{} biases for a kernel of {:?} that moves by {moves:?}",
                bias.len(),
                weight.dims()
            );
        }
        let weight = weight
            .to_dtype(DType::F32)?
            .reshape((outputs, channels, taps[0], taps[1]))?;
        let form = match device.kernels() {
            Some(kernels) => Form::Packed(Arc::new(Packed::new(kernels, &weight, bias, moves)?), kernels.clone()),
            None => Form::Tensors {
                kernel: weight.to_device(device.candle())?,
                bias: Tensor::from_vec(bias, (outputs, 1, 1), device.candle())?,
            },
        };
        Ok(Self {
            channels,
            outputs,
            taps,
            moves,
            form,
        })
    }

    /// Memory of its weights, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.form {
            Form::Packed(packed, _) => match &**packed {
                Packed::Windows(weight, bias) => weight.bytes() + 4 * bias.len(),
                Packed::Winograd(conv) => conv.bytes(),
            },
            Form::Tensors { kernel, bias } => 4 * (kernel.elem_count() + bias.elem_count()),
        }
    }

    /// Convolves images, `[b, h, w, c]`; with a `residual` of the result's shape, what is activated is the sum of both.
    pub(crate) fn forward(&self, x: &Tensor, residual: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
        match &self.form {
            Form::Packed(packed, kernels) if self.moves.dilation == [1, 1] => {
                self.by_kernel(packed, kernels, x, (residual, activation))
            }
            Form::Packed(packed, kernels) => match residual {
                None => self.apart(packed, kernels, x, activation),
                Some(_) => candle_core::bail!("taps that are apart take no residual"),
            },
            Form::Tensors { kernel, bias } => {
                let planes = x.permute((0, 3, 1, 2))?.contiguous()?;
                let sums = self.by_tensors(&planes, kernel)?.broadcast_add(bias)?;
                let sums = sums.permute((0, 2, 3, 1))?.contiguous()?;
                let sums = match residual {
                    Some(residual) => (sums + residual)?,
                    None => sums,
                };
                activation.apply(&sums)
            }
        }
    }

    /// Convolves sequences, `[b, t, c]` to `[b, t', n]`; for a kernel that is one line high.
    pub(crate) fn forward_sequences(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward(&x.unsqueeze(1)?, None, activation)?.squeeze(1)
    }

    /// Whether the kernels of the processor compute it, and hence [`forward_images`](Self::forward_images) can.
    pub(crate) const fn has_kernels(&self) -> bool {
        matches!(self.form, Form::Packed(..))
    }

    /// As [`forward`](Self::forward), from buffer to buffer, for layers that [have kernels](Self::has_kernels) and whose taps
    /// are not apart.
    pub(crate) fn forward_images(
        &self,
        x: &Images,
        residual: Option<&Images>,
        activation: Activation,
        out: &mut Images,
    ) -> Result<()> {
        let shape = self.shape_out(x.shape())?;
        let Form::Packed(packed, kernels) = &self.form else {
            candle_core::bail!("images in buffers are convolved on the processor only");
        };
        if residual.is_some_and(|residual| residual.shape() != shape) || self.moves.dilation != [1, 1] {
            candle_core::bail!("a residual or taps that are apart do not fit images of {shape:?}");
        }
        let finish = (residual.map(Images::values), activation);
        self.convolve((packed, kernels), (x.values(), x.shape()), finish, out.shaped(shape));
        Ok(())
    }

    fn by_kernel(
        &self,
        packed: &Packed,
        kernels: &Kernels,
        x: &Tensor,
        (residual, activation): (Option<&Tensor>, Activation),
    ) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        let shape = [batch, height, width, channels];
        let out_shape = self.shape_out(shape)?;
        let dims = (out_shape[0], out_shape[1], out_shape[2], out_shape[3]);
        if residual.is_some_and(|residual| residual.dims4().ok() != Some(dims)) {
            candle_core::bail!("{:?} and a residual do not fit a kernel of {:?}", x.dims(), self.taps);
        }
        let mut out = vec![0.0; out_shape.iter().product()];
        let mut run = |x: &[f32], residual: Option<&[f32]>| {
            self.convolve((packed, kernels), (x, shape), (residual, activation), &mut out);
            Ok(())
        };
        if !out_shape.contains(&0) {
            with_rows(x, |x| match residual {
                None => run(x.values(), None),
                Some(residual) => with_rows(residual, |residual| run(x.values(), Some(residual.values()))),
            })?;
        }
        Tensor::from_vec(out, dims, x.device())
    }

    /// The shape of what images of `shape` become.
    fn shape_out(&self, shape: [usize; 4]) -> Result<[usize; 4]> {
        if shape[3] != self.channels {
            candle_core::bail!(
                "{shape:?} does not fit a kernel of {:?} with {} channels",
                self.taps,
                self.channels
            );
        }
        Ok(self.window().shape_out(shape, self.outputs))
    }

    const fn window(&self) -> Window {
        Window {
            taps: self.taps,
            stride: self.moves.stride,
            padding: self.moves.padding,
        }
    }

    /// Convolves images whose shapes fit; what `out` holds before is of no account.
    fn convolve(
        &self,
        (packed, kernels): (&Packed, &Kernels),
        (x, shape): (&[f32], [usize; 4]),
        (residual, activation): (Option<&[f32]>, Activation),
        out: &mut [f32],
    ) {
        let (maps, activation) = (FeatureMaps::new(x, shape), activation.of_kernels());
        match packed {
            Packed::Winograd(conv) => conv.apply(kernels.pool(), maps, Finish { residual, activation }, out),
            Packed::Windows(weight, bias) => {
                let conv = speech::Conv2d {
                    weight,
                    bias: Some(bias),
                    channels: self.channels,
                    window: self.window(),
                    activation,
                };
                let residual = residual.map_or(Residual::None, |rows| Residual::Rows(Rows::new(rows, self.outputs)));
                conv.apply(kernels.pool(), Precision::F32, maps, residual, out);
            }
        }
    }

    /// Taps that are d positions apart: d sequences beside each other, each with its taps side by side.
    fn apart(&self, packed: &Packed, kernels: &Kernels, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        let [distance, taps, padding] = [self.moves.dilation[1], self.taps[1], self.moves.padding[1]];
        let Some(total) = (width + 2 * padding)
            .checked_sub(distance * (taps - 1))
            .filter(|_| height == 1)
        else {
            candle_core::bail!("taps that are apart do not fit {:?}", x.dims());
        };
        let steps = width.div_ceil(distance);
        let beside = x
            .squeeze(1)?
            .pad_with_zeros(1, 0, steps * distance - width)?
            .reshape((batch, steps, distance, channels))?;
        let upright = Self {
            taps: [taps, 1],
            moves: Conv2dMoves {
                padding: [padding / distance, 0],
                ..Conv2dMoves::default()
            },
            ..self.clone()
        };
        let y = upright.by_kernel(packed, kernels, &beside, (None, activation))?;
        let (_, steps, _, outputs) = y.dims4()?;
        y.reshape((batch, 1, steps * distance, outputs))?
            .narrow(2, 0, total)?
            .contiguous()
    }

    /// The tensor library knows one padding and one stride for both axes.
    fn by_tensors(&self, planes: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let Conv2dMoves {
            stride,
            padding,
            dilation,
        } = self.moves;
        let padded = planes
            .pad_with_zeros(2, padding[0], padding[0])?
            .pad_with_zeros(3, padding[1], padding[1])?;
        // An axis of a single tap has no distance between taps.
        let dilation = if kernel.dim(2)? == 1 { dilation[1] } else { dilation[0] };
        if stride[0] == stride[1] {
            return padded.conv2d(kernel, 0, stride[0], dilation, 1);
        }
        let all = padded.conv2d(kernel, 0, 1, dilation, 1)?;
        every(&every(&all, 2, stride[0])?, 3, stride[1])
    }
}

impl Packed {
    /// The form that is fastest for a `weight` `[n, c, h, w]`.
    fn new(kernels: &Kernels, weight: &Tensor, bias: Vec<f32>, moves: Conv2dMoves) -> Result<Self> {
        let (outputs, channels, height, width) = weight.dims4()?;
        let window = Window {
            taps: [height, width],
            stride: moves.stride,
            padding: moves.padding,
        };
        let (pool, isa) = (kernels.pool(), kernels.isa());
        if WinogradConv2d::fits(&window, channels, outputs) {
            let values = weight.flatten_all()?.to_vec1::<f32>()?;
            let packed = WinogradConv2d::pack(pool, isa, channels, &values, &bias);
            return packed.map(Self::Winograd).map_err(candle_core::Error::wrap);
        }
        let values = weight
            .permute((0, 2, 3, 1))?
            .contiguous()?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let packed = PackedWeight::pack(pool, isa, Format::F32, [outputs, height * width * channels], &bytes);
        Ok(Self::Windows(packed.map_err(candle_core::Error::wrap)?, bias))
    }
}

/// Every `stride`-th index of a dimension.
fn every(x: &Tensor, dimension: usize, stride: usize) -> Result<Tensor> {
    if stride == 1 {
        return Ok(x.clone());
    }
    let count = u32::try_from(x.dim(dimension)?).map_err(candle_core::Error::wrap)?;
    let kept: Vec<u32> = (0..count).step_by(stride).collect();
    x.index_select(&Tensor::new(kept, x.device())?, dimension)
}

#[cfg(test)]
mod tests;
