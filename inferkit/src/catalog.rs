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
use crate::error::RequestFault;
use crate::error::Result;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::Source;
use crate::nn::CacheDtypePreference;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::speech::CanaryAsrModel;
use crate::speech::CanaryOptions;
use crate::speech::WhisperModel;
use crate::speech::WhisperOptions;
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
    /// The type of the keys and values of a chat model.
    pub cache_dtype: CacheDtypePreference,
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
            cache_dtype: CacheDtypePreference::default(),
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
pub const FAMILIES: [&str; 4] = ["qwen", "canary", "whisper", "pyannote"];

/// The wrapper of a model.
///
/// # Errors
/// [`Error::BadModel`] (`unsupported_model`) for a family that this version does not run, [`Error::InvalidRequest`] for a
/// `cache_dtype` of a model that does not chat.
pub fn wrapper(spec: &ModelSpec, services: &Services) -> Result<Arc<dyn ModelWrapper>> {
    let wrapper: Arc<dyn ModelWrapper> = match spec.family.as_str() {
        "qwen" => return Ok(Arc::new(qwen(spec, services))),
        "canary" => Arc::new(canary(spec, services)),
        "whisper" => Arc::new(whisper(spec, services)),
        "pyannote" => Arc::new(pyannote(spec, services)),
        unknown => {
            return Err(Error::unsupported_model(format!(
                "family {unknown:?} is unknown; use one of {}",
                FAMILIES.join(", ")
            )));
        }
    };
    if spec.cache_dtype != CacheDtypePreference::Auto {
        let message = format!(
            "models of family {} choose the type of their caches themselves: leave cache_dtype at auto",
            spec.family
        );
        return Err(Error::invalid(RequestFault::UnsupportedValue, "cache_dtype", message));
    }
    Ok(wrapper)
}

fn qwen(spec: &ModelSpec, services: &Services) -> QwenModel {
    QwenModel::new(spec.source.clone(), services.hub.clone()).with_options(QwenOptions {
        device: spec.device,
        dtype: spec.dtype,
        cache_dtype: spec.cache_dtype,
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

fn whisper(spec: &ModelSpec, services: &Services) -> WhisperModel {
    WhisperModel::new(spec.source.clone(), services.hub.clone()).with_options(WhisperOptions {
        device: spec.device,
        dtype: spec.dtype,
        files: spec.files.clone(),
        memory_budget: spec.memory_budget,
        beam: None,
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
        let tasks = [Task::Chat, Task::Transcribe, Task::Transcribe, Task::Diarize];
        for (family, task) in FAMILIES.into_iter().zip(tasks) {
            let info = found(family).unwrap().describe();
            assert_eq!((info.family.as_str(), info.task), (family, task));
        }
    }

    #[test]
    fn the_type_of_keys_and_values_is_chosen_for_chat_models_alone() {
        let folder = tempfile::tempdir().unwrap();
        let services = Services::new(Hub::builder(folder.path()).offline(true).build().unwrap());
        for family in FAMILIES {
            let mut spec = ModelSpec::new(family, Source::path("/models/x"));
            spec.cache_dtype = CacheDtypePreference::Int8;
            match wrapper(&spec, &services) {
                Ok(found) => assert_eq!(found.describe().task, Task::Chat, "{family}"),
                Err(error) => {
                    assert_eq!(error.param(), Some("cache_dtype"));
                    assert!(error.to_string().contains(family), "{error}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_family_is_told_which_there_are() {
        let error = found("gpt").err().unwrap();
        assert_eq!(error.code(), "unsupported_model");
        let text = "is unknown; use one of qwen, canary, whisper, pyannote";
        assert!(error.to_string().contains(text), "{error}");
    }
}
