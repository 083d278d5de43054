//! Layers of long short-term memory in one or both directions, over batches of sequences of one length.
//!
//! On the processor a unit of work is one direction of a layer for a dozen sequences: the recurrent weights are then read
//! once a step for all of them. Elsewhere each step is a few tensor operations.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use candle_core::DType;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Epilogue;
use inferkit_kernels::Format;
use inferkit_kernels::PackedWeight;
use inferkit_kernels::Precision;
use inferkit_kernels::Product;
use inferkit_kernels::Rows;
use inferkit_kernels::RowsMut;
use inferkit_kernels::gemm;
use inferkit_kernels::speech::Direction;
use inferkit_kernels::speech::Lstm;
use inferkit_kernels::speech::LstmState;

use super::Device;
use super::kernels::Kernels;
use super::kernels::with_rows;
use super::spare;

/// The weights of one direction of a layer; rows by gate: input, forget, cell, output.
#[derive(Debug, Clone)]
pub(crate) struct LstmWeights {
    /// `[4 h, in]`
    pub(crate) input: Tensor,
    /// `[4 h, h]`
    pub(crate) recurrent: Tensor,
    /// `[4 h]`, both biases added.
    pub(crate) bias: Vec<f32>,
}

/// Layers that read each other's output: forward, and where there are two directions backward, side by side.
#[derive(Debug, Clone)]
pub(crate) struct Bilstm {
    hidden: usize,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Packed(Arc<Vec<Vec<PackedDirection>>>, Kernels),
    /// Weights transposed, `[in, 4 h]` and `[h, 4 h]`, and the bias.
    Tensors(Vec<Vec<[Tensor; 3]>>),
}

#[derive(Debug)]
struct PackedDirection {
    input: PackedWeight,
    recurrent: Lstm,
    bias: Vec<f32>,
}

/// Sequences of a unit of work.
const SEQUENCES: usize = 12;

impl Bilstm {
    /// Layers in order, each with one or two directions.
    ///
    /// # Errors
    /// When there are none, or their shapes do not follow one another.
    pub(crate) fn new(device: &Device, layers: &[Vec<LstmWeights>]) -> Result<Self> {
        let hidden = check(layers)?;
        let form = if let Some(kernels) = device.kernels() {
            let pack = |direction: &LstmWeights| PackedDirection::new(kernels, direction, hidden);
            let layers = layers.iter().map(|layer| layer.iter().map(pack).collect());
            Form::Packed(Arc::new(layers.collect::<Result<_>>()?), kernels.clone())
        } else {
            let place = |direction: &LstmWeights| -> Result<[Tensor; 3]> {
                let turned = |weight: &Tensor| {
                    weight
                        .to_dtype(DType::F32)?
                        .t()?
                        .contiguous()?
                        .to_device(device.candle())
                };
                let bias = Tensor::from_slice(&direction.bias, direction.bias.len(), device.candle())?;
                Ok([turned(&direction.input)?, turned(&direction.recurrent)?, bias])
            };
            let layers = layers.iter().map(|layer| layer.iter().map(place).collect());
            Form::Tensors(layers.collect::<Result<_>>()?)
        };
        Ok(Self { hidden, form })
    }

    /// Memory of its weights, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.form {
            Form::Packed(layers, _) => {
                let bytes = |direction: &PackedDirection| {
                    direction.input.bytes() + direction.recurrent.bytes() + 4 * direction.bias.len()
                };
                layers.iter().flatten().map(bytes).sum()
            }
            Form::Tensors(layers) => layers
                .iter()
                .flatten()
                .flatten()
                .map(|tensor| 4 * tensor.elem_count())
                .sum(),
        }
    }

    /// `[b, t, in]` to `[b, t, directions * h]`; every sequence begins with a state of zeros.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Packed(layers, kernels) => {
                let answer = |layer: &Vec<PackedDirection>, x: &Tensor| packed_layer(layer, kernels, x, self.hidden);
                let mut layers = layers.iter();
                let Some(first) = layers.next() else {
                    return Ok(x.clone());
                };
                layers.try_fold(answer(first, x)?, |x, layer| spare::consume(x, |x| answer(layer, x)))
            }
            Form::Tensors(layers) => {
                let mut x = x.clone();
                for layer in layers {
                    let sides = layer.iter().zip([Direction::Forward, Direction::Backward]);
                    let sides = sides.map(|(weights, direction)| tensor_direction(weights, &x, direction, self.hidden));
                    x = Tensor::cat(&sides.collect::<Result<Vec<_>>>()?, 2)?;
                }
                Ok(x)
            }
        }
    }
}

/// The width of the hidden state.
fn check(layers: &[Vec<LstmWeights>]) -> Result<usize> {
    let first = layers.first().and_then(|layer| layer.first());
    let Some(hidden) = first
        .map(|direction| direction.bias.len() / 4)
        .filter(|hidden| *hidden > 0)
    else {
        candle_core::bail!("an LSTM without layers or width");
    };
    let mut width = None;
    for (number, layer) in layers.iter().enumerate() {
        for direction in layer {
            let input = direction.input.dim(1)?;
            let expected = [4 * hidden, width.unwrap_or(input)];
            let fits = direction.input.dims() == expected
                && direction.recurrent.dims() == [4 * hidden, hidden]
                && direction.bias.len() == 4 * hidden;
            if !fits || input == 0 {
                candle_core::bail!("the weights of LSTM layer {number} do not have the shape {expected:?}");
            }
        }
        if !(1..=2).contains(&layer.len()) {
            candle_core::bail!("LSTM layer {number} has {} directions", layer.len());
        }
        width = Some(layer.len() * hidden);
    }
    Ok(hidden)
}

impl PackedDirection {
    fn new(kernels: &Kernels, weights: &LstmWeights, hidden: usize) -> Result<Self> {
        let bytes = |tensor: &Tensor| -> Result<Vec<u8>> {
            let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        let (pool, isa) = (kernels.pool(), kernels.isa());
        let shape = [4 * hidden, weights.input.dim(1)?];
        let input = PackedWeight::pack(pool, isa, Format::F32, shape, &bytes(&weights.input)?);
        let recurrent = Lstm::pack(pool, isa, Format::F32, hidden, &bytes(&weights.recurrent)?);
        Ok(Self {
            input: input.map_err(candle_core::Error::wrap)?,
            recurrent: recurrent.map_err(candle_core::Error::wrap)?,
            bias: weights.bias.clone(),
        })
    }

    /// `x`, `[n, t, in]`, to `[t, n, h]`.
    fn run(&self, kernels: &Kernels, x: &[f32], sequences: usize, direction: Direction) -> Vec<f32> {
        let turned = by_time(x, sequences, self.input.k());
        let (rows, hidden) = (Rows::new(&turned, self.input.k()), self.recurrent.hidden());
        let mut projected = vec![0.0; rows.rows() * 4 * hidden];
        let product = Product::new(&self.input, RowsMut::new(&mut projected, 4 * hidden))
            .with_epilogue(Epilogue::default().with_bias(&self.bias));
        gemm(kernels.pool(), rows, Precision::F32, &mut [product]);
        let mut out = vec![0.0; rows.rows() * hidden];
        let mut state = LstmState::new(sequences, hidden);
        self.recurrent
            .run(&mut projected, &mut state, direction, &mut out, hidden);
        out
    }
}

/// All sequences through one layer, a dozen sequences and a direction at a time.
fn packed_layer(layer: &[PackedDirection], kernels: &Kernels, x: &Tensor, hidden: usize) -> Result<Tensor> {
    let (batch, steps, width) = x.dims3()?;
    let out_width = layer.len() * hidden;
    if batch == 0 || steps == 0 {
        return Tensor::zeros((batch, steps, out_width), DType::F32, x.device());
    }
    if layer.first().is_none_or(|direction| direction.input.k() != width) {
        candle_core::bail!("{:?} does not fit an LSTM", x.dims());
    }
    let mut out = spare::floats(batch * steps * out_width);
    with_rows(x, |rows| {
        let groups: Vec<&[f32]> = rows.values().chunks(SEQUENCES * steps * width).collect();
        let answers: Vec<Mutex<Vec<f32>>> = (0..groups.len() * layer.len()).map(|_| Mutex::default()).collect();
        kernels.pool().run(answers.len(), |unit| {
            let (group, side) = (groups[unit / layer.len()], unit % layer.len());
            let sequences = group.len() / (steps * width);
            let direction = [Direction::Forward, Direction::Backward][side];
            let answer = layer[side].run(kernels, group, sequences, direction);
            *answers[unit].lock().unwrap_or_else(PoisonError::into_inner) = answer;
        });
        for (unit, answer) in answers.into_iter().enumerate() {
            let answer = answer.into_inner().unwrap_or_else(PoisonError::into_inner);
            let (first, side) = (unit / layer.len() * SEQUENCES, unit % layer.len());
            let sequences = answer.len() / (steps * hidden);
            for (number, values) in answer.chunks_exact(hidden).enumerate() {
                let (step, sequence) = (number / sequences, number % sequences);
                let at = ((first + sequence) * steps + step) * out_width + side * hidden;
                out[at..at + hidden].copy_from_slice(values);
            }
        }
        Ok(())
    })?;
    Tensor::from_vec(out, (batch, steps, out_width), x.device())
}

/// `[n, t, c]` to `[t, n, c]`.
fn by_time(x: &[f32], sequences: usize, width: usize) -> Vec<f32> {
    let steps = x.len() / (sequences * width);
    let mut turned = Vec::with_capacity(x.len());
    for step in 0..steps {
        for sequence in 0..sequences {
            turned.extend_from_slice(&x[(sequence * steps + step) * width..][..width]);
        }
    }
    turned
}

/// One direction of a layer by the tensor library.
fn tensor_direction(
    [input, recurrent, bias]: &[Tensor; 3],
    x: &Tensor,
    direction: Direction,
    hidden: usize,
) -> Result<Tensor> {
    let (batch, steps, width) = x.dims3()?;
    let projected = x
        .contiguous()?
        .reshape((batch * steps, width))?
        .matmul(input)?
        .broadcast_add(bias)?;
    let projected = projected.reshape((batch, steps, 4 * hidden))?;
    let mut state = Tensor::zeros((batch, hidden), DType::F32, x.device())?;
    let mut cell = state.clone();
    let mut out = vec![state.clone(); steps];
    for number in 0..steps {
        let step = match direction {
            Direction::Forward => number,
            Direction::Backward => steps - 1 - number,
        };
        let gates = (projected.narrow(1, step, 1)?.squeeze(1)? + state.matmul(recurrent)?)?;
        let gate = |index: usize| gates.narrow(1, index * hidden, hidden);
        let sigmoid = candle_nn::ops::sigmoid;
        cell = ((sigmoid(&gate(1)?)? * &cell)? + (sigmoid(&gate(0)?)? * gate(2)?.tanh()?)?)?;
        state = (sigmoid(&gate(3)?)? * cell.tanh()?)?;
        if let Some(place) = out.get_mut(step) {
            *place = state.clone();
        }
    }
    Tensor::stack(&out, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::DevicePreference;
    use candle_core::Device as Candle;

    fn numbers(shape: (usize, usize), seed: usize) -> Tensor {
        let values: Vec<f32> = (0..shape.0 * shape.1)
            .map(|i| ((i * 37 + seed * 11) % 101) as f32 / 100.0 - 0.5)
            .collect();
        Tensor::from_vec(values, shape, &Candle::Cpu).unwrap()
    }

    fn weights(input: usize, hidden: usize, seed: usize) -> LstmWeights {
        LstmWeights {
            input: numbers((4 * hidden, input), seed),
            recurrent: numbers((4 * hidden, hidden), seed + 1),
            bias: numbers((1, 4 * hidden), seed + 2)
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap(),
        }
    }

    #[test]
    fn kernels_and_tensors_agree_over_layers_directions_and_more_sequences_than_a_unit_takes() {
        let layers = [
            vec![weights(3, 5, 1), weights(3, 5, 4)],
            vec![weights(10, 5, 7), weights(10, 5, 9)],
        ];
        let x = numbers((14 * 6, 3), 3).reshape((14, 6, 3)).unwrap();
        let kernels = Bilstm::new(&Device::open(DevicePreference::Cpu).unwrap(), &layers).unwrap();
        let tensors = Bilstm::new(&Device::without_kernels(), &layers).unwrap();
        let (found, expected) = (kernels.forward(&x).unwrap(), tensors.forward(&x).unwrap());
        assert_eq!(found.dims(), [14, 6, 10]);
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{difference:?}");
    }

    #[test]
    fn numbers_left_over_from_earlier_use_do_not_show() {
        let layers = [
            vec![weights(3, 5, 1), weights(3, 5, 4)],
            vec![weights(10, 5, 7), weights(10, 5, 9)],
        ];
        let x = numbers((14 * 6, 3), 3).reshape((14, 6, 3)).unwrap();
        let lstm = Bilstm::new(&Device::open(DevicePreference::Cpu).unwrap(), &layers).unwrap();
        let answer = |x: &Tensor| lstm.forward(x).unwrap().flatten_all().unwrap().to_vec1::<f32>();
        let expected = answer(&x).unwrap();
        spare::keep(vec![f32::NAN; 14 * 6 * 10]);
        assert_eq!(answer(&x).unwrap(), expected);
        assert_eq!(
            answer(&x).unwrap(),
            expected,
            "once more, with what it gave back itself"
        );
    }

    #[test]
    fn one_step_by_hand() {
        let all = |value: f32, shape: (usize, usize)| Tensor::full(value, shape, &Candle::Cpu).unwrap();
        let direction = LstmWeights {
            input: all(1.0, (4, 1)),
            recurrent: all(9.0, (4, 1)),
            bias: vec![0.0; 4],
        };
        let lstm = Bilstm::new(&Device::open(DevicePreference::Cpu).unwrap(), &[vec![direction]]).unwrap();
        let x = Tensor::new(&[[[0.5_f32]]], &Candle::Cpu).unwrap();
        let found = lstm
            .forward(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        // sigmoid(0.5) = 0.622459, tanh(0.5) = 0.462117, tanh of their product 0.287649 = 0.279969.
        assert!((found[0] - 0.622_459 * 0.279_969).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn shapes_that_do_not_follow_one_another_are_an_error() {
        let device = Device::without_kernels();
        assert!(Bilstm::new(&device, &[]).is_err());
        assert!(Bilstm::new(&device, &[vec![weights(3, 5, 1)], vec![weights(10, 5, 1)]]).is_err());
    }
}
