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
use crate::nn::Images;
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

/// What the trunk computes in on the processor, window after window: some tens of megabytes for networks as published.
#[derive(Debug, Default)]
pub(super) struct TrunkBuffers {
    /// What a layer reads: the features at first, the frames in the end.
    pub(super) x: Images,
    /// Between the two convolutions of a block.
    hidden: Images,
    /// What goes around them, where it has another shape.
    around: Images,
    out: Images,
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

    /// Whether [`trunk_in`](Self::trunk_in) computes it: on the processor.
    pub(super) const fn has_kernels(&self) -> bool {
        self.stem.has_kernels()
    }

    /// The same as [`trunk`](Self::trunk) on the processor, of the features in `buffers.x` to the frames there.
    pub(super) fn trunk_in(&self, buffers: &mut TrunkBuffers) -> Result<()> {
        let mut run = || -> candle_core::Result<()> {
            self.stem
                .forward_images(&buffers.x, None, Activation::Relu, &mut buffers.out)?;
            std::mem::swap(&mut buffers.x, &mut buffers.out);
            self.blocks.iter().try_for_each(|block| block.forward_in(buffers))
        };
        run().map_err(device_fault)
    }

    /// A vector for each mask of each window: `frames` are what the trunk gave, `[b, h, l, c]`, `masks` `[b][s]`, each over any
    /// number of frames.
    pub(super) fn vectors(
        &self,
        (frames, shape): (&[f32], [usize; 4]),
        masks: &[Vec<&[f32]>],
        device: &candle_core::Device,
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        let [batch, height, time, channels] = shape;
        if batch != masks.len() || frames.is_empty() {
            return Err(Error::internal(format!("masks of {} windows for {batch}", masks.len())));
        }
        let mut statistics = Vec::new();
        for (window, masks) in frames.chunks_exact(height * time * channels).zip(masks) {
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
        let mut vectors = self.embed(statistics, 2 * channels * height, device)?.into_iter();
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

    /// The same from `buffers.x` to `buffers.x`.
    fn forward_in(&self, buffers: &mut TrunkBuffers) -> candle_core::Result<()> {
        let TrunkBuffers { x, hidden, around, out } = buffers;
        self.convs[0].forward_images(x, None, Activation::Relu, hidden)?;
        let around = match &self.shortcut {
            Some(shortcut) => {
                shortcut.forward_images(x, None, Activation::Identity, around)?;
                &*around
            }
            None => &*x,
        };
        self.convs[1].forward_images(hidden, Some(around), Activation::Relu, out)?;
        std::mem::swap(x, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
