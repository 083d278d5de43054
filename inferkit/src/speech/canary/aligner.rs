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

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::super::source::CanarySource;
    use super::super::testing::clip;
    use super::super::testing::difference;
    use super::super::testing::golden;
    use super::super::testing::golden_json;
    use super::super::testing::golden_tensors;
    use super::super::text::Labels;
    use super::super::text::LogProbabilities;
    use super::*;
    use crate::job::Job;
    use crate::nn::Device;
    use crate::nn::DtypePreference;

    /// The aligner of the golden model that has one, on the device under test.
    fn aligner() -> Aligner {
        let source = CanarySource::open(&golden("canary-1b-v2.nemo"), &Job::new()).unwrap();
        let model = source.load(&Device::under_test(), DtypePreference::Auto, &Job::new());
        model.unwrap().aligner.unwrap()
    }

    fn features(aligner: &Aligner, name: &str) -> Features {
        aligner.front_end.whole(&clip(name)).unwrap()
    }

    fn numbers(value: &Value) -> Vec<usize> {
        let numbers = value.as_array().unwrap().iter();
        numbers
            .map(|number| usize::try_from(number.as_u64().unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn states_and_log_probabilities_are_the_original_s() {
        let mut aligner = aligner();
        let golden = golden_tensors("canary-1b-v2.aligner.safetensors");
        let input = [features(&aligner, "b_en")];
        let states = aligner.encoder.forward(&input, &mut || true).unwrap();
        let lengths = golden["len"].to_vec1::<i64>().unwrap();
        assert_eq!(i64::try_from(states.windows.rows()).unwrap(), lengths[0]);
        // Bounds as those of the main model's encoder and logits (canary.md, section 13).
        let found = difference(&states.rows, &golden["encoder_out"]);
        assert!(found < 3e-4, "states differ by {found}");
        let found = aligner.log_probabilities(&input, &mut || true).unwrap().remove(0);
        assert_eq!(found.len(), states.windows.rows() * aligner.classes);
        let found = Tensor::from_vec(
            found,
            (states.windows.rows(), aligner.classes),
            &candle_core::Device::Cpu,
        );
        let expected = golden["log_probs"].squeeze(0).unwrap();
        let first = found.unwrap().narrow(0, 0, expected.dims()[0]).unwrap();
        let found = difference(&first, &expected);
        assert!(found < 2e-3, "log-probabilities differ by {found}");
    }

    #[test]
    fn the_path_of_a_text_through_the_sound_is_the_original_s() {
        let mut aligner = aligner();
        let golden = golden_json("canary-1b-v2.aligner.json");
        let blank = golden["blank_id"].as_u64().unwrap();
        assert_eq!(u64::from(aligner.blank()), blank);
        assert!((aligner.frame_seconds - golden["frame_seconds"].as_f64().unwrap()).abs() < 1e-12);
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let input = [features(&aligner, case["audio"].as_str().unwrap())];
            let values = aligner.log_probabilities(&input, &mut || true).unwrap().remove(0);
            let probabilities = LogProbabilities {
                values: &values,
                classes: aligner.classes,
            };
            let frames = probabilities.frames();
            assert_eq!(frames as u64, case["T"].as_u64().unwrap(), "{text:?}");
            let labels = Labels::of_words(text, &aligner.tokenizer, aligner.blank(), frames);
            let found = probabilities.align(&labels);
            assert_eq!(found.states, numbers(&case["alignment"]), "{text:?}");
        }
    }

    #[test]
    fn nothing_to_hear_has_no_probabilities_and_who_does_not_want_them_gets_none() {
        let mut aligner = aligner();
        let input = [features(&aligner, "a_en")];
        let error = aligner.log_probabilities(&input, &mut || false).unwrap_err();
        assert_eq!(error.code(), "cancelled");
        let none = Features::new(128, Vec::new());
        let [input] = input;
        let found = aligner.log_probabilities(&[input, none], &mut || true).unwrap();
        assert!(!found[0].is_empty() && found[1].is_empty());
    }
}
