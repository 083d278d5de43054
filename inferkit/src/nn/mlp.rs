//! The gated feed-forward block of Llama and Qwen.

use candle_core::Result;
use candle_core::Tensor;

use crate::nn::Linear;
use crate::nn::RmsNorm;

/// `down(silu(gate(x)) · up(x))`. Source: arXiv 2002.05202, `SwiGLU`.
#[derive(Debug, Clone)]
pub(crate) struct Mlp {
    /// `[d, width]`, through silu.
    pub(crate) gate: Linear,
    /// `[d, width]`, times the gate.
    pub(crate) up: Linear,
    /// `[width, d]`.
    pub(crate) down: Linear,
}

impl Mlp {
    /// `[t, d]` to `[t, d]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&Linear::gated(&self.gate, &self.up, x)?)
    }

    /// The sum of `stream`, `[t, d]`, and what [`forward`](Self::forward) gives for what `norm` makes of it.
    pub(crate) fn forward_onto(&self, norm: &RmsNorm, stream: &Tensor) -> Result<Tensor> {
        let inner = Linear::gated_normalised(&self.gate, &self.up, norm, stream)?;
        self.down.forward_onto(&inner, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::weight::Weight;
    use candle_core::Device;

    #[test]
    fn the_gate_goes_through_silu_and_multiplies() {
        let linear =
            |value: f32| Linear::new(&Weight::Plain(Tensor::new(&[[value]], &Device::Cpu).unwrap()), None).unwrap();
        let mlp = Mlp {
            gate: linear(1.0),
            up: linear(3.0),
            down: linear(2.0),
        };
        let y = mlp
            .forward(&Tensor::new(&[[1_f32]], &Device::Cpu).unwrap())
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        // silu(1) = 0.731059
        assert!((y[0][0] - 6.0 * 0.731_059).abs() < 1e-5, "{y:?}");
    }
}
