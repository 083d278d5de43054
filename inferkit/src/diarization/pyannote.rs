//! The wrapper of pyannote's diarization pipelines, from hub repositories or a path.
//!
//! ```text
//! source ─ hub ─▶ config.yaml ─▶ files of the parts, of any number of repositories ─▶ engine: pipeline ─▶ Loaded
//! ```
//!
//! Which files a pipeline has stands in its configuration; so that is fetched first.

mod files;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::engine::Diarize;
use crate::diarization::engine::Engine;
use crate::diarization::engine::EngineConfig;
use crate::diarization::pipeline::Listener;
use crate::diarization::pipeline::Pipeline;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::hub::Hub;
use crate::hub::Source;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::task::DiarizationResult;
use crate::task::Task;
use crate::wrapper::DownloadOptions;
use crate::wrapper::FileInventory;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;
use crate::wrapper::MemoryRange;
use crate::wrapper::MemoryUse;
use crate::wrapper::ModelInfo;
use crate::wrapper::ModelWrapper;
use crate::wrapper::Origin;
use crate::wrapper::Progress;
use crate::wrapper::weights_bytes;

/// A diarization pipeline of pyannote: `speaker-diarization-3.1`, `speaker-diarization-community-1` and their like.
///
/// ```no_run
/// # async fn example() -> inferkit::Result<()> {
/// use std::sync::Arc;
///
/// use inferkit::{Hub, PyannoteDiarizationModel, Source};
///
/// let hub = Hub::builder("models").build()?;
/// let model = PyannoteDiarizationModel::new(Source::hub("pyannote/speaker-diarization-community-1"), hub);
/// # let _: Arc<dyn inferkit::ModelWrapper> = Arc::new(model);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PyannoteDiarizationModel {
    origin: Origin,
    options: PyannoteOptions,
}

/// How a diarization pipeline is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PyannoteOptions {
    /// Where it computes.
    pub device: DevicePreference,
    /// The type of its weights: `auto` and `f32` are the same.
    pub dtype: DtypePreference,
    /// Most recordings in line; `None` is 16.
    pub max_queued: Option<usize>,
    /// Longest wait in line; `None` is ten minutes.
    pub queue_timeout: Option<Duration>,
}

impl PyannoteDiarizationModel {
    /// The pipeline at `source`, with everything at its default. A path is a folder with a `config.yaml`, or that file.
    pub fn new(source: Source, hub: Hub) -> Self {
        Self {
            origin: Origin { source, hub },
            options: PyannoteOptions::default(),
        }
    }

    /// Sets how it is run.
    #[must_use]
    pub fn with_options(self, options: PyannoteOptions) -> Self {
        Self { options, ..self }
    }

    fn engine_config(&self) -> EngineConfig {
        let default = EngineConfig::default();
        EngineConfig {
            max_queued: self.options.max_queued.unwrap_or(default.max_queued),
            queue_timeout: self.options.queue_timeout.unwrap_or(default.queue_timeout),
        }
    }
}

#[async_trait]
impl ModelWrapper for PyannoteDiarizationModel {
    fn describe(&self) -> ModelInfo {
        self.origin.describe("pyannote", Task::Diarize)
    }

    async fn files(&self) -> Result<FileInventory> {
        files::inventory(&self.origin)
    }

    fn memory_range(&self, files: &FileInventory) -> Option<MemoryRange> {
        // Weights lie in memory as they are stored, and caches are small beside them.
        let weights = weights_bytes(files);
        Some(MemoryRange::new(weights, weights))
    }

    async fn download(&self, options: &DownloadOptions, job: &Job) -> Result<()> {
        files::download(&self.origin, options, job).await
    }

    async fn load(&self, options: &LoadOptions, job: &Job) -> Result<Loaded> {
        job.check()?;
        job.report(Progress::phase("opening files"));
        let dtype = options.dtype.unwrap_or(self.options.dtype);
        if !matches!(dtype, DtypePreference::Auto | DtypePreference::F32) {
            let message = "diarization computes in f32, on which its results depend; choose dtype auto or f32";
            return Err(Error::invalid(RequestFault::UnsupportedValue, "dtype", message));
        }
        let (config, parts) = files::located(&self.origin)?;
        let device = options.open_device(self.options.device)?;
        job.check()?;
        let name = device.name().to_owned();
        let build = move || {
            let pipeline = Pipeline::load(&config, &parts, &device)?;
            let bytes = pipeline.bytes();
            Ok((pipeline, bytes))
        };
        let (engine, bytes) = Engine::start(self.engine_config(), build).await?;
        let memory = MemoryUse::new(bytes as u64, 0);
        Ok(Loaded::new(name, "f32", memory)
            .with_health(engine.health())
            .with_diarization(Arc::new(engine)))
    }
}

impl Diarize for Pipeline {
    fn diarize(&self, samples: &[f32], bounds: SpeakerBounds, listener: &dyn Listener) -> Result<DiarizationResult> {
        self.run(samples, bounds, listener)
    }
}

#[cfg(test)]
mod tests;
