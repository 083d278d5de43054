//! From a model's settings to the wrapper that runs it.

use std::sync::Arc;

use async_trait::async_trait;
use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::FileInventory;
use inferkit::Hub;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::Loaded;
use inferkit::ModelInfo;
use inferkit::ModelPolicy;
use inferkit::ModelWrapper;
use inferkit::OnDemand;
use inferkit::Result;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit::task::Task;

use crate::config::Config;
use crate::config::ModelSettings;

/// The wrapper of a configured model, and what the registry may do with it.
pub fn wrapper(config: &Config, settings: &ModelSettings, hub: &Hub) -> (Arc<dyn ModelWrapper>, ModelPolicy) {
    let mut spec = ModelSpec::new(settings.family.clone(), settings.source.clone());
    spec.device = settings.device;
    spec.dtype = settings.dtype;
    spec.memory_budget = settings.memory_budget;
    spec.max_model_len = settings.max_model_len;
    spec.max_queued = Some(config.limits.max_queued);
    spec.queue_timeout = Some(config.limits.queue_timeout);
    match catalog::wrapper(&spec, &Services::new(hub.clone())) {
        Ok(wrapper) => (wrapper, settings.policy.clone()),
        Err(refusal) => unavailable(settings, refusal),
    }
}

/// A family that this version does not run. Its key exists, so that status and admin routes answer;
/// a request does not start what cannot succeed, and readiness does not wait for it.
fn unavailable(settings: &ModelSettings, refusal: Error) -> (Arc<dyn ModelWrapper>, ModelPolicy) {
    let task = match settings.family.as_str() {
        "canary" | "whisper" => Task::Transcribe,
        "pyannote" => Task::Diarize,
        _ => Task::Chat,
    };
    let info = ModelInfo::new(settings.family.clone(), task, settings.source.clone());
    let mut policy = settings.policy.clone().with_on_demand(OnDemand::Never);
    if policy.preload {
        tracing::warn!(family = settings.family, error = %refusal, "the model cannot be preloaded");
        policy.preload = false;
    }
    (Arc::new(UnavailableFamily { info, refusal }), policy)
}

struct UnavailableFamily {
    info: ModelInfo,
    refusal: Error,
}

#[async_trait]
impl ModelWrapper for UnavailableFamily {
    fn describe(&self) -> ModelInfo {
        self.info.clone()
    }

    async fn files(&self) -> Result<FileInventory> {
        Ok(FileInventory::default())
    }

    async fn download(&self, _: &DownloadOptions, _: &Job) -> Result<()> {
        Err(self.refusal.clone())
    }

    async fn load(&self, _: &LoadOptions, _: &Job) -> Result<Loaded> {
        Err(self.refusal.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::config::load;

    #[tokio::test]
    async fn a_family_that_is_not_in_this_version_has_a_key_and_says_so_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::builder(folder.path()).offline(true).build().unwrap();
        let config = load(&Sources::default()).unwrap();
        for (key, runs) in [("qwen", true), ("canary", true), ("pyannote", true)] {
            let (wrapper, policy) = wrapper(&config, &config.models[key], &hub);
            assert_eq!(wrapper.describe().family, key);
            assert_eq!(policy.on_demand != OnDemand::Never, runs, "{key}");
            if !runs {
                let error = wrapper
                    .download(&DownloadOptions::default(), &Job::new())
                    .await
                    .unwrap_err();
                assert_eq!(error.code(), "unsupported_model");
                assert!(error.to_string().contains("not in this version"), "{error}");
            }
        }
    }
}
