//! The decoder: from tokens and a window's sound to logits.

use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;

use super::layer::Attention;
use super::layer::FeedForward;
use super::plan::DecoderStep;
use super::plan::Places;
use crate::nn::Embedding;
use crate::nn::Kernels;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::PagedCache;
use crate::nn::reuse;
use crate::speech::whisper::decoding::LaneCopy;

/// The decoder's weights, and the keys and values of all lanes and slots.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) embedding: Embedding,
    /// `[n, d]`
    pub(super) positions: Tensor,
    pub(super) layers: Vec<DecoderLayer>,
    pub(super) norm: LayerNorm,
    /// The embedding, turned.
    pub(super) head: Linear,
    /// Keys and values of the lanes' own tokens.
    pub(super) own: PagedCache,
    pub(super) lanes: Places,
    /// Keys and values of the slots' sound.
    pub(super) sound: PagedCache,
    pub(super) slots: Places,
    pub(super) device: Device,
    /// What computes on the processor.
    pub(super) kernels: Option<Kernels>,
}

/// One layer of the decoder.
#[derive(Debug)]
pub(super) struct DecoderLayer {
    pub(super) own: Attention,
    pub(super) sound: Attention,
    pub(super) feed_forward: FeedForward,
}

impl Decoder {
    /// Computes keys and values of a window's `states`, `[1500, d]`, into its slot.
    pub(super) fn listen(&mut self, slot: usize, states: &Tensor) -> Result<()> {
        let plan = self.slots.fill(slot);
        for (index, layer) in self.layers.iter().enumerate() {
            let [keys, values] = Linear::forward_all([&layer.sound.key, &layer.sound.value], states)?;
            let (keys, values) = (layer.sound.split(&keys)?, layer.sound.split(&values)?);
            self.sound.write(index, &keys, &values, &plan)?;
            [keys, values].into_iter().for_each(reuse);
        }
        Ok(())
    }

    /// Lets a lane hold the first tokens of another.
    pub(super) fn copy_lane(&mut self, copy: LaneCopy) -> Result<()> {
        let (from, to) = (self.lanes.blocks_of(copy.from), self.lanes.blocks_of(copy.to));
        let blocks = copy.tokens.div_ceil(self.lanes.block_size);
        let pairs: Vec<(u32, u32)> = from.into_iter().zip(to).take(blocks).collect();
        self.own.copy_blocks(&pairs)
    }

    /// Logits of the rows asked for, `[rows, v]` row-major.
    pub(super) fn step(&mut self, step: &DecoderStep) -> Result<Vec<f32>> {
        self.run(step, |_, _| {})
    }

    /// As [`step`](Self::step); `watch` sees the queries of each layer's cross-attention, `[t, heads, d]`.
    pub(super) fn run(&mut self, step: &DecoderStep, mut watch: impl FnMut(usize, &Tensor)) -> Result<Vec<f32>> {
        let tokens = Tensor::new(step.tokens.as_slice(), &self.device)?;
        let positions = Tensor::new(step.positions(), &self.device)?;
        let (own, seen) = (self.lanes.own(step), self.slots.seen(step));
        let mut x = (self.embedding.forward(&tokens)? + self.positions.index_select(&positions, 0)?)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let [queries, keys, values] = layer.own.project(&x)?;
            self.own.write(index, &keys, &values, &own)?;
            let mixed = self.own.attend(index, &queries, &own, None)?;
            x = layer.own.output.forward_onto(&mixed, &x)?;

            let queries = layer.sound.query.forward(&layer.sound.norm.forward(&x)?)?;
            let queries = layer.sound.split(&queries)?;
            watch(index, &queries);
            let mixed = self.sound.attend_all(index, &queries, &seen)?;
            x = layer.sound.output.forward_onto(&mixed, &x)?;

            x = layer.feed_forward.forward(&x)?;
        }
        if step.logit_rows.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = Tensor::new(step.logit_rows.as_slice(), &self.device)?;
        let rows = self.norm.forward(&x.index_select(&wanted, 0)?)?;
        let logits = self.head.forward(&rows)?.to_dtype(DType::F32)?;
        logits.flatten_all()?.to_vec1()
    }
}
