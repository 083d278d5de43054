//! A linear layer, whatever its weights are stored as and wherever they are.

use std::sync::Arc;

use candle_core::Module;
use candle_core::Result;
use candle_core::Tensor;
use candle_core::quantized::QMatMul;
use candle_core::quantized::QTensor;
use inferkit_kernels::PackedWeight;

use super::activation::Activation;
use super::kernels::Kernels;
use super::norm::RmsNorm;
use super::packed::PackedLinear;
use super::packed::PackedShape;
use super::weight::Weight;

/// `y = x · Wᵀ + b` with `W` of shape `[out, in]`.
#[derive(Debug, Clone)]
pub(crate) struct Linear(Form);

#[derive(Debug, Clone)]
enum Form {
    /// By the processor's kernels.
    Packed(PackedLinear),
    /// By the tensor library.
    Tensors(Product, Option<Tensor>),
}

#[derive(Debug, Clone)]
enum Product {
    /// Already transposed to `[in, out]`, a view of the stored rows.
    Plain(Tensor),
    Blocks(Arc<QTensor>),
}

impl Linear {
    /// A layer of these weights; `bias` is `[out]`.
    pub(crate) fn new(weight: &Weight, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self(match weight {
            Weight::Packed(matrix) => Form::Packed(PackedLinear::new(matrix.clone(), bias.as_ref())?),
            Weight::Plain(rows) => Form::Tensors(Product::Plain(rows.t()?), bias),
            Weight::Blocks(blocks) => Form::Tensors(Product::Blocks(blocks.clone()), bias),
        }))
    }

    /// `[t, in]` to `[t, out]`, in the type of `x`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (product, bias) = match &self.0 {
            Form::Packed(layer) => return layer.forward(x, None),
            Form::Tensors(Product::Plain(columns), bias) => (x.matmul(columns)?, bias),
            Form::Tensors(Product::Blocks(blocks), bias) => (QMatMul::QTensor(blocks.clone()).forward(x)?, bias),
        };
        match bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }

    /// What [`forward`](Self::forward) gives, with `activation` applied.
    pub(crate) fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(layer) => layer.forward_activated(x, activation),
            Form::Tensors(..) => activation.apply(&self.forward(x)?),
        }
    }

    /// The sum of `stream`, `[t, out]`, and what [`forward`](Self::forward) gives.
    pub(crate) fn forward_onto(&self, x: &Tensor, stream: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(layer) => layer.forward(x, Some(stream)),
            Form::Tensors(..) => stream + self.forward(x)?,
        }
    }

    /// The sum of `stream`, `[t, out]`, and `scale` times what [`forward`](Self::forward) gives.
    pub(crate) fn forward_onto_scaled(&self, x: &Tensor, stream: &Tensor, scale: f32) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(layer) => layer.forward_scaled(x, stream, scale),
            Form::Tensors(..) => stream + (self.forward(x)? * f64::from(scale))?,
        }
    }

    /// What each of `layers` gives for the same `x`.
    pub(crate) fn forward_all<const N: usize>(layers: [&Self; N], x: &Tensor) -> Result<[Tensor; N]> {
        let answers = match Self::all_packed(layers) {
            Some(packed) => PackedLinear::forward_all(&packed, x, None)?,
            None => layers.iter().map(|layer| layer.forward(x)).collect::<Result<_>>()?,
        };
        as_many(answers)
    }

    /// What each of `layers` gives for what `norm` makes of `x`.
    pub(crate) fn forward_all_normalised<const N: usize>(
        layers: [&Self; N],
        norm: &RmsNorm,
        x: &Tensor,
    ) -> Result<[Tensor; N]> {
        match Self::all_packed(layers).zip(norm.of_kernels()) {
            Some((packed, norm)) => as_many(PackedLinear::forward_all(&packed, x, Some(norm))?),
            None => Self::forward_all(layers, &norm.forward(x)?),
        }
    }

    fn all_packed<const N: usize>(layers: [&Self; N]) -> Option<Vec<&PackedLinear>> {
        layers.into_iter().map(Self::packed).collect()
    }

    /// `silu(gate(x)) · up(x)`.
    pub(crate) fn gated(gate: &Self, up: &Self, x: &Tensor) -> Result<Tensor> {
        let pair = gate.packed().zip(up.packed());
        match pair.and_then(|(gate, up)| PackedLinear::gated(gate, up, x, None)) {
            Some(gated) => gated,
            None => gate.forward(x)?.silu()? * up.forward(x)?,
        }
    }

    /// `silu(gate(y)) · up(y)` of what `norm` makes of `x`.
    pub(crate) fn gated_normalised(gate: &Self, up: &Self, norm: &RmsNorm, x: &Tensor) -> Result<Tensor> {
        let pair = gate.packed().zip(up.packed()).zip(norm.of_kernels());
        match pair.and_then(|((gate, up), norm)| PackedLinear::gated(gate, up, x, Some(norm))) {
            Some(gated) => gated,
            None => Self::gated(gate, up, &norm.forward(x)?),
        }
    }

    /// The kernels that multiply it, if any do.
    pub(super) fn packed_kernels(&self) -> Option<&Kernels> {
        self.packed().map(PackedLinear::kernels)
    }

    /// What its matrix looks like, if it is packed, shared with nobody, and all there is to the layer.
    pub(super) fn sole_shape(&self) -> Option<PackedShape> {
        self.packed().and_then(PackedLinear::sole_shape)
    }

    /// The matrix of a layer that has a [`sole_shape`](Self::sole_shape).
    pub(super) fn into_sole_weight(self) -> Option<PackedWeight> {
        match self.0 {
            Form::Packed(layer) => layer.into_sole_weight(),
            Form::Tensors(..) => None,
        }
    }

    const fn packed(&self) -> Option<&PackedLinear> {
        match &self.0 {
            Form::Packed(layer) => Some(layer),
            Form::Tensors(..) => None,
        }
    }
}

fn as_many<const N: usize>(answers: Vec<Tensor>) -> Result<[Tensor; N]> {
    answers
        .try_into()
        .map_err(|_| candle_core::Error::Msg("each layer gives one answer".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Placement;
    use candle_core::Device;
    use candle_core::quantized::GgmlDType;

    #[test]
    fn plain_weights_multiply_rows_and_add_the_bias() {
        let rows = Tensor::new(&[[1_f32, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0.5_f32, 0.0, -1.0], &Device::Cpu).unwrap();
        let linear = Linear::new(&Weight::Plain(rows), Some(bias)).unwrap();
        let x = Tensor::new(&[[1_f32, 1.0], [0.0, 2.0]], &Device::Cpu).unwrap();
        let y = linear.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[3.5, 7.0, 10.0], [4.5, 8.0, 11.0]]);
    }

    #[test]
    fn an_activation_is_applied_after_the_bias_by_kernels_and_by_tensors() {
        let rows = Tensor::new(&[[1_f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0.5_f32, -3.0], &Device::Cpu).unwrap();
        let x = Tensor::new(&[[0.5_f32, 2.0]], &Device::Cpu).unwrap();
        let placement = Placement {
            device: Device::Cpu,
            dtype: candle_core::DType::F32,
            widen_blocks: false,
            kernels: Some(Kernels::open().unwrap()),
        };
        for weight in [
            Weight::Plain(rows.clone()),
            Weight::of_tensor("w", &rows, &placement).unwrap(),
        ] {
            let linear = Linear::new(&weight, Some(bias.clone())).unwrap();
            let y = linear.forward_activated(&x, Activation::Gelu).unwrap();
            let y = y.to_vec2::<f32>().unwrap();
            // By the error function GELU(1) = 0.841345 and GELU(−1) = −0.158655; by tanh 0.841192.
            assert!(
                (y[0][0] - 0.841_345).abs() < 1e-5 && (y[0][1] + 0.158_655).abs() < 1e-5,
                "{y:?}"
            );
        }
    }

    #[test]
    fn rounding_to_bf16_costs_the_ninth_bit_and_half_of_the_memory_stays() {
        let numbers: Vec<f32> = (0..64 * 48_u32).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let rows = Tensor::from_vec(numbers.clone(), (64, 48), &Device::Cpu).unwrap();
        let x = Tensor::from_vec(numbers[..5 * 48].to_vec(), (5, 48), &Device::Cpu).unwrap();
        let expected = x.matmul(&rows.t().unwrap()).unwrap();
        let exact = Placement {
            device: Device::Cpu,
            dtype: candle_core::DType::F32,
            widen_blocks: true,
            kernels: Some(Kernels::open().unwrap()),
        };
        let rounding = Placement {
            kernels: exact.kernels.clone().map(Kernels::rounding),
            ..exact.clone()
        };
        let linear = Linear::new(&Weight::of_tensor("w", &rows, &rounding).unwrap(), None).unwrap();
        let found = linear.forward(&x).unwrap();
        let difference = (&found - &expected).unwrap().abs().unwrap().max_all().unwrap();
        let difference = difference.to_scalar::<f32>().unwrap();
        // 48 products of numbers up to 1, each rounded twice by at most 1/512 of itself.
        assert!((1e-5..48.0 / 256.0).contains(&difference), "{difference}");
        let stored = crate::nn::StoredTensor {
            name: std::borrow::Cow::Borrowed("w"),
            encoding: crate::nn::Encoding::Plain(candle_core::DType::F32),
            shape: vec![64, 48],
            bytes: std::borrow::Cow::Owned(vec![0; 4 * 64 * 48]),
        };
        assert_eq!(2 * rounding.resident_bytes(&stored), exact.resident_bytes(&stored));
    }

    #[test]
    fn blocks_give_what_their_widened_rows_give() {
        let numbers: Vec<f32> = (0..96_u8).map(|i| f32::from(i % 7) - 3.0).collect();
        let rows = Tensor::from_vec(numbers, (3, 32), &Device::Cpu).unwrap();
        let blocks = Arc::new(QTensor::quantize(&rows, GgmlDType::Q8_0).unwrap());
        let widened = Weight::Plain(blocks.dequantize(&Device::Cpu).unwrap());
        let x = Tensor::ones((2, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
        let plain = Linear::new(&widened, None).unwrap().forward(&x).unwrap();
        let quantized = Linear::new(&Weight::Blocks(blocks), None).unwrap().forward(&x).unwrap();
        let difference = (plain - quantized)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        // Activations become 8-bit numbers, whose rounding is at most 1/254 of the largest.
        assert!(difference < 0.1, "{difference}");
    }
}
