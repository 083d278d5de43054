//! The aligner of an archive: a second, smaller network that says when each token of a known text was spoken.
//!
//! ```text
//! samples ─ features ─▶ encoder ─▶ [t, d] ─ linear, log-softmax ─▶ [t, v] ─ best path through the text ─▶ times
//! ```

use std::sync::Arc;

use serde_json::Value;

use super::config::EncoderConfig;
use super::config::FeatureConfig;
use super::config::Section;
use super::config::Shapes;
use super::encoder::Encoder;
use super::features::FrontEnd;
use super::loader::Loader;
use super::loader::Loading;
use super::loader::TensorSource;
use crate::audio::Features;
use crate::error::Error;
use crate::error::Result;
use crate::formats::sentencepiece::SentencePiece;
use crate::nn::Kernels;
use crate::nn::Linear;
use crate::nn::device_fault;
use crate::nn::log_softmax;

/// What an aligner looks like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AlignerConfig {
    features: FeatureConfig,
    encoder: EncoderConfig,
    /// Tokens, and the blank, which is the last.
    pub(super) classes: usize,
}

/// An aligner in memory.
#[derive(Debug)]
pub(super) struct Aligner {
    /// Samples to features.
    pub(super) front_end: FrontEnd,
    encoder: Encoder,
    head: Linear,
    kernels: Option<Kernels>,
    /// Text to tokens.
    pub(super) tokenizer: Arc<SentencePiece>,
    /// Tokens, and the blank.
    pub(super) classes: usize,
    /// Seconds of a frame of the encoder.
    pub(super) frame_seconds: f64,
}

/// The tensors of the last layer.
const HEAD: &str = "decoder.decoder_layers.0";

impl AlignerConfig {
    /// Reads the configuration of the aligner.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming the key, or the tensor, at fault.
    pub(super) fn read(root: &Value, shapes: Shapes<'_>) -> Result<Self> {
        let root = Section::root("timestamps_asr_model_config.yaml", root);
        let features = FeatureConfig::read(&root.section("preprocessor"), shapes)?;
        let encoder = EncoderConfig::read(&root.section("encoder"), shapes)?;
        let head = shapes(&format!("{HEAD}.weight"));
        let Some(&[classes, _, 1]) = head.as_deref() else {
            return Err(Error::bad_model(format!(
                "tensor {HEAD}.weight of the aligner is missing or no linear layer; download the model again"
            )));
        };
        Ok(Self {
            features,
            encoder,
            classes,
        })
    }
}

impl Aligner {
    /// Loads the aligner.
    pub(super) fn load(
        config: &AlignerConfig,
        source: &dyn TensorSource,
        tokenizer: Arc<SentencePiece>,
        loading: &Loading<'_>,
    ) -> Result<Self> {
        let root = Loader::new(source, loading);
        let frame_samples = config.features.hop_length * config.encoder.factor();
        Ok(Self {
            front_end: FrontEnd::load(&config.features, &root)?,
            encoder: Encoder::load(&config.encoder, &root)?,
            head: root.at(HEAD).linear(&[config.classes, config.encoder.width, 1], true)?,
            kernels: loading.placement.layer_kernels().cloned(),
            tokenizer,
            classes: config.classes,
            frame_seconds: frame_samples as f64 / super::config::SAMPLE_RATE_HZ as f64,
        })
    }

    /// The class that stands for no token.
    pub(super) fn blank(&self) -> u32 {
        u32::try_from(self.classes.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Natural logarithms of each class's probability in each frame: `[t, v]` for each window.
    pub(super) fn log_probabilities(
        &mut self,
        windows: &[Features],
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Vec<f32>>> {
        let states = self.encoder.forward(windows, goes_on)?;
        let window = |range: std::ops::Range<usize>| {
            if range.is_empty() {
                return Ok(Vec::new());
            }
            let rows = states.rows.narrow(0, range.start, range.len())?;
            let logits = self.head.forward(&rows)?;
            log_softmax(&logits, self.kernels.as_ref())?.flatten_all()?.to_vec1()
        };
        let windows = states.windows.ranges().map(window);
        windows.collect::<candle_core::Result<_>>().map_err(device_fault)
    }
}
