//! The networks of a model file: front end, encoder, projection and decoder, loaded from one checkpoint.

use candle_core::Tensor;

use super::config::CanaryConfig;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::encoder::States;
use super::features::FrontEnd;
use super::loader::Loader;
use super::loader::Loading;
use super::loader::TensorSource;
use crate::audio::Features;
use crate::error::Result;
use crate::nn::Linear;
use crate::nn::device_fault;

/// What a main model computes with.
#[derive(Debug)]
pub(super) struct Networks {
    /// Samples to features.
    pub(super) front_end: FrontEnd,
    /// Features to states of the encoder's width.
    pub(super) encoder: Encoder,
    /// From the encoder's width to the decoder's, where they differ.
    projection: Option<Linear>,
    /// States and tokens to logits.
    pub(super) decoder: Decoder,
}

impl Networks {
    /// Loads all of them; `block_size` is the device's.
    pub(super) fn load(
        config: &CanaryConfig,
        source: &dyn TensorSource,
        loading: &Loading<'_>,
        block_size: usize,
    ) -> Result<Self> {
        let root = Loader::new(source, loading);
        let (from, to) = (config.encoder.width, config.decoder.width);
        let projection = || root.at("encoder_decoder_proj").linear(&[to, from], true);
        Ok(Self {
            front_end: FrontEnd::load(&config.features, &root)?,
            encoder: Encoder::load(&config.encoder, &root)?,
            projection: (from != to).then(projection).transpose()?,
            decoder: Decoder::load(&config.decoder, &root, block_size)?,
        })
    }

    /// Encodes windows together, to states of the decoder's width.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub(super) fn encode(&mut self, windows: &[Features], goes_on: &mut dyn FnMut() -> bool) -> Result<States> {
        let states = self.encoder.forward(windows, goes_on)?;
        let project = |projection: &Linear, rows: &Tensor| projection.forward(rows).map_err(device_fault);
        match &self.projection {
            Some(projection) => Ok(States {
                rows: project(projection, &states.rows)?,
                windows: states.windows,
            }),
            None => Ok(states),
        }
    }
}
