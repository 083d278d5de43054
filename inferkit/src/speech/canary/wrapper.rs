//! The wrapper of the family: a `.nemo` archive from a hub repository, a folder or a path.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::engine::Engine;
use super::engine::EngineOptions;
use super::source::CanarySource;
use super::transcriber::Transcriber;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::Source;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::task::Task;
use crate::wrapper::DownloadOptions;
use crate::wrapper::FileInventory;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;
use crate::wrapper::MemoryRange;
use crate::wrapper::ModelInfo;
use crate::wrapper::ModelWrapper;
use crate::wrapper::Origin;
use crate::wrapper::Progress;
use crate::wrapper::weights_bytes;

/// A speech model of the family Canary: recognition and translation.
///
/// ```no_run
/// # async fn example() -> inferkit::Result<()> {
/// use std::sync::Arc;
///
/// use inferkit::{CanaryAsrModel, Hub, Source};
///
/// let hub = Hub::builder("models").build()?;
/// let model = CanaryAsrModel::new(Source::hub("nvidia/canary-180m-flash"), hub);
/// # let _: Arc<dyn inferkit::ModelWrapper> = Arc::new(model);
/// # Ok(())
/// # }
/// ```
///
/// Translation follows from the languages of a request: where the text's differs from the spoken one, the model
/// translates. Times of words come from the aligner inside of the archive where there is one; otherwise the decoder
/// writes them between the words, which it does only when words are asked for.
#[derive(Debug, Clone)]
pub struct CanaryAsrModel {
    origin: Origin,
    options: CanaryOptions,
}

/// How a Canary is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CanaryOptions {
    /// Where it computes.
    pub device: DevicePreference,
    /// The type of its weights.
    pub dtype: DtypePreference,
    /// Which file of the source it is; `None` is its one `.nemo`.
    pub files: Option<FileSelection>,
    /// Most bytes of weights; `None` sets no bound.
    pub memory_budget: Option<u64>,
    /// Most requests in line; `None` is 64.
    pub max_queued: Option<usize>,
    /// Longest wait in line; `None` is a minute.
    pub queue_timeout: Option<Duration>,
}

impl CanaryOptions {
    /// Sets the type of the weights.
    #[must_use]
    pub fn with_dtype(self, dtype: DtypePreference) -> Self {
        Self { dtype, ..self }
    }
}

impl CanaryAsrModel {
    /// The model at `source`, with everything at its default.
    pub fn new(source: Source, hub: Hub) -> Self {
        Self {
            origin: Origin { source, hub },
            options: CanaryOptions::default(),
        }
    }

    /// Sets how it is run.
    #[must_use]
    pub fn with_options(self, options: CanaryOptions) -> Self {
        Self { options, ..self }
    }

    fn selection(&self) -> FileSelection {
        let archive = || FileSelection::new(["*.nemo"]);
        self.options.files.clone().unwrap_or_else(archive)
    }

    /// The archive to load from, which is there.
    fn located(&self) -> Result<PathBuf> {
        let selection = self.selection();
        let place = self.origin.located(&selection)?;
        if place.is_file() {
            return Ok(place);
        }
        archive_in(&place, &self.origin.inventory(&selection)?)
    }

    fn engine_options(&self) -> EngineOptions {
        let default = EngineOptions::default();
        EngineOptions {
            max_queued: self.options.max_queued.unwrap_or(default.max_queued),
            queue_timeout: self.options.queue_timeout.unwrap_or(default.queue_timeout),
            ..default
        }
    }

    /// Refuses weights that exceed the budget.
    fn check_budget(&self, weights_bytes: u64, force: bool) -> Result<()> {
        match self.options.memory_budget {
            Some(budget) if budget < weights_bytes && !force => Err(Error::unavailable(
                UnavailableFault::InsufficientMemory,
                format!(
                    "loading needs {weights_bytes} bytes of weights, and the memory budget is {budget} bytes: raise \
                     memory_budget or choose a smaller model"
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

#[async_trait]
impl ModelWrapper for CanaryAsrModel {
    fn describe(&self) -> ModelInfo {
        self.origin.describe("canary", Task::Transcribe)
    }

    async fn files(&self) -> Result<FileInventory> {
        self.origin.inventory(&self.selection())
    }

    fn memory_range(&self, files: &FileInventory) -> Option<MemoryRange> {
        // Weights lie in memory as they are stored, and caches are small beside them.
        let weights = weights_bytes(files);
        Some(MemoryRange::new(weights, weights))
    }

    async fn download(&self, options: &DownloadOptions, job: &Job) -> Result<()> {
        self.origin.download(&self.selection(), options, job).await
    }

    async fn load(&self, options: &LoadOptions, job: &Job) -> Result<Loaded> {
        job.check()?;
        job.report(Progress::phase("opening files"));
        let device = options.open_device(self.options.device)?;
        let dtype = options.dtype.unwrap_or(self.options.dtype);
        let source = Arc::new(CanarySource::open(&self.located()?, job)?);
        self.check_budget(source.weights_bytes(&device, dtype)?, options.force)?;
        job.check()?;

        let (job, opened, device_of_model) = (job.clone(), Arc::clone(&source), device.clone());
        let build = move || opened.load(&device_of_model, dtype, &job);
        let (engine, facts) = Engine::start(build, self.engine_options()).await?;
        let loaded = Loaded::new(device.name(), facts.weight_type, facts.memory).with_health(engine.health());
        let transcriber = Transcriber::new(&source, facts.front_end, engine);
        Ok(loaded.with_transcription(Arc::new(transcriber)))
    }
}

/// The one archive of a folder.
fn archive_in(folder: &Path, inventory: &FileInventory) -> Result<PathBuf> {
    let archives: Vec<&PathBuf> = inventory
        .files
        .iter()
        .map(|file| &file.path)
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("nemo"))
        })
        .collect();
    match archives.as_slice() {
        [one] => Ok(folder.join(one)),
        [] => Err(Error::bad_model(format!(
            "{} holds no .nemo file; download the model again or correct the path",
            folder.display()
        ))),
        [first, second, ..] => Err(Error::bad_model(format!(
            "{} holds several models, {} and {} among them; give the path of one",
            folder.display(),
            first.display(),
            second.display()
        ))),
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
