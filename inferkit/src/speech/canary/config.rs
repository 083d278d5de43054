//! What a Canary looks like: its configuration, checked against the shapes of its tensors.
//!
//! Sizes come from the tensors, since configurations may hold `${…}` where a training script once put a number; where a
//! configuration states a size, it has to agree. Choices that change what is computed are read from the configuration,
//! and one that this library does not compute is an error that names its key.

mod decoder;
mod encoder;
mod features;
mod search;
mod section;

pub(super) use decoder::DecoderConfig;
pub(super) use encoder::EncoderConfig;
pub(super) use features::FeatureConfig;
pub(super) use search::SearchConfig;
pub(super) use section::Section;

use serde_json::Value;

use crate::error::Error;
use crate::error::Result;

/// Shapes of the tensors that stand beside a configuration, by name.
pub(super) type Shapes<'a> = &'a dyn Fn(&str) -> Option<Vec<usize>>;

/// Samples a second of every recording.
pub(super) const SAMPLE_RATE_HZ: usize = 16_000;

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CanaryConfig {
    /// From samples to features.
    pub(super) features: FeatureConfig,
    /// From features to states.
    pub(super) encoder: EncoderConfig,
    /// From states and tokens to the next token.
    pub(super) decoder: DecoderConfig,
    /// How the most probable text is searched.
    pub(super) search: SearchConfig,
}

/// What `target` ends with in the configuration of a model with encoder and decoder.
const TARGET: &str = "EncDecMultiTaskModel";

impl CanaryConfig {
    /// Reads the configuration of the main model.
    ///
    /// * `root`: `model_config.yaml` as a tree
    ///
    /// # Errors
    /// [`Error::BadModel`] naming the key, or the tensor, at fault.
    pub(super) fn read(root: &Value, shapes: Shapes<'_>) -> Result<Self> {
        let root = Section::root("model_config.yaml", root);
        if let Some(target) = root.text("target")
            && !target.ends_with(TARGET)
        {
            return Err(Error::unsupported_model(format!(
                "model_config.yaml: target is {target:?}, and only {TARGET} (Canary) is run from .nemo files"
            )));
        }
        let rate = root.count("sample_rate")?;
        if rate.is_some_and(|rate| rate != SAMPLE_RATE_HZ) {
            return Err(root.unsupported("sample_rate", "16000"));
        }
        let encoder = EncoderConfig::read(&root.section("encoder"), shapes)?;
        let decoder = DecoderConfig::read(&root, shapes)?;
        Ok(Self {
            features: FeatureConfig::read(&root.section("preprocessor"), shapes)?,
            search: SearchConfig::read(&root.section("decoding"))?,
            encoder,
            decoder,
        })
    }
}

/// The shape of a tensor that has to be there.
fn shape<const RANK: usize>(shapes: Shapes<'_>, name: &str) -> Result<[usize; RANK]> {
    let Some(shape) = shapes(name) else {
        return Err(Error::bad_model(format!(
            "tensor {name} is missing from the checkpoint; download the model again"
        )));
    };
    let sizes = shape.as_slice().try_into().ok();
    sizes
        .filter(|sizes: &[usize; RANK]| !sizes.contains(&0))
        .ok_or_else(|| {
            Error::bad_model(format!(
                "tensor {name}: shape {shape:?}, where {RANK} sizes above zero belong; download the model again"
            ))
        })
}

/// How many tensors there are with a number in the place of the star.
fn count(shapes: Shapes<'_>, pattern: &str) -> usize {
    /// Far more layers than any model has.
    const MOST: usize = 1000;
    (0..MOST)
        .take_while(|index| shapes(&pattern.replace('*', &index.to_string())).is_some())
        .count()
}
