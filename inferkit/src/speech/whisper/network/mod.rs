//! Whisper's network: an encoder of sound and a decoder of text that looks at it.
//!
//! ```text
//! mel [3000, m] ─ encoder ─▶ states [1500, d] ─ keys, values of each decoder layer, once ─▶ slot
//! tokens of many lanes ─ decoder: own keys and values (lane), the window's (slot) ─▶ logits
//! ```
//!
//! A *slot* holds a window's sound, a *lane* one text that is being written about it; several lanes may look at one slot.
//!
//! **Invariant:** what a lane's logits are depends on its own tokens and its slot alone, whatever else is in the step.
//!
//! Source: arXiv 2212.04356, section 2.2; openai/whisper, `whisper/model.py`.

mod align;
mod decoder;
mod encoder;
mod layer;
mod load;
mod plan;

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::device_fault;
use crate::speech::whisper::decoding::LaneCopy;
use crate::wrapper::MemoryUse;

use decoder::Decoder;
use encoder::Encoder;
pub(super) use load::NetworkOptions;
pub(super) use load::NetworkSource;
pub(super) use plan::DecoderStep;

/// A Whisper in memory.
#[derive(Debug)]
pub(super) struct Network {
    encoder: Encoder,
    decoder: Decoder,
    memory: MemoryUse,
    weight_type: String,
}

/// How the heads that follow the sound weigh it, and what the decoder thought of each token.
#[derive(Debug)]
pub(super) struct Alignment {
    /// For each head `[tokens, frames]` row-major, before the softmax.
    pub(super) scores: Vec<Vec<f32>>,
    /// `[tokens, v]` row-major.
    pub(super) logits: Vec<f32>,
}

impl Network {
    /// Encodes windows of sound and leaves keys and values of each in its slot.
    ///
    /// * `windows`: slot and mel features `[3000, m]` row-major
    /// * returns the encoder's states of each window, `[1500, d]`
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn encode(&mut self, windows: &[(usize, Vec<f32>)]) -> Result<Vec<Tensor>> {
        let mut all = Vec::with_capacity(windows.len());
        for batch in windows.chunks(self.encoder.largest_batch()) {
            let mels: Vec<&[f32]> = batch.iter().map(|(_, mel)| mel.as_slice()).collect();
            let states = self.encoder.forward(&mels).map_err(device_fault)?;
            for ((slot, _), states) in batch.iter().zip(states) {
                self.decoder.listen(*slot, &states).map_err(device_fault)?;
                all.push(states);
            }
        }
        Ok(all)
    }

    /// Computes a step of several lanes: `[logit rows, v]` row-major.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn step(&mut self, step: &DecoderStep) -> Result<Vec<f32>> {
        self.decoder.step(step).map_err(device_fault)
    }

    /// Lets lanes hold what others hold.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn copy_lanes(&mut self, copies: &[LaneCopy]) -> Result<()> {
        copies
            .iter()
            .try_for_each(|copy| self.decoder.copy_lane(*copy))
            .map_err(device_fault)
    }

    /// Reads a whole text at once and says where its tokens look.
    ///
    /// * `states`: of the slot's window, from [`encode`](Self::encode)
    /// * `heads`: layer and head
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn align(
        &mut self,
        tokens: &[u32],
        (lane, slot): (usize, usize),
        states: &Tensor,
        heads: &[(usize, usize)],
    ) -> Result<Alignment> {
        self.decoder
            .align(&DecoderStep::whole(tokens, lane, slot), states, heads)
            .map_err(device_fault)
    }

    /// The memory it takes.
    pub(super) const fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// The type of its weights, as status and log spell it.
    pub(super) fn weight_type(&self) -> &str {
        &self.weight_type
    }
}
