//! The encoder: from mel features to states.

use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;

use super::layer::Attention;
use super::layer::FeedForward;
use super::plan::Places;
use crate::nn::Activation;
use crate::nn::Conv1d;
use crate::nn::LayerNorm;
use crate::nn::PagedCache;
use crate::nn::consume;
use crate::nn::reuse;

/// The encoder's weights, and room for the keys and values of a layer at work.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) mel_bins: usize,
    /// Stride 1, then stride 2.
    pub(super) convolutions: [Conv1d; 2],
    /// `[1500, d]`, as stored.
    pub(super) positions: Tensor,
    pub(super) layers: Vec<EncoderLayer>,
    pub(super) norm: LayerNorm,
    pub(super) cache: PagedCache,
    pub(super) places: Places,
    pub(super) device: Device,
    pub(super) dtype: DType,
}

/// One layer of the encoder.
#[derive(Debug)]
pub(super) struct EncoderLayer {
    pub(super) attention: Attention,
    pub(super) feed_forward: FeedForward,
}

impl Encoder {
    /// Windows that are encoded together.
    pub(super) const fn largest_batch(&self) -> usize {
        self.places.count
    }

    /// States `[1500, d]` of each window of mel features, `[3000, m]` row-major.
    pub(super) fn forward(&mut self, windows: &[&[f32]]) -> Result<Vec<Tensor>> {
        let streams: Vec<Tensor> = windows.iter().map(|mel| self.embed(mel)).collect::<Result<_>>()?;
        let mut x = Tensor::cat(&streams, 0)?;
        drop(streams);
        let plan = self.places.whole(windows.len());
        for layer in &self.layers {
            let [queries, keys, values] = layer.attention.project(&x)?;
            self.cache.write(0, &keys, &values, &plan)?;
            let mixed = self.cache.attend_all(0, &queries, &plan)?;
            [queries, keys, values].into_iter().for_each(reuse);
            let attended = consume(mixed, |mixed| layer.attention.output.forward_onto(mixed, &x))?;
            reuse(x);
            x = consume(attended, |x| layer.feed_forward.forward(x))?;
        }
        let states = self.norm.forward(&x)?;
        (0..windows.len())
            .map(|window| states.narrow(0, window * self.places.tokens, self.places.tokens))
            .collect()
    }

    /// Convolutions and positions: `[1500, d]`.
    fn embed(&self, mel: &[f32]) -> Result<Tensor> {
        let frames = mel.len() / self.mel_bins.max(1);
        let mel = Tensor::from_slice(mel, (frames, self.mel_bins), &self.device)?.to_dtype(self.dtype)?;
        let mut x = mel;
        for convolution in &self.convolutions {
            x = convolution.forward(&x, Activation::Gelu)?;
        }
        x + &self.positions
    }
}
