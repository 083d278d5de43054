//! CAM++: a densely connected time-delay network whose layers are gated by their context.
//!
//! ```text
//! [t, 80] ─head─▶ [t, 320] ─tdnn, stride 2─▶ [t', 128] ─3 × (dense block, transit)─▶ ─mean, deviation─▶ ─dense─▶ [d]
//! ```
//!
//! Source: Wang et al., "CAM++" (2023), and 3D-Speaker, `speakerlab/models/campplus`.

use candle_core::D;
use candle_core::Tensor;

use super::resnet::BasicBlock;
use crate::diarization::layers::Layers;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::BatchNorm;
use crate::nn::Conv2d;
use crate::nn::Conv2dMoves;
use crate::nn::device_fault;

/// The network.
#[derive(Debug, Clone)]
pub(super) struct CamPlusPlus {
    head: Head,
    tdnn: Conv2d,
    blocks: Vec<DenseBlock>,
    out_norm: BatchNorm,
    dense: Conv2d,
    /// Numbers of a vector.
    width: usize,
}

/// The front on the time-frequency plane.
#[derive(Debug, Clone)]
struct Head {
    first: Conv2d,
    blocks: Vec<BasicBlock>,
    last: Conv2d,
}

/// Layers that each read all before them, and the convolution that halves what they gave.
#[derive(Debug, Clone)]
struct DenseBlock {
    layers: Vec<CamLayer>,
    norm: BatchNorm,
    transit: Conv2d,
}

/// A bottleneck and a convolution over time, gated by means over time.
#[derive(Debug, Clone)]
struct CamLayer {
    norm: BatchNorm,
    /// With the norm behind it.
    bottleneck: Conv2d,
    local: Conv2d,
    context: [Conv2d; 2],
}

/// Frames over which the nearer context is taken.
const SEGMENT: usize = 100;
/// Dilation of each block's convolutions over time.
const DILATIONS: [usize; 3] = [1, 2, 2];
/// More layers than this are no model's block.
const MOST_LAYERS: usize = 256;
/// Deviation where there is a single frame.
const LONE_DEVIATION: f32 = 0.01;

type Tensors = candle_core::Result<Tensor>;

impl CamPlusPlus {
    /// The network of a checkpoint's `layers`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when a tensor is missing or does not fit.
    pub(super) fn new(layers: &Layers<'_>) -> Result<Self> {
        let vector = layers.at("xvector");
        let blocks = DILATIONS.iter().enumerate();
        let blocks = blocks.map(|(index, dilation)| DenseBlock::new(&vector, index + 1, *dilation));
        let tdnn = Conv2dMoves {
            stride: [1, 2],
            padding: [0, 2],
            ..Conv2dMoves::default()
        };
        let dense = ["dense.linear", "dense.nonlinear.batchnorm"];
        let width = vector.tensor("dense.linear.weight", 3)?.dim(0).map_err(device_fault)?;
        Ok(Self {
            head: Head::new(&layers.at("head"))?,
            tdnn: vector.conv_norm(["tdnn.linear", "tdnn.nonlinear.batchnorm"], 3, tdnn)?,
            blocks: blocks.collect::<Result<_>>()?,
            out_norm: vector.batch_norm("out_nonlinear.batchnorm")?,
            dense: vector.conv_norm(dense, 3, Conv2dMoves::default())?,
            width,
        })
    }

    /// Numbers of a vector.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Memory of its convolutions, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let layers = self.blocks.iter().flat_map(|block| &block.layers);
        let layers = layers.flat_map(|layer| [&layer.bottleneck, &layer.local].into_iter().chain(&layer.context));
        let single = [&self.head.first, &self.head.last, &self.tdnn, &self.dense];
        let convs = layers
            .chain(single)
            .chain(self.blocks.iter().map(|block| &block.transit));
        convs.map(Conv2d::bytes).sum::<usize>() + self.head.blocks.iter().map(BasicBlock::bytes).sum::<usize>()
    }

    /// The vector of features `[1, t, m]`, which are centred.
    pub(super) fn vector(&self, features: &Tensor) -> Result<Vec<f32>> {
        let run = || -> candle_core::Result<Vec<f32>> {
            let statistics = Self::statistics(&self.frames(features)?)?;
            let vector = self
                .dense
                .forward_sequences(&statistics.unsqueeze(0)?, Activation::Identity)?;
            vector.flatten_all()?.to_vec1()
        };
        run().map_err(device_fault)
    }

    /// `[1, t, m]` to `[1, t', c]`.
    fn frames(&self, features: &Tensor) -> Tensors {
        let mut x = self
            .tdnn
            .forward_sequences(&self.head.forward(features)?, Activation::Relu)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.out_norm.forward(&x, Activation::Relu)
    }

    /// Mean and unbiased deviation over time: `[1, t, c]` to `[1, 2 c]`.
    fn statistics(frames: &Tensor) -> Tensors {
        let mean = frames.mean_keepdim(1)?;
        let count = frames.dim(1)?;
        let deviation = if count == 1 {
            mean.ones_like()?.affine(f64::from(LONE_DEVIATION), 0.0)?
        } else {
            let squares = frames.broadcast_sub(&mean)?.sqr()?.sum_keepdim(1)?;
            (squares / (count - 1) as f64)?.sqrt()?
        };
        Tensor::cat(&[mean, deviation], D::Minus1)?.squeeze(1)
    }
}

impl Head {
    fn new(layers: &Layers<'_>) -> Result<Self> {
        let moves = |stride| Conv2dMoves {
            stride,
            padding: [1, 1],
            ..Conv2dMoves::default()
        };
        let mut blocks = Vec::new();
        for stage in 1..=2 {
            blocks.append(&mut BasicBlock::stage(&layers.at(format!("layer{stage}")), [2, 1])?);
        }
        Ok(Self {
            first: layers.conv_norm(["conv1", "bn1"], 4, moves([1, 1]))?,
            blocks,
            last: layers.conv_norm(["conv2", "bn2"], 4, moves([2, 1]))?,
        })
    }

    /// `[1, t, m]` to `[1, t, c · m / 8]`, channels outermost.
    fn forward(&self, features: &Tensor) -> Tensors {
        let plane = features.transpose(1, 2)?.contiguous()?.unsqueeze(3)?;
        let mut x = self.first.forward(&plane, None, Activation::Relu)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let x = self.last.forward(&x, None, Activation::Relu)?;
        let (batch, height, frames, channels) = x.dims4()?;
        x.permute((0, 2, 3, 1))?
            .contiguous()?
            .reshape((batch, frames, channels * height))
    }
}

impl DenseBlock {
    fn new(vector: &Layers<'_>, number: usize, dilation: usize) -> Result<Self> {
        let block = vector.at(format!("block{number}"));
        let present = |layer: &usize| block.contains(&format!("tdnnd{layer}.linear1.weight"));
        let layers = (1..=MOST_LAYERS).take_while(present);
        let layers = layers.map(|layer| CamLayer::new(&block.at(format!("tdnnd{layer}")), dilation));
        let transit = vector.at(format!("transit{number}"));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            norm: transit.batch_norm("nonlinear.batchnorm")?,
            transit: transit.conv("linear", 3, Conv2dMoves::default())?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensors {
        let mut x = x.clone();
        for layer in &self.layers {
            x = Tensor::cat(&[&x, &layer.forward(&x)?], D::Minus1)?;
        }
        self.transit
            .forward_sequences(&self.norm.forward(&x, Activation::Relu)?, Activation::Identity)
    }
}

impl CamLayer {
    fn new(layers: &Layers<'_>, dilation: usize) -> Result<Self> {
        let cam = layers.at("cam_layer");
        let taps = cam.tensor("linear_local.weight", 3)?.dim(2).map_err(device_fault)?;
        let local = Conv2dMoves {
            padding: [0, dilation * (taps / 2)],
            dilation: [1, dilation],
            ..Conv2dMoves::default()
        };
        Ok(Self {
            norm: layers.batch_norm("nonlinear1.batchnorm")?,
            bottleneck: layers.conv_norm(["linear1", "nonlinear2.batchnorm"], 3, Conv2dMoves::default())?,
            local: cam.conv("linear_local", 3, local)?,
            context: [
                cam.conv("linear1", 3, Conv2dMoves::default())?,
                cam.conv("linear2", 3, Conv2dMoves::default())?,
            ],
        })
    }

    /// `[1, t, c]` to what is appended to it.
    fn forward(&self, x: &Tensor) -> Tensors {
        let rectified = self.norm.forward(x, Activation::Relu)?;
        let hidden = self.bottleneck.forward_sequences(&rectified, Activation::Relu)?;
        let local = self.local.forward_sequences(&hidden, Activation::Identity)?;
        let segments = segments(hidden.dim(1)?);
        let means = segments
            .clone()
            .map(|(start, frames)| hidden.narrow(1, start, frames)?.mean_keepdim(1));
        let means = Tensor::cat(&means.collect::<candle_core::Result<Vec<_>>>()?, 1)?;
        let context = means.broadcast_add(&hidden.mean_keepdim(1)?)?;
        let context = self.context[0].forward_sequences(&context, Activation::Relu)?;
        let context = self.context[1].forward_sequences(&context, Activation::Identity)?;
        let gates = candle_nn::ops::sigmoid(&context)?;
        let gated = segments.enumerate().map(|(index, (start, frames))| {
            local
                .narrow(1, start, frames)?
                .broadcast_mul(&gates.narrow(1, index, 1)?)
        });
        Tensor::cat(&gated.collect::<candle_core::Result<Vec<_>>>()?, 1)
    }
}

/// Start and length of each segment of `frames` frames, the last one being shorter.
fn segments(frames: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..frames)
        .step_by(SEGMENT)
        .map(move |start| (start, SEGMENT.min(frames - start)))
}

#[cfg(test)]
mod tests;
