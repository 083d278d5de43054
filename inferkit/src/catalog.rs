//! Which families there are: from a name in a configuration to a wrapper, one line a family.
//!
//! **Invariant:** only this file knows all families.

use std::sync::Arc;
use std::time::Duration;

use crate::chat::QwenModel;
use crate::chat::QwenOptions;
use crate::diarization::PyannoteDiarizationModel;
use crate::diarization::PyannoteOptions;
use crate::error::Error;
use crate::error::Result;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::Source;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::speech::CanaryAsrModel;
use crate::speech::CanaryOptions;
use crate::wrapper::ModelWrapper;

/// A model as a configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelSpec {
    /// Its family, such as `qwen`.
    pub family: String,
    /// Where its files come from.
    pub source: Source,
    /// Which files of the source it consists of; `None` is the family's own choice.
    pub files: Option<FileSelection>,
    /// Where it computes.
    pub device: DevicePreference,
    /// The type of its weights.
    pub dtype: DtypePreference,
    /// Most bytes of weights and caches together.
    pub memory_budget: Option<u64>,
    /// Longest context in tokens, for models that have one.
    pub max_model_len: Option<usize>,
    /// Most requests in line.
    pub max_queued: Option<usize>,
    /// Longest wait in line.
    pub queue_timeout: Option<Duration>,
}

impl ModelSpec {
    /// A model of `family` from `source`, with everything else at its default.
    pub fn new(family: impl Into<String>, source: Source) -> Self {
        Self {
            family: family.into(),
            source,
            files: None,
            device: DevicePreference::default(),
            dtype: DtypePreference::default(),
            memory_budget: None,
            max_model_len: None,
            max_queued: None,
            queue_timeout: None,
        }
    }
}

/// What wrappers work with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Services {
    /// Where files come from.
    pub hub: Hub,
}

impl Services {
    /// Services with this hub.
    pub const fn new(hub: Hub) -> Self {
        Self { hub }
    }
}

/// The families that this version runs.
pub const FAMILIES: [&str; 3] = ["qwen", "canary", "pyannote"];

/// Families that are planned and not in this version.
const PLANNED: [&str; 1] = ["whisper"];

/// The wrapper of a model.
///
/// # Errors
/// [`Error::BadModel`] (`unsupported_model`) for a family that this version does not run.
pub fn wrapper(spec: &ModelSpec, services: &Services) -> Result<Arc<dyn ModelWrapper>> {
    match spec.family.as_str() {
        "qwen" => Ok(Arc::new(qwen(spec, services))),
        "canary" => Ok(Arc::new(canary(spec, services))),
        "pyannote" => Ok(Arc::new(pyannote(spec, services))),
        planned if PLANNED.contains(&planned) => Err(Error::unsupported_model(format!(
            "family \"{planned}\" is not in this version; it runs {}",
            FAMILIES.join(", ")
        ))),
        unknown => Err(Error::unsupported_model(format!(
            "family {unknown:?} is unknown; use one of {}",
            FAMILIES.join(", ")
        ))),
    }
}

fn qwen(spec: &ModelSpec, services: &Services) -> QwenModel {
    QwenModel::new(spec.source.clone(), services.hub.clone()).with_options(QwenOptions {
        device: spec.device,
        dtype: spec.dtype,
        files: spec.files.clone(),
        memory_budget: spec.memory_budget,
        max_model_len: spec.max_model_len,
        max_queued: spec.max_queued,
        queue_timeout: spec.queue_timeout,
    })
}

fn canary(spec: &ModelSpec, services: &Services) -> CanaryAsrModel {
    CanaryAsrModel::new(spec.source.clone(), services.hub.clone()).with_options(CanaryOptions {
        device: spec.device,
        dtype: spec.dtype,
        files: spec.files.clone(),
        memory_budget: spec.memory_budget,
        max_queued: spec.max_queued,
        queue_timeout: spec.queue_timeout,
    })
}

fn pyannote(spec: &ModelSpec, services: &Services) -> PyannoteDiarizationModel {
    PyannoteDiarizationModel::new(spec.source.clone(), services.hub.clone()).with_options(PyannoteOptions {
        device: spec.device,
        dtype: spec.dtype,
        max_queued: spec.max_queued,
        queue_timeout: spec.queue_timeout,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    fn found(family: &str) -> Result<Arc<dyn ModelWrapper>> {
        let folder = tempfile::tempdir().unwrap();
        let services = Services::new(Hub::builder(folder.path()).offline(true).build().unwrap());
        wrapper(&ModelSpec::new(family, Source::path("/models/x")), &services)
    }

    #[test]
    fn each_family_of_this_version_has_a_wrapper_that_calls_itself_so() {
        for (family, task) in FAMILIES.into_iter().zip([Task::Chat, Task::Transcribe, Task::Diarize]) {
            let info = found(family).unwrap().describe();
            assert_eq!((info.family.as_str(), info.task), (family, task));
        }
    }

    #[test]
    fn a_planned_family_is_told_from_an_unknown_one() {
        for (family, text) in [
            ("whisper", "is not in this version; it runs qwen, canary, pyannote"),
            ("gpt", "is unknown; use one of qwen, canary, pyannote"),
        ] {
            let error = found(family).err().unwrap();
            assert_eq!(error.code(), "unsupported_model");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
