//! WeSpeaker's ResNet: features through residual blocks, statistics over time, one linear layer.
//!
//! ```text
//! [m, t] ─conv─▶ [m, t, w] ─layer 1..4─▶ [m / 8, t / 8, 8 w] ─mean, deviation─▶ [2 · 8 w · m / 8] ─linear─▶ [d]
//! ```
//!
//! Source: Wang et al., "WeSpeaker" (2022); pyannote.audio 4.0.7, `models/embedding/wespeaker/resnet.py`.

use candle_core::Tensor;

use super::pooling::TrunkFrames;
use crate::diarization::layers::Layers;
use crate::error::Error;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::Conv2d;
use crate::nn::Conv2dMoves;
use crate::nn::device_fault;

/// The trunk and the layer behind its statistics.
#[derive(Debug, Clone)]
pub(super) struct ResNet {
    stem: Conv2d,
    blocks: Vec<BasicBlock>,
    embedding: Conv2d,
    /// Numbers of a vector.
    width: usize,
}

/// Two convolutions and a way around them.
#[derive(Debug, Clone)]
pub(super) struct BasicBlock {
    convs: [Conv2d; 2],
    shortcut: Option<Conv2d>,
}

/// More blocks than this are no model's layer.
const MOST_BLOCKS: usize = 256;
/// Zeros around an image that a kernel of 3 × 3 keeps at its size.
const SAME: [usize; 2] = [1, 1];

impl ResNet {
    /// The network of a checkpoint's `layers`.
    ///
    /// # Errors
    /// [`Error::BadModel`] when a tensor is missing or does not fit.
    pub(super) fn new(layers: &Layers<'_>) -> Result<Self> {
        let same = Conv2dMoves {
            padding: SAME,
            ..Conv2dMoves::default()
        };
        let mut blocks = Vec::new();
        for stage in 1..=4 {
            let stage_layers = layers.at(format!("layer{stage}"));
            let stride = if stage == 1 { [1, 1] } else { [2, 2] };
            blocks.append(&mut BasicBlock::stage(&stage_layers, stride)?);
        }
        let embedding = layers.tensor("seg_1.weight", 2)?;
        Ok(Self {
            stem: layers.conv_norm(["conv1", "bn1"], 4, same)?,
            blocks,
            width: embedding.dim(0).map_err(device_fault)?,
            embedding: layers.conv("seg_1", 2, Conv2dMoves::default())?,
        })
    }

    /// Numbers of a vector.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Memory of its weights, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(BasicBlock::bytes).sum();
        self.stem.bytes() + blocks + self.embedding.bytes()
    }

    /// The trunk: features `[b, m, t, 1]` to frames `[b, m', t', c]`.
    pub(super) fn trunk(&self, features: &Tensor) -> Result<Tensor> {
        let run = || -> candle_core::Result<Tensor> {
            let mut x = self.stem.forward(features, None, Activation::Relu)?;
            for block in &self.blocks {
                x = block.forward(&x)?;
            }
            Ok(x)
        };
        run().map_err(device_fault)
    }

    /// A vector for each mask of each window: `frames` is what the trunk gave, `masks` `[b][s]`, each over any number of frames.
    pub(super) fn vectors(&self, frames: &Tensor, masks: &[Vec<&[f32]>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let (batch, height, time, channels) = frames.dims4().map_err(device_fault)?;
        let values = frames
            .flatten_all()
            .and_then(|x| x.to_vec1::<f32>())
            .map_err(device_fault)?;
        if batch != masks.len() || values.is_empty() {
            return Err(Error::internal(format!("masks of {} windows for {batch}", masks.len())));
        }
        let mut statistics = Vec::new();
        for (window, masks) in values.chunks_exact(height * time * channels).zip(masks) {
            let frames = TrunkFrames {
                values: window,
                height,
                frames: time,
                channels,
            };
            for mask in masks {
                statistics.extend(frames.weighted(mask));
            }
        }
        let mut vectors = self
            .embed(statistics, 2 * channels * height, frames.device())?
            .into_iter();
        Ok(masks
            .iter()
            .map(|masks| vectors.by_ref().take(masks.len()).collect())
            .collect())
    }

    /// The linear layer behind the statistics.
    fn embed(&self, statistics: Vec<f32>, width: usize, device: &candle_core::Device) -> Result<Vec<Vec<f32>>> {
        let count = statistics.len() / width;
        let run = || -> candle_core::Result<Vec<Vec<f32>>> {
            let rows = Tensor::from_vec(statistics, (1, count, width), device)?;
            self.embedding
                .forward_sequences(&rows, Activation::Identity)?
                .squeeze(0)?
                .to_vec2()
        };
        run().map_err(|error| {
            let message = format!(
                "layer resnet.seg_1: it does not take {width} statistics; trunk and layer do not fit each other"
            );
            Error::bad_model(message).with_source(error)
        })
    }
}

impl BasicBlock {
    /// The blocks of a stage, the first with this stride.
    pub(super) fn stage(layers: &Layers<'_>, stride: [usize; 2]) -> Result<Vec<Self>> {
        let present = |number: &usize| layers.contains(&format!("{number}.conv1.weight"));
        let blocks = (0..MOST_BLOCKS).take_while(present);
        let blocks: Vec<Self> = blocks
            .map(|number| Self::new(&layers.at(number), if number == 0 { stride } else { [1, 1] }))
            .collect::<Result<_>>()?;
        if blocks.is_empty() {
            // Told by its whole name.
            layers.tensor("0.conv1.weight", 4)?;
        }
        Ok(blocks)
    }

    fn new(layers: &Layers<'_>, stride: [usize; 2]) -> Result<Self> {
        let moves = |stride, padding| Conv2dMoves {
            stride,
            padding,
            ..Conv2dMoves::default()
        };
        let has_shortcut = layers.contains("shortcut.0.weight");
        let shortcut = has_shortcut.then(|| layers.conv_norm(["shortcut.0", "shortcut.1"], 4, moves(stride, [0, 0])));
        Ok(Self {
            convs: [
                layers.conv_norm(["conv1", "bn1"], 4, moves(stride, SAME))?,
                layers.conv_norm(["conv2", "bn2"], 4, moves([1, 1], SAME))?,
            ],
            shortcut: shortcut.transpose()?,
        })
    }

    /// Memory of its weights, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.convs.iter().chain(&self.shortcut).map(Conv2d::bytes).sum()
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = self.convs[0].forward(x, None, Activation::Relu)?;
        let around = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, None, Activation::Identity)?,
            None => x.clone(),
        };
        self.convs[1].forward(&y, Some(&around), Activation::Relu)
    }
}

#[cfg(test)]
mod tests;
