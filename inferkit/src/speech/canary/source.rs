//! A model on disk: everything that its archive says, opened and checked, nothing loaded.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;
use serde_json::Value;

use super::aligner::Aligner;
use super::aligner::AlignerConfig;
use super::config::CanaryConfig;
use super::config::Section;
use super::loader::Loading;
use super::loader::TensorSource;
use super::networks::Networks;
use super::text::CanaryTokenizer;
use super::text::PromptFormat;
use super::text::PromptSlots;
use crate::error::Error;
use crate::error::Result;
use crate::formats::nemo::NemoArchive;
use crate::formats::sentencepiece::SentencePiece;
use crate::formats::torch::Checkpoint;
use crate::formats::yaml;
use crate::job::Job;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::nn::Encoding;

/// The main model's members.
const CONFIG: &str = "model_config.yaml";
const WEIGHTS: &str = "model_weights.ckpt";
/// The aligner's members, where there is one.
const ALIGNER_CONFIG: &str = "timestamps_asr_model_config.yaml";
const ALIGNER_WEIGHTS: &str = "timestamps_asr_model_weights.ckpt";

/// An opened archive. Cheap to make: nothing but directories, configurations and tokenizers is read.
#[derive(Debug)]
pub(super) struct CanarySource {
    /// What the model looks like.
    pub(super) config: CanaryConfig,
    /// Text to tokens and back.
    pub(super) tokenizer: Arc<CanaryTokenizer>,
    /// The order of a prompt.
    pub(super) prompt_format: PromptFormat,
    /// Values of a prompt's slots where a request names none.
    pub(super) prompt_defaults: PromptSlots,
    checkpoint: Checkpoint,
    aligner: Option<AlignerSource>,
}

#[derive(Debug)]
struct AlignerSource {
    config: AlignerConfig,
    checkpoint: Checkpoint,
    tokenizer: Arc<SentencePiece>,
}

/// A model in memory.
#[derive(Debug)]
pub(super) struct CanaryModel {
    /// What it computes with.
    pub(super) networks: Networks,
    /// Finds out when a word was spoken.
    pub(super) aligner: Option<Aligner>,
    /// What it looks like.
    pub(super) config: CanaryConfig,
    /// Text to tokens and back.
    pub(super) tokenizer: Arc<CanaryTokenizer>,
    /// Bytes of its weights.
    pub(super) weights_bytes: u64,
    /// The type of its weights, as status and log spell it.
    pub(super) weight_type: String,
}

impl CanarySource {
    /// Opens the archive at `path`.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming member and key when it is broken or of a kind that is not supported;
    /// [`Error::Unavailable`] when it has to be unfolded and that fails or is cancelled.
    pub(super) fn open(path: &Path, job: &Job) -> Result<Self> {
        let archive = NemoArchive::open(path, job)?;
        let tree = configuration(&archive, CONFIG)?;
        let checkpoint = Checkpoint::read(WEIGHTS, archive.member(WEIGHTS)?)?;
        let config = CanaryConfig::read(&tree, &|name| TensorSource::shape(&checkpoint, name))?;
        let root = Section::root(CONFIG, &tree);
        let Some(prompt_format) = root.text("prompt_format") else {
            let message = format!("{CONFIG}: prompt_format is missing; canary and canary2 are supported");
            return Err(Error::unsupported_model(message));
        };
        let tokenizer = CanaryTokenizer::read(&archive, root.value("tokenizer").unwrap_or(&Value::Null))?;
        if tokenizer.vocabulary_size() > config.decoder.vocabulary {
            return Err(Error::bad_model(format!(
                "the tokenizer has {} tokens and the embedding {} rows; the two belong to different models",
                tokenizer.vocabulary_size(),
                config.decoder.vocabulary
            )));
        }
        Ok(Self {
            prompt_format: PromptFormat::from_config(prompt_format)?,
            prompt_defaults: PromptSlots::from_config(root.value("prompt_defaults").unwrap_or(&Value::Null))?,
            aligner: AlignerSource::open(&archive)?,
            tokenizer: Arc::new(tokenizer),
            config,
            checkpoint,
        })
    }

    /// Whether the archive holds a second model that finds out when words were spoken.
    pub(super) const fn has_aligner(&self) -> bool {
        self.aligner.is_some()
    }

    /// Bytes that the weights will take on `device`, from the directories alone.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a tensor that cannot be read.
    pub(super) fn weights_bytes(&self, device: &Device, dtype: DtypePreference) -> Result<u64> {
        let placement = device.placement(dtype, self.stored_type()?);
        let mut bytes = 0_u64;
        for checkpoint in self.checkpoints() {
            for name in checkpoint.names().filter(|name| !is_counter(name)) {
                if let Some(stored) = TensorSource::find(checkpoint, name)? {
                    bytes = bytes.saturating_add(placement.resident_bytes(&stored));
                }
            }
        }
        Ok(bytes)
    }

    /// Loads all networks.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming the tensor at fault, [`Error::Unavailable`] when memory is short or the job was cancelled.
    pub(super) fn load(&self, device: &Device, dtype: DtypePreference, job: &Job) -> Result<CanaryModel> {
        let stored = self.stored_type()?;
        let placement = device.placement(dtype, stored);
        let total = self
            .checkpoints()
            .map(|checkpoint| checkpoint.bytes_total() as u64)
            .sum();
        let weight_type = placement.name_of(Encoding::Plain(stored));
        let loading = Loading::new(placement, job, total);
        let networks = Networks::load(&self.config, &self.checkpoint, &loading, device.block_size())?;
        let load = |aligner: &AlignerSource| {
            Aligner::load(
                &aligner.config,
                &aligner.checkpoint,
                aligner.tokenizer.clone(),
                &loading,
            )
        };
        Ok(CanaryModel {
            networks,
            aligner: self.aligner.as_ref().map(load).transpose()?,
            config: self.config.clone(),
            tokenizer: self.tokenizer.clone(),
            weights_bytes: loading.weights_bytes.get(),
            weight_type,
        })
    }

    fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        std::iter::once(&self.checkpoint).chain(self.aligner.as_ref().map(|aligner| &aligner.checkpoint))
    }

    /// The type that the checkpoint is stored in: that of its widest matrix.
    fn stored_type(&self) -> Result<DType> {
        let widest = self
            .checkpoint
            .find("transf_decoder._embedding.token_embedding.weight")?;
        Ok(match widest.map(|view| view.dtype.name()) {
            Some("BF16") => DType::BF16,
            Some("F16") => DType::F16,
            Some(_) | None => DType::F32,
        })
    }
}

impl AlignerSource {
    /// The aligner of an archive, if it has one.
    fn open(archive: &NemoArchive) -> Result<Option<Self>> {
        let Some(weights) = archive.find(ALIGNER_WEIGHTS) else {
            return Ok(None);
        };
        let tree = configuration(archive, ALIGNER_CONFIG)?;
        let checkpoint = Checkpoint::read(ALIGNER_WEIGHTS, weights)?;
        let config = AlignerConfig::read(&tree, &|name| TensorSource::shape(&checkpoint, name))?;
        let tokenizer = Section::root(ALIGNER_CONFIG, &tree).section("tokenizer");
        let Some(member) = tokenizer.text("model_path") else {
            return Err(Error::bad_model(format!(
                "{ALIGNER_CONFIG}: tokenizer.model_path is missing; download the model again"
            )));
        };
        let member = member.strip_prefix("nemo:").unwrap_or(member);
        let member = member.rsplit('/').next().unwrap_or(member);
        let tokenizer = SentencePiece::read(member, archive.member(member)?.bytes())?;
        if tokenizer.vocabulary_size() + 1 != config.classes {
            return Err(Error::bad_model(format!(
                "the aligner's tokenizer has {} tokens and its network {} classes, which should be one more; the two \
                 belong to different models",
                tokenizer.vocabulary_size(),
                config.classes
            )));
        }
        Ok(Some(Self {
            config,
            checkpoint,
            tokenizer: Arc::new(tokenizer),
        }))
    }
}

fn configuration(archive: &NemoArchive, member: &str) -> Result<Value> {
    yaml::read(member, archive.member(member)?.bytes())
}

/// Counters of training, which are no weights.
fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

#[cfg(test)]
mod tests {
    use super::super::testing::changed;
    use super::super::testing::golden;
    use super::super::testing::replaced;
    use super::*;

    const MODEL: &str = "canary-180m-flash";

    fn refusal(model: &str, member: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> (String, String) {
        let (_folder, path) = changed(model, member, change);
        let error = CanarySource::open(&path, &Job::new()).unwrap_err();
        (error.code().to_owned(), error.to_string())
    }

    #[test]
    fn unsupported_choices_are_errors_that_name_the_key() {
        for (from, to, text) in [
            ("EncDecMultiTaskModel", "EncDecCTCModelBPE", "target is"),
            ("sample_rate: 16000", "sample_rate: 8000", "sample_rate is 8000"),
            (
                "prompt_format: canary2",
                "prompt_format: canary9",
                "prompt_format is \"canary9\"",
            ),
            (
                "prompt_format: canary2",
                "prompt_layout: canary2",
                "prompt_format is missing",
            ),
            ("window: hann", "window: hamming", "preprocessor.window is \"hamming\""),
            ("hidden_act: relu", "hidden_act: swish", "hidden_act is \"swish\""),
            (
                "subsampling: dw_striding",
                "subsampling: vggnet",
                "encoder.subsampling is \"vggnet\"",
            ),
        ] {
            let (code, message) = refusal(MODEL, CONFIG, replaced(from, to));
            assert_eq!(code, "unsupported_model", "{message}");
            assert!(message.contains(text), "{message}");
        }
    }

    #[test]
    fn parts_that_do_not_belong_together_are_told() {
        let (code, message) = refusal(MODEL, CONFIG, replaced("d_model: 32", "d_model: 64"));
        assert_eq!(
            (code.as_str(), message.contains("encoder.d_model is 64")),
            ("bad_model", true),
            "{message}"
        );
        // The largest of its tokenizers in the place of a small one.
        let larger = replaced(
            "986e86cb0ab84b67a26b7f62b1852f27_tokenizer.model",
            "73ab4876773447c187fde805ec99108d_tokenizer.model",
        );
        let (code, message) = refusal(MODEL, CONFIG, larger);
        assert_eq!(
            (code.as_str(), message.contains("tokens and the embedding")),
            ("bad_model", true),
            "{message}"
        );
    }

    #[test]
    fn an_aligner_needs_its_configuration_and_a_tokenizer_of_its_own_size() {
        let (code, message) = refusal("canary-1b-v2", ALIGNER_CONFIG, replaced("model_path:", "model_file:"));
        assert_eq!(code, "bad_model");
        assert!(message.contains("tokenizer.model_path is missing"), "{message}");
        let (_, message) = refusal("canary-1b-v2", ALIGNER_CONFIG, |_| b"encoder: [".to_vec());
        assert!(message.contains(ALIGNER_CONFIG), "{message}");
    }

    #[test]
    fn only_the_model_with_an_aligner_says_that_it_has_one() {
        for (model, expected) in [(MODEL, false), ("canary-1b-v2", true)] {
            let source = CanarySource::open(&golden(&format!("{model}.nemo")), &Job::new()).unwrap();
            assert_eq!(source.has_aligner(), expected, "{model}");
        }
    }
}
