//! A linear layer, whatever its weights are stored as and wherever they are.

use std::sync::Arc;

use candle_core::Module;
use candle_core::Result;
use candle_core::Tensor;
use candle_core::quantized::QMatMul;
use candle_core::quantized::QTensor;

use super::weight::Weight;

/// `y = x · Wᵀ + b` with `W` of shape `[out, in]`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Product,
    bias: Option<Tensor>,
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
        let weight = match weight {
            Weight::Plain(rows) => Product::Plain(rows.t()?),
            Weight::Blocks(blocks) => Product::Blocks(blocks.clone()),
        };
        Ok(Self { weight, bias })
    }

    /// `[t, in]` to `[t, out]`, in the type of `x`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = match &self.weight {
            Product::Plain(columns) => x.matmul(columns)?,
            Product::Blocks(blocks) => QMatMul::QTensor(blocks.clone()).forward(x)?,
        };
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
