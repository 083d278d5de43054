//! From a model's settings to the wrapper that runs it.

use std::sync::Arc;

use async_trait::async_trait;
use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::FileInventory;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::Loaded;
use inferkit::ModelInfo;
use inferkit::ModelWrapper;
use inferkit::OnDemand;
use inferkit::Result;
use inferkit::task::Task;

use crate::config::Config;
use crate::config::ModelSettings;

/// A wrapper for each configured model, with what the registry may do with it.
pub fn wrapper(_config: &Config, settings: &ModelSettings) -> (Arc<dyn ModelWrapper>, inferkit::ModelPolicy) {
    unavailable(settings)
}

/// A family that this version does not run. Its key exists, so that status and admin routes answer;
/// a request does not start what cannot succeed.
fn unavailable(settings: &ModelSettings) -> (Arc<dyn ModelWrapper>, inferkit::ModelPolicy) {
    let task = match settings.family.as_str() {
        "canary" | "whisper" => Task::Transcribe,
        "pyannote" => Task::Diarize,
        _ => Task::Chat,
    };
    let info = ModelInfo::new(settings.family.clone(), task, settings.source.clone());
    let mut policy = settings.policy.clone().with_on_demand(OnDemand::Never);
    policy.preload = false;
    (Arc::new(UnavailableFamily { info }), policy)
}

struct UnavailableFamily {
    info: ModelInfo,
}

impl UnavailableFamily {
    fn refusal(&self) -> Error {
        let kind = match self.info.task {
            Task::Transcribe => "speech models",
            Task::Diarize => "diarization models",
            _ => "models of this family",
        };
        let family = &self.info.family;
        Error::unsupported_model(format!(
            "{kind} ({family}) are not in this version; upgrade to one that has them"
        ))
    }
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
        Err(self.refusal())
    }

    async fn load(&self, _: &LoadOptions, _: &Job) -> Result<Loaded> {
        Err(self.refusal())
    }
}
