//! What a published Whisper looks like: sizes and token lists, from its three configuration files.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::mel::FRAME_LENGTH;
use super::mel::HOP_LENGTH;
use crate::audio::SAMPLE_RATE;
use crate::error::Error;
use crate::error::Result;

/// Longest configuration that is read; published ones have some ten kilobytes.
const LONGEST_FILE: u64 = 1 << 20;

/// Largest of any size in a configuration; published ones reach 5,120 for widths and 51,866 for tokens.
const LARGEST: usize = 1 << 20;

/// Seconds of sound that the encoder reads at once.
pub(super) const WINDOW_SECONDS: usize = 30;

/// Mel frames of a window.
pub(super) const WINDOW_FRAMES: usize = WINDOW_SECONDS * SAMPLE_RATE as usize / HOP_LENGTH;

/// Mel frames to one frame of the encoder: the stride of its second convolution.
pub(super) const FRAME_STRIDE: usize = 2;

/// Tokens from which on a vocabulary has languages (openai/whisper, `model.py`, `is_multilingual`).
const MULTILINGUAL_VOCABULARY: usize = 51_865;

/// Timestamp steps of 20 ms that a window may begin with: 1 s (openai/whisper, `decoding.py`, `max_initial_timestamp`).
const MAX_INITIAL_TIMESTAMP: usize = 50;

/// A Whisper's sizes and token lists.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WhisperConfig {
    /// Rows of the token table.
    pub(super) vocabulary: usize,
    /// Width of both stacks.
    pub(super) width: usize,
    /// Mel bins of a frame.
    pub(super) mel_bins: usize,
    /// The encoder's stack.
    pub(super) encoder: StackConfig,
    /// The decoder's stack.
    pub(super) decoder: StackConfig,
    /// Token ids that are never written.
    pub(super) suppressed: Vec<u32>,
    /// Token ids that are not written first.
    pub(super) suppressed_first: Vec<u32>,
    /// Whether it knows more languages than English.
    pub(super) is_multilingual: bool,
    /// Timestamp steps that a window may begin with.
    pub(super) max_initial_timestamp: usize,
    /// Layer and head of the cross-attentions that follow the sound.
    pub(super) alignment_heads: Vec<(usize, usize)>,
    /// Width of the median filter over their weights, in encoder frames.
    pub(super) median_filter_width: usize,
}

/// One of the two stacks of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackConfig {
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Width of the feed-forward blocks.
    pub(super) inner: usize,
    /// Positions: encoder frames of a window, or tokens of prompt and text.
    pub(super) positions: usize,
}

/// `config.json`.
#[derive(Debug, Deserialize)]
struct ModelFile {
    model_type: Option<String>,
    vocab_size: usize,
    d_model: usize,
    num_mel_bins: usize,
    encoder_layers: usize,
    encoder_attention_heads: usize,
    encoder_ffn_dim: usize,
    max_source_positions: usize,
    decoder_layers: usize,
    decoder_attention_heads: usize,
    decoder_ffn_dim: usize,
    max_target_positions: usize,
    #[serde(default = "gelu")]
    activation_function: String,
    #[serde(default)]
    scale_embedding: bool,
    suppress_tokens: Option<Vec<u32>>,
    begin_suppress_tokens: Option<Vec<u32>>,
    median_filter_width: Option<usize>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

/// `generation_config.json`, which some folders lack.
#[derive(Debug, Default, Deserialize)]
struct GenerationFile {
    suppress_tokens: Option<Vec<u32>>,
    begin_suppress_tokens: Option<Vec<u32>>,
    is_multilingual: Option<bool>,
    max_initial_timestamp_index: Option<usize>,
    alignment_heads: Option<Vec<(usize, usize)>>,
}

/// `preprocessor_config.json`, which some folders lack.
#[derive(Debug, Deserialize)]
struct SoundFile {
    feature_size: Option<usize>,
    sampling_rate: Option<usize>,
    n_fft: Option<usize>,
    hop_length: Option<usize>,
    chunk_length: Option<usize>,
}

impl WhisperConfig {
    /// Reads the configuration files of a model's folder.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming file and key for what is damaged, contradicts itself or is not supported.
    pub(super) fn from_folder(folder: &Path) -> Result<Self> {
        let model = read(&folder.join("config.json"))?.ok_or_else(|| {
            Error::bad_model(format!(
                "{} holds no config.json; download the model again",
                folder.display()
            ))
        })?;
        let generation = read(&folder.join("generation_config.json"))?;
        let sound = read(&folder.join("preprocessor_config.json"))?;
        Self::from_json(&model, generation.as_deref(), sound.as_deref())
    }

    /// Reads the contents of `config.json`, `generation_config.json` and `preprocessor_config.json`.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub(super) fn from_json(model: &[u8], generation: Option<&[u8]>, sound: Option<&[u8]>) -> Result<Self> {
        let model: ModelFile = parse("config.json", model)?;
        let generation: GenerationFile = generation
            .map(|content| parse("generation_config.json", content))
            .transpose()?
            .unwrap_or_default();
        model.check()?;
        if let Some(content) = sound {
            parse::<SoundFile>("preprocessor_config.json", content)?.check(&model)?;
        }
        let stack = |layers, heads, inner, positions| StackConfig {
            layers,
            heads,
            inner,
            positions,
        };
        let config = Self {
            vocabulary: model.vocab_size,
            width: model.d_model,
            mel_bins: model.num_mel_bins,
            encoder: stack(
                model.encoder_layers,
                model.encoder_attention_heads,
                model.encoder_ffn_dim,
                model.max_source_positions,
            ),
            decoder: stack(
                model.decoder_layers,
                model.decoder_attention_heads,
                model.decoder_ffn_dim,
                model.max_target_positions,
            ),
            suppressed: generation.suppress_tokens.or(model.suppress_tokens).unwrap_or_default(),
            suppressed_first: generation
                .begin_suppress_tokens
                .or(model.begin_suppress_tokens)
                .unwrap_or_default(),
            is_multilingual: generation
                .is_multilingual
                .unwrap_or(model.vocab_size >= MULTILINGUAL_VOCABULARY),
            max_initial_timestamp: generation.max_initial_timestamp_index.unwrap_or(MAX_INITIAL_TIMESTAMP),
            alignment_heads: generation.alignment_heads.unwrap_or_default(),
            median_filter_width: model.median_filter_width.unwrap_or(7),
        };
        config.completed()
    }

    /// Checks the lists, and takes the heads of the later half of the layers where none are named for alignment, as the
    /// original does (`model.py`, `alignment_heads`).
    fn completed(mut self) -> Result<Self> {
        let StackConfig { layers, heads, .. } = self.decoder;
        if self.alignment_heads.is_empty() {
            self.alignment_heads = (layers / 2..layers)
                .flat_map(|layer| (0..heads).map(move |head| (layer, head)))
                .collect();
        }
        if let Some((layer, head)) = self
            .alignment_heads
            .iter()
            .find(|(layer, head)| *layer >= layers || *head >= heads)
        {
            return Err(Error::bad_model(format!(
                "generation_config.json: alignment_heads names head {head} of layer {layer}, and there are {layers} layers \
                 of {heads} heads; the files belong to different models"
            )));
        }
        if self.median_filter_width.is_multiple_of(2) || self.median_filter_width > self.encoder.positions {
            return Err(Error::bad_model(format!(
                "config.json: median_filter_width is {}; it must be odd and no longer than a window",
                self.median_filter_width
            )));
        }
        let tokens = self.suppressed.iter().chain(&self.suppressed_first);
        if let Some(token) = tokens.into_iter().find(|token| **token as usize >= self.vocabulary) {
            return Err(Error::bad_model(format!(
                "suppress_tokens names token {token}, and there are {}; the files belong to different models",
                self.vocabulary
            )));
        }
        Ok(self)
    }
}

impl StackConfig {
    /// Numbers that a head has.
    pub(super) const fn head_dim(&self, width: usize) -> usize {
        width / self.heads
    }
}

impl ModelFile {
    fn check(&self) -> Result<()> {
        if let Some(kind) = self.model_type.as_ref().filter(|kind| *kind != "whisper") {
            return Err(Error::unsupported_model(format!(
                "config.json: model_type is {kind:?}, which family whisper does not run; give the folder of a Whisper"
            )));
        }
        for (key, size) in [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("num_mel_bins", self.num_mel_bins),
            ("encoder_layers", self.encoder_layers),
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("decoder_layers", self.decoder_layers),
            ("decoder_attention_heads", self.decoder_attention_heads),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
        ] {
            if size == 0 || size > LARGEST {
                return Err(Error::bad_model(format!(
                    "config.json: {key} is {size}; the file is damaged, download it again"
                )));
            }
        }
        for (key, heads) in [
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("decoder_attention_heads", self.decoder_attention_heads),
        ] {
            if !self.d_model.is_multiple_of(heads) {
                return Err(Error::bad_model(format!(
                    "config.json: d_model is {} and {key} {heads}, which do not make whole heads",
                    self.d_model
                )));
            }
        }
        if self.max_source_positions != WINDOW_FRAMES / FRAME_STRIDE {
            return Err(Error::unsupported_model(format!(
                "config.json: max_source_positions is {}; windows of 30 s have {}",
                self.max_source_positions,
                WINDOW_FRAMES / FRAME_STRIDE
            )));
        }
        // Prompt, start and text need room; published models have 448.
        if !(16..=LARGEST).contains(&self.max_target_positions) {
            return Err(Error::bad_model(format!(
                "config.json: max_target_positions is {}; 448 is usual",
                self.max_target_positions
            )));
        }
        if self.activation_function != "gelu" || self.scale_embedding {
            return Err(Error::unsupported_model(
                "config.json: Whisper has activation_function \"gelu\" and scale_embedding false; others are not supported",
            ));
        }
        Ok(())
    }
}

impl SoundFile {
    fn check(&self, model: &ModelFile) -> Result<()> {
        for (key, found, expected) in [
            ("feature_size", self.feature_size, model.num_mel_bins),
            ("sampling_rate", self.sampling_rate, SAMPLE_RATE as usize),
            ("n_fft", self.n_fft, FRAME_LENGTH),
            ("hop_length", self.hop_length, HOP_LENGTH),
            ("chunk_length", self.chunk_length, WINDOW_SECONDS),
        ] {
            if let Some(found) = found.filter(|found| *found != expected) {
                return Err(Error::unsupported_model(format!(
                    "preprocessor_config.json: {key} is {found}; this model needs {expected}"
                )));
            }
        }
        Ok(())
    }
}

/// The content of a file, `None` if it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let unreadable = |error: std::io::Error| {
        Error::bad_model(format!("{} cannot be read; download the model again", path.display())).with_source(error)
    };
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if length > LONGEST_FILE {
        let message = format!("{} has {length} bytes; no configuration is that long", path.display());
        return Err(Error::bad_model(message));
    }
    std::fs::read(path).map(Some).map_err(unreadable)
}

fn parse<T: DeserializeOwned>(file: &str, content: &[u8]) -> Result<T> {
    serde_json::from_slice(content)
        .map_err(|error| Error::bad_model(format!("{file}: {error}; download the model again")))
}

#[cfg(test)]
pub(super) mod tests;
