//! Depthwise convolution along sequences, with the normalisation that follows folded into it.

use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::speech;

use super::activation::Activation;
use super::kernels::Kernels;
use super::kernels::with_rows;
use super::sequences::Sequences;
use super::spare;

/// A convolution over time in which each channel sees only itself, as many frames out as in.
#[derive(Debug, Clone)]
pub(crate) struct DepthwiseConv {
    /// `[taps, c]`
    weight: Tensor,
    /// `[c]`
    bias: Tensor,
    activation: Activation,
    floats: Option<Floats>,
}

#[derive(Debug, Clone)]
struct Floats {
    weight: Vec<f32>,
    bias: Vec<f32>,
    kernels: Kernels,
}

/// Statistics and affine numbers of a batch normalisation, `[c]` each.
#[derive(Debug, Clone)]
pub(crate) struct FoldedNorm {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) mean: Tensor,
    pub(crate) variance: Tensor,
    pub(crate) epsilon: f64,
}

impl DepthwiseConv {
    /// A convolution with an odd number of taps.
    ///
    /// * `weight`: `[c, taps]`; `bias`: `[c]`
    /// * `norm`: folded into both, where given: `(y - mean) / sqrt(variance + epsilon) · weight + bias`
    pub(crate) fn new(
        weight: &Tensor,
        bias: Option<&Tensor>,
        norm: Option<&FoldedNorm>,
        activation: Activation,
        kernels: Option<&Kernels>,
    ) -> Result<Self> {
        let (channels, taps) = weight.dims2()?;
        if taps % 2 == 0 {
            candle_core::bail!("a convolution of {taps} taps has no middle");
        }
        let bias = match bias {
            Some(bias) => bias.clone(),
            None => Tensor::zeros(channels, weight.dtype(), weight.device())?,
        };
        let (weight, bias) = match norm {
            Some(norm) => {
                let scale = (&norm.weight / (&norm.variance + norm.epsilon)?.sqrt()?)?;
                let bias = (((bias - &norm.mean)? * &scale)? + &norm.bias)?;
                (weight.broadcast_mul(&scale.unsqueeze(1)?)?, bias)
            }
            None => (weight.clone(), bias),
        };
        let weight = weight.t()?.contiguous()?;
        let floats = match kernels {
            Some(kernels) => Some(Floats {
                weight: weight.flatten_all()?.to_vec1()?,
                bias: bias.to_vec1()?,
                kernels: kernels.clone(),
            }),
            None => None,
        };
        Ok(Self {
            weight,
            bias,
            activation,
            floats,
        })
    }

    /// Convolves each sequence of `[t, c]`, with zeros before and after it.
    pub(crate) fn forward(&self, x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
        if sequences.rows() != x.dim(0)? {
            candle_core::bail!("{} frames of {:?}", sequences.rows(), x.dims());
        }
        if let Some(floats) = &self.floats {
            return floats.forward(x, sequences, self.activation);
        }
        let parts = sequences
            .ranges()
            .filter(|rows| !rows.is_empty())
            .map(|rows| self.shifted(&x.narrow(0, rows.start, rows.len())?))
            .collect::<Result<Vec<_>>>()?;
        if parts.is_empty() {
            return Ok(x.clone());
        }
        Tensor::cat(&parts, 0)
    }

    /// One sequence, as a sum of shifted copies.
    fn shifted(&self, x: &Tensor) -> Result<Tensor> {
        let (frames, _) = x.dims2()?;
        let taps = self.weight.dim(0)?;
        let padded = x.pad_with_zeros(0, taps / 2, taps / 2)?;
        let mut sum = self.bias.unsqueeze(0)?.broadcast_as(x.shape())?.contiguous()?;
        for tap in 0..taps {
            let shifted = padded.narrow(0, tap, frames)?;
            sum = (sum + shifted.broadcast_mul(&self.weight.narrow(0, tap, 1)?)?)?;
        }
        self.activation.apply(&sum)
    }
}

impl Floats {
    fn forward(&self, x: &Tensor, sequences: &Sequences, activation: Activation) -> Result<Tensor> {
        let channels = self.bias.len();
        let conv = speech::DepthwiseConv1d {
            weight: &self.weight,
            bias: &self.bias,
            padding: self.weight.len() / channels / 2,
            activation: activation.of_kernels(),
        };
        with_rows(x, |rows| {
            let values = rows.values();
            let mut out = spare::floats(rows.rows() * channels);
            for range in sequences.ranges() {
                let place = range.start * channels..range.end * channels;
                if let (Some(x), Some(out)) = (values.get(place.clone()), out.get_mut(place)) {
                    conv.apply(self.kernels.pool(), self.kernels.isa(), x, out);
                }
            }
            Tensor::from_vec(out, (rows.rows(), channels), &Device::Cpu)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    fn tensor(shape: (usize, usize), seed: u32) -> Tensor {
        let numbers =
            (0..u32::try_from(shape.0 * shape.1).unwrap()).map(|i| f64::from((i * 37 + seed) % 101) / 50.0 - 1.0);
        Tensor::from_iter(numbers, &Device::Cpu)
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap()
            .reshape(shape)
            .unwrap()
    }

    fn row(length: usize, seed: u32) -> Tensor {
        tensor((1, length), seed).flatten_all().unwrap()
    }

    fn conv(kernels: Option<&Kernels>) -> DepthwiseConv {
        let norm = FoldedNorm {
            weight: row(5, 3),
            bias: row(5, 4),
            mean: row(5, 5),
            variance: row(5, 6).sqr().unwrap(),
            epsilon: 1e-5,
        };
        DepthwiseConv::new(
            &tensor((5, 3), 1),
            Some(&row(5, 2)),
            Some(&norm),
            Activation::Silu,
            kernels,
        )
        .unwrap()
    }

    #[test]
    fn one_channel_by_hand() {
        let weight = Tensor::new(&[[1_f32, 10.0, 100.0]], &Device::Cpu).unwrap();
        let x = Tensor::new(&[[1_f32], [2.0], [3.0]], &Device::Cpu).unwrap();
        for kernels in [None, Some(Kernels::open().unwrap())] {
            let conv = DepthwiseConv::new(&weight, None, None, Activation::Identity, kernels.as_ref()).unwrap();
            let y = conv.forward(&x, &Sequences::new(vec![3])).unwrap();
            assert_eq!(y.to_vec2::<f32>().unwrap().concat(), [210.0, 321.0, 32.0]);
            let y = conv.forward(&x, &Sequences::new(vec![1, 2])).unwrap();
            assert_eq!(
                y.to_vec2::<f32>().unwrap().concat(),
                [10.0, 320.0, 32.0],
                "sequences do not mix"
            );
        }
    }

    #[test]
    fn kernels_and_tensors_agree_with_a_norm_folded_in() {
        let (x, sequences) = (tensor((9, 5), 7), Sequences::new(vec![4, 0, 5]));
        let kernels = Kernels::open().unwrap();
        let found = conv(Some(&kernels)).forward(&x, &sequences).unwrap();
        let expected = conv(None).forward(&x, &sequences).unwrap();
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
    }

    #[test]
    fn an_even_number_of_taps_is_refused() {
        assert!(DepthwiseConv::new(&tensor((5, 2), 1), None, None, Activation::Silu, None).is_err());
    }
}
