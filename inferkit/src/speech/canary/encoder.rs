//! `FastConformer`: from features to the states that the decoder looks at.
//!
//! ```text
//! features [t, m] ─ subsampling ─▶ [t/8, d] ─ layers ─▶ [t/8, d] ─ projection, where widths differ ─▶ [t/8, h]
//! ```
//!
//! Windows of a batch stand one after the other without padding ([`Sequences`]), hence a window gives the same states
//! alone and in any batch.
//!
//! Source: arXiv 2305.05084; NeMo, `ConformerEncoder`.

mod convolution;
mod feed_forward;
mod layer;
mod subsampling;
#[cfg(test)]
mod tests;

use candle_core::Device;
use candle_core::Tensor;

use self::layer::Layer;
use self::subsampling::Subsampling;
use super::config::EncoderConfig;
use super::loader::Loader;
use crate::audio::Features;
use crate::error::Error;
use crate::error::Result;
use crate::nn::Sequences;
use crate::nn::consume;
use crate::nn::device_fault;
use crate::nn::relative_positions;

/// The encoder of a model, or of its aligner.
#[derive(Debug)]
pub(super) struct Encoder {
    subsampling: Subsampling,
    layers: Vec<Layer>,
    /// What subsampled features are multiplied by.
    scale: Option<f64>,
    width: usize,
    device: Device,
    positions: Option<Positions>,
}

/// States of windows, one after the other.
#[derive(Debug, Clone)]
pub(super) struct States {
    /// `[t, d]`
    pub(super) rows: Tensor,
    /// The windows.
    pub(super) windows: Sequences,
}

/// Projections of relative positions, the same for every batch.
#[derive(Debug)]
struct Positions {
    /// Frames that they suffice for.
    frames: usize,
    /// `[2·frames − 1, d]` for each layer.
    projected: Vec<Tensor>,
}

/// Windows of up to this many frames (82 s) keep their positions for the next batch.
const MOST_KEPT_FRAMES: usize = 1024;

impl Encoder {
    /// The tensors below `encoder.`.
    pub(super) fn load(config: &EncoderConfig, loader: &Loader<'_>) -> Result<Self> {
        let loader = loader.at("encoder");
        let layer = |index: usize| Layer::load(config, &loader.at("layers").at(index));
        Ok(Self {
            subsampling: Subsampling::load(config, &loader.at("pre_encode"))?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            scale: config.scaled.then(|| (config.width as f64).sqrt()),
            width: config.width,
            device: loader.placement().device.clone(),
            positions: None,
        })
    }

    /// Encodes windows together.
    ///
    /// * `goes_on`: asked before every layer whether the states are still wanted
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) with the code `cancelled` when they are not.
    pub(super) fn forward(&mut self, windows: &[Features], goes_on: &mut dyn FnMut() -> bool) -> Result<States> {
        let (rows, windows) = self.subsampling.forward(windows, &self.device)?;
        let mut rows = match self.scale {
            Some(scale) => (rows * scale).map_err(device_fault)?,
            None => rows,
        };
        let positions = self.positions(windows.longest(), &rows).map_err(device_fault)?;
        for (layer, positions) in self.layers.iter().zip(&positions.projected) {
            if !goes_on() {
                return Err(Error::cancelled());
            }
            rows = consume(rows, |rows| layer.forward(rows, positions, &windows)).map_err(device_fault)?;
        }
        self.positions = Some(positions).filter(|positions| positions.frames <= MOST_KEPT_FRAMES);
        Ok(States { rows, windows })
    }

    /// The subsampled features of windows.
    #[cfg(test)]
    pub(super) fn subsample(&self, windows: &[Features]) -> Result<(Tensor, Sequences)> {
        self.subsampling.forward(windows, &self.device)
    }

    /// Positions for at least `frames` frames.
    fn positions(&mut self, frames: usize, like: &Tensor) -> candle_core::Result<Positions> {
        if let Some(kept) = self.positions.take_if(|kept| kept.frames >= frames) {
            return Ok(kept);
        }
        let frames = frames.max(1);
        let table = relative_positions(frames, self.width);
        let table = Tensor::from_vec(table, (2 * frames - 1, self.width), &self.device)?.to_dtype(like.dtype())?;
        let projected = self.layers.iter().map(|layer| layer.positions(&table));
        Ok(Positions {
            frames,
            projected: projected.collect::<candle_core::Result<_>>()?,
        })
    }
}
