//! Convolutions over time and frequency that halve both: three by three, stride two, zeros around.
//!
//! Maps have channels last, `[t, f, c]`: then a pointwise convolution is a [`Linear`](super::Linear) over all places, and the
//! two kinds below run over channels that stand side by side. `n` places become `(n − 1) / 2 + 1`.

use std::sync::Arc;

use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Format;
use inferkit_kernels::PackedWeight;
use inferkit_kernels::Precision;
use inferkit_kernels::Residual;
use inferkit_kernels::speech;
use inferkit_kernels::speech::FeatureMaps;
use inferkit_kernels::speech::Window;

use super::activation::Activation;
use super::kernels::Kernels;
use super::kernels::with_rows;
use super::spare;

/// Taps in each direction.
const TAPS: usize = 3;

/// Places that `places` become.
pub(crate) const fn halved(places: usize) -> usize {
    if places == 0 { 0 } else { (places - 1) / 2 + 1 }
}

/// From one channel to many: `[t, f]` to `[t/2, f/2, c]`.
#[derive(Debug, Clone)]
pub(crate) struct Spread(Taps);

/// Each channel on its own: `[t, f, c]` to `[t/2, f/2, c]`.
#[derive(Debug, Clone)]
pub(crate) struct DepthwiseReduction(Taps);

/// Nine taps a channel.
#[derive(Debug, Clone)]
struct Taps {
    /// `[9, c]`, row by row
    weight: Tensor,
    /// `[c]`
    bias: Tensor,
    activation: Activation,
    floats: Option<Floats>,
}

#[derive(Debug, Clone)]
struct Floats {
    /// `[9, c]`
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// `[c, 9]`, where all channels see the same one.
    spread: Option<Arc<PackedWeight>>,
    kernels: Kernels,
}

impl Spread {
    /// A convolution of `weight`, `[c, 1, 3, 3]`, and `bias`, `[c]`.
    pub(crate) fn new(
        weight: &Tensor,
        bias: &Tensor,
        activation: Activation,
        kernels: Option<&Kernels>,
    ) -> Result<Self> {
        Taps::new(weight, bias, activation, (true, kernels)).map(Self)
    }

    /// `[t, f]` to `[t/2, f/2, c]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(&x.unsqueeze(2)?)
    }
}

impl DepthwiseReduction {
    /// A convolution of `weight`, `[c, 1, 3, 3]`, and `bias`, `[c]`.
    pub(crate) fn new(
        weight: &Tensor,
        bias: &Tensor,
        activation: Activation,
        kernels: Option<&Kernels>,
    ) -> Result<Self> {
        Taps::new(weight, bias, activation, (false, kernels)).map(Self)
    }

    /// `[t, f, c]` to `[t/2, f/2, c]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}

impl Taps {
    fn new(
        weight: &Tensor,
        bias: &Tensor,
        activation: Activation,
        (spreads, kernels): (bool, Option<&Kernels>),
    ) -> Result<Self> {
        let channels = bias.dim(0)?;
        let weight = weight.reshape((channels, TAPS * TAPS))?.t()?.contiguous()?;
        let floats = kernels
            .map(|kernels| Floats::new(&weight, bias, spreads, kernels))
            .transpose()?;
        Ok(Self {
            weight,
            bias: bias.clone(),
            activation,
            floats,
        })
    }

    /// `x` has as many channels as there are taps for, or one that all share.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (frames, lines, channels) = x.dims3()?;
        let outputs = self.bias.dim(0)?;
        if channels != outputs && channels != 1 {
            candle_core::bail!("{channels} channels and taps for {outputs}");
        }
        if frames == 0 || lines == 0 {
            return Tensor::zeros((halved(frames), halved(lines), outputs), x.dtype(), x.device());
        }
        match &self.floats {
            Some(floats) => floats.forward(x, self.activation),
            None => self.activation.apply(&self.shifted(x)?),
        }
    }

    /// As a sum of nine shifted copies of which every second place is taken.
    fn shifted(&self, x: &Tensor) -> Result<Tensor> {
        let (frames, lines, channels) = x.dims3()?;
        let (down, right) = (halved(frames), halved(lines));
        let padded = x
            .pad_with_zeros(0, 1, 2 * down + 1 - frames)?
            .pad_with_zeros(1, 1, 2 * right + 1 - lines)?
            .reshape((down + 1, 2, right + 1, 2 * channels))?;
        let mut sum = self.bias.broadcast_as((down, right, self.bias.dim(0)?))?.contiguous()?;
        for tap in 0..TAPS * TAPS {
            let (row, column) = (tap / TAPS, tap % TAPS);
            let taken = padded
                .narrow(0, row / 2, down)?
                .narrow(1, row % 2, 1)?
                .narrow(2, column / 2, right)?
                .narrow(3, column % 2 * channels, channels)?
                .reshape((down, right, channels))?;
            sum = (sum + taken.broadcast_mul(&self.weight.get(tap)?)?)?;
        }
        Ok(sum)
    }
}

impl Floats {
    /// * `weight`: `[9, c]`
    /// * `spreads`: whether all channels see the same one
    fn new(weight: &Tensor, bias: &Tensor, spreads: bool, kernels: &Kernels) -> Result<Self> {
        let spread = || {
            let rows = weight.t()?.flatten_all()?.to_vec1::<f32>()?;
            let bytes: Vec<u8> = rows.iter().flat_map(|number| number.to_le_bytes()).collect();
            let shape = [bias.dim(0)?, TAPS * TAPS];
            PackedWeight::pack(kernels.pool(), kernels.isa(), Format::F32, shape, &bytes)
                .map(Arc::new)
                .map_err(candle_core::Error::wrap)
        };
        Ok(Self {
            weight: weight.flatten_all()?.to_vec1()?,
            bias: bias.to_vec1()?,
            spread: spreads.then(spread).transpose()?,
            kernels: kernels.clone(),
        })
    }

    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (frames, lines, channels) = x.dims3()?;
        let outputs = self.bias.len();
        let (shape, shape_out) = ([1, frames, lines, channels], (halved(frames), halved(lines), outputs));
        let mut out = spare::floats(shape_out.0 * shape_out.1 * outputs);
        let (pool, isa) = (self.kernels.pool(), self.kernels.isa());
        let window = Window::three([2, 2]);
        let activation = activation.of_kernels();
        with_rows(x, |rows| {
            let maps = FeatureMaps::new(rows.values(), shape);
            if let Some(weight) = &self.spread {
                let conv = speech::Conv2d {
                    weight,
                    bias: Some(&self.bias),
                    channels,
                    window,
                    activation,
                };
                conv.apply(pool, Precision::F32, maps, Residual::None, &mut out);
            } else {
                let conv = speech::DepthwiseConv2d {
                    weight: &self.weight,
                    bias: &self.bias,
                    window,
                    activation,
                };
                conv.apply(pool, isa, maps, &mut out);
            }
            Ok(())
        })?;
        Tensor::from_vec(out, shape_out, &Device::Cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    fn tensor(shape: &[usize], seed: u32) -> Tensor {
        let count = u32::try_from(shape.iter().product::<usize>()).unwrap();
        let numbers = (0..count).map(|i| f64::from((i * 37 + seed) % 101) / 50.0 - 1.0);
        let flat = Tensor::from_iter(numbers, &Device::Cpu).unwrap();
        flat.to_dtype(DType::F32).unwrap().reshape(shape).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let most = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        most.to_scalar().unwrap()
    }

    /// The tensor library's own convolution, `[t, f, c]` to `[t/2, f/2, c]`.
    fn by_library(x: &Tensor, weight: &Tensor, bias: &Tensor, groups: usize) -> Tensor {
        let turned = x
            .permute((2, 0, 1))
            .unwrap()
            .unsqueeze(0)
            .unwrap()
            .contiguous()
            .unwrap();
        let y = turned.conv2d(weight, 1, 2, 1, groups).unwrap().squeeze(0).unwrap();
        y.permute((1, 2, 0))
            .unwrap()
            .broadcast_add(bias)
            .unwrap()
            .relu()
            .unwrap()
    }

    #[test]
    fn both_kinds_are_convolutions_on_either_path_whatever_the_size() {
        let (weight, bias) = (tensor(&[4, 1, 3, 3], 1), tensor(&[4], 2));
        for kernels in [None, Some(Kernels::open().unwrap())] {
            let kernels = kernels.as_ref();
            let spread = Spread::new(&weight, &bias, Activation::Relu, kernels).unwrap();
            let depthwise = DepthwiseReduction::new(&weight, &bias, Activation::Relu, kernels).unwrap();
            for (frames, lines) in [(1, 1), (2, 3), (5, 4), (8, 8)] {
                let x = tensor(&[frames, lines, 4], 3);
                let expected = by_library(&x, &weight, &bias, 4);
                assert!(difference(&depthwise.forward(&x).unwrap(), &expected) < 1e-5);
                let x = x.narrow(2, 0, 1).unwrap().contiguous().unwrap();
                let expected = by_library(&x, &weight, &bias, 1);
                assert!(difference(&spread.forward(&x.squeeze(2).unwrap()).unwrap(), &expected) < 1e-5);
            }
        }
    }

    #[test]
    fn nothing_stays_nothing_and_places_are_halved_upwards() {
        assert_eq!([0, 1, 2, 3, 128].map(halved), [0, 1, 1, 2, 64]);
        let spread = Spread::new(&tensor(&[4, 1, 3, 3], 1), &tensor(&[4], 2), Activation::Relu, None).unwrap();
        let none = Tensor::zeros((0, 8), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(spread.forward(&none).unwrap().dims(), [0, 4, 4]);
    }
}
