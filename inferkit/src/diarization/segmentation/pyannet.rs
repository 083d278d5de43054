//! PyanNet: frames of SincNet through LSTM and linear layers to scores.

use candle_core::Tensor;

use super::sincnet::FrameGeometry;
use super::sincnet::SincNet;
use super::sincnet::SoundWindows;
use crate::diarization::array::Windows;
use crate::diarization::layers::Layers;
use crate::diarization::layers::misfit;
use crate::error::Error;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::Bilstm;
use crate::nn::Conv2d;
use crate::nn::Conv2dMoves;
use crate::nn::LstmWeights;
use crate::nn::device_fault;

/// What the checkpoint says beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::diarization) struct PyanNetOptions {
    /// Samples from one filtered value to the next.
    pub(in crate::diarization) sinc_stride: usize,
    /// What scores are.
    pub(in crate::diarization) scores: ScoreKind,
}

/// What scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::diarization) enum ScoreKind {
    /// Logarithms of probabilities of which exactly one is true.
    LogProbabilities,
    /// A probability for each class alone.
    Probabilities,
}

/// The segmentation network.
#[derive(Debug, Clone)]
pub(in crate::diarization) struct PyanNet {
    sincnet: SincNet,
    lstm: Bilstm,
    linear: Vec<Conv2d>,
    classifier: Conv2d,
    scores: ScoreKind,
}

/// More layers than this are no model's.
const MOST_LAYERS: usize = 64;

impl PyanNet {
    /// The network of a checkpoint's `layers`.
    ///
    /// # Errors
    /// [`Error::BadModel`] when a tensor is missing or does not fit.
    pub(in crate::diarization) fn new(layers: &Layers<'_>, options: PyanNetOptions) -> Result<Self> {
        let linear = (0..MOST_LAYERS).map(|number| format!("linear.{number}"));
        let linear = linear.take_while(|name| layers.contains(&format!("{name}.weight")));
        let linear = linear.map(|name| layers.conv(&name, 2, Conv2dMoves::default()));
        Ok(Self {
            sincnet: SincNet::new(&layers.at("sincnet"), options.sinc_stride)?,
            lstm: lstm(&layers.at("lstm"))?,
            linear: linear.collect::<Result<_>>()?,
            classifier: layers.conv("classifier", 2, Conv2dMoves::default())?,
            scores: options.scores,
        })
    }

    /// Where frames lie.
    pub(in crate::diarization) const fn geometry(&self) -> FrameGeometry {
        self.sincnet.geometry()
    }

    /// Memory of its weights, in bytes.
    pub(in crate::diarization) fn bytes(&self) -> usize {
        let linear: usize = self.linear.iter().map(Conv2d::bytes).sum();
        self.sincnet.bytes() + self.lstm.bytes() + linear + self.classifier.bytes()
    }

    /// Scores of each window, `[b, f, n]`.
    ///
    /// # Errors
    /// [`Error::Internal`] or [`Error::Unavailable`] as the device fails; a window shorter than a frame is an error.
    pub(in crate::diarization) fn scores(&self, windows: SoundWindows<'_>) -> Result<Windows<f32>> {
        let frames = self.sincnet.forward(windows)?;
        let states = self.lstm.forward(&frames).map_err(device_fault)?;
        self.classify(&states)
    }

    fn classify(&self, states: &Tensor) -> Result<Windows<f32>> {
        let mut x = states.clone();
        for layer in &self.linear {
            x = layer
                .forward_sequences(&x, Activation::LeakyRelu)
                .map_err(device_fault)?;
        }
        let logits = self.classifier.forward_sequences(&x, Activation::Identity);
        let logits = logits.map_err(device_fault)?;
        let (batch, frames, classes) = logits.dims3().map_err(device_fault)?;
        let mut scores = logits
            .flatten_all()
            .and_then(|x| x.to_vec1::<f32>())
            .map_err(device_fault)?;
        match self.scores {
            ScoreKind::LogProbabilities => scores.chunks_mut(classes.max(1)).for_each(log_softmax),
            ScoreKind::Probabilities => scores.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        }
        Windows::new([batch, frames, classes], scores)
    }
}

fn log_softmax(row: &mut [f32]) {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = row.iter().map(|x| (x - greatest).exp()).sum();
    let norm = greatest + sum.ln();
    for x in row {
        *x -= norm;
    }
}

/// Layers within one module (`weight_ih_l3`), or one module a layer (`3.weight_ih_l0`).
fn lstm(layers: &Layers<'_>) -> Result<Bilstm> {
    let is_split = !layers.contains("weight_ih_l0");
    let place = |number: usize| {
        if is_split {
            (layers.at(number), 0)
        } else {
            (layers.clone(), number)
        }
    };
    let mut found = Vec::new();
    for number in 0..MOST_LAYERS {
        let (scope, suffix) = place(number);
        if !scope.contains(&format!("weight_ih_l{suffix}")) {
            break;
        }
        let sides = [format!("l{suffix}"), format!("l{suffix}_reverse")];
        let sides = sides.iter().filter(|side| scope.contains(&format!("weight_ih_{side}")));
        found.push(sides.map(|side| direction(&scope, side)).collect::<Result<Vec<_>>>()?);
    }
    if found.is_empty() {
        let message =
            "lstm: no layer in the file; segmentation models other than PyanNet with LSTM layers are not supported";
        return Err(Error::unsupported_model(message));
    }
    Bilstm::new(layers.device(), &found).map_err(|error| misfit("lstm", error))
}

fn direction(scope: &Layers<'_>, side: &str) -> Result<LstmWeights> {
    let biases = [format!("bias_ih_{side}"), format!("bias_hh_{side}")];
    let [input, hidden] = biases.map(|name| scope.values(&name));
    let (input, hidden) = (input?, hidden?);
    if input.len() != hidden.len() {
        return Err(Error::bad_model(format!(
            "lstm: the two biases of {side} have {} and {} values; the file is damaged",
            input.len(),
            hidden.len()
        )));
    }
    Ok(LstmWeights {
        input: scope.tensor(&format!("weight_ih_{side}"), 2)?,
        recurrent: scope.tensor(&format!("weight_hh_{side}"), 2)?,
        bias: input.iter().zip(&hidden).map(|(a, b)| a + b).collect(),
    })
}

#[cfg(test)]
mod tests;
