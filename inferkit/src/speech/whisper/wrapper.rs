//! The wrapper of the Whisper family, from a hub repository or a path.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::decoding::Thresholds;
use super::engine::Engine;
use super::engine::EngineOptions;
use super::network::NetworkOptions;
use super::network::NetworkSource;
use super::tokens::WhisperTokens;
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

/// Recordings at work at once, if memory allows.
const MOST_SLOTS: usize = 8;

/// Bytes of caches that the slots may take where no budget is given.
const CACHE_BUDGET: u64 = 2 << 30;

/// Texts that a window is the best of at temperatures above zero (openai/whisper, command line, `best_of`).
const BEST_OF: usize = 5;

/// A Whisper model, from tiny to large-v3-turbo, as published in safetensors.
///
/// ```no_run
/// # async fn example() -> inferkit::Result<()> {
/// use std::sync::Arc;
///
/// use inferkit::{Hub, Source, WhisperModel};
///
/// let hub = Hub::builder("models").build()?;
/// let model = WhisperModel::new(Source::hub("openai/whisper-large-v3-turbo"), hub);
/// # let _: Arc<dyn inferkit::ModelWrapper> = Arc::new(model);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WhisperModel {
    origin: Origin,
    options: WhisperOptions,
}

/// How a Whisper is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WhisperOptions {
    /// Where it computes.
    pub device: DevicePreference,
    /// The type of its weights.
    pub dtype: DtypePreference,
    /// Which files of the source it consists of; `None` is its safetensors and its configurations.
    pub files: Option<FileSelection>,
    /// Most bytes of weights and caches together; `None` takes 2 GiB of caches, and at least what one recording needs.
    pub memory_budget: Option<u64>,
    /// Beginnings of a text that are kept while it is searched for; `None` and 1 take the most probable token.
    pub beam: Option<usize>,
    /// Most requests in line; `None` is 64.
    pub max_queued: Option<usize>,
    /// Longest wait in line; `None` is a minute.
    pub queue_timeout: Option<Duration>,
}

impl WhisperOptions {
    /// Keeps `beam` beginnings of a text while it is searched for.
    #[must_use]
    pub fn with_beam(self, beam: usize) -> Self {
        Self {
            beam: Some(beam),
            ..self
        }
    }
}

impl WhisperModel {
    /// The model at `source`, with everything at its default.
    pub fn new(source: Source, hub: Hub) -> Self {
        Self {
            origin: Origin { source, hub },
            options: WhisperOptions::default(),
        }
    }

    /// Sets how it is run.
    #[must_use]
    pub fn with_options(self, options: WhisperOptions) -> Self {
        Self { options, ..self }
    }

    fn selection(&self) -> FileSelection {
        let published = || {
            FileSelection::new([
                "config.json",
                "generation_config.json",
                "preprocessor_config.json",
                "tokenizer.json",
                "model.safetensors.index.json",
            ])
            .with_first_of(["model.safetensors", "model-*-of-*.safetensors"])
        };
        self.options.files.clone().unwrap_or_else(published)
    }

    /// As many recordings at once as the budget allows, at least one.
    fn slots(&self, source: &NetworkSource, options: &NetworkOptions, force: bool) -> Result<usize> {
        let lanes_each = options.lanes;
        let needed = |slots: usize| {
            source.memory(&NetworkOptions {
                slots,
                lanes: slots * lanes_each,
                ..options.clone()
            })
        };
        let fits = |slots: usize| {
            let memory = needed(slots)?;
            Ok::<bool, Error>(match self.options.memory_budget {
                Some(budget) => memory.weights_bytes.saturating_add(memory.cache_bytes) <= budget,
                None => memory.cache_bytes <= CACHE_BUDGET,
            })
        };
        let mut slots = MOST_SLOTS;
        while slots > 1 && !fits(slots)? {
            slots /= 2;
        }
        if let (Some(budget), false, false) = (self.options.memory_budget, force, fits(slots)?) {
            let memory = needed(slots)?;
            let message = format!(
                "loading needs {} bytes ({} of weights, {} of caches at least), and the memory budget is {budget} bytes: \
                 raise memory_budget or choose a smaller model",
                memory.weights_bytes.saturating_add(memory.cache_bytes),
                memory.weights_bytes,
                memory.cache_bytes
            );
            return Err(Error::unavailable(UnavailableFault::InsufficientMemory, message));
        }
        Ok(slots)
    }

    fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            slots: 1,
            best_of: BEST_OF,
            beam: self.options.beam.unwrap_or(1),
            max_queued: self.options.max_queued.unwrap_or(64),
            queue_timeout: self.options.queue_timeout.unwrap_or(Duration::from_mins(1)),
            thresholds: Thresholds::default(),
        }
    }
}

#[async_trait]
impl ModelWrapper for WhisperModel {
    fn describe(&self) -> ModelInfo {
        self.origin.describe("whisper", Task::Transcribe)
    }

    async fn files(&self) -> Result<FileInventory> {
        self.origin.inventory(&self.selection())
    }

    fn memory_range(&self, files: &FileInventory) -> Option<MemoryRange> {
        let weights = weights_bytes(files);
        let most = weights.saturating_add(CACHE_BUDGET);
        let most = self.options.memory_budget.map_or(most, |budget| budget.max(weights));
        Some(MemoryRange::new(weights, most))
    }

    async fn download(&self, options: &DownloadOptions, job: &Job) -> Result<()> {
        self.origin.download(&self.selection(), options, job).await
    }

    async fn load(&self, options: &LoadOptions, job: &Job) -> Result<Loaded> {
        job.check()?;
        job.report(Progress::phase("opening files"));
        let folder = self.origin.located(&self.selection())?;
        let device = options.open_device(self.options.device)?;
        let source = NetworkSource::open(&folder)?;
        let config = source.config().clone();
        let tokens = Arc::new(WhisperTokens::from_folder(&folder, config.vocabulary)?);
        job.check()?;

        let mut engine_options = self.engine_options();
        let mut network_options = NetworkOptions {
            device: device.clone(),
            dtype: options.dtype.unwrap_or(self.options.dtype),
            slots: 1,
            lanes: engine_options.lanes_each(),
        };
        let slots = self.slots(&source, &network_options, options.force)?;
        engine_options.slots = slots;
        network_options.slots = slots;
        network_options.lanes *= slots;
        let job = job.clone();
        let build = move || source.load(&network_options, &job);
        let engine = Engine::start(build, config.clone(), Arc::clone(&tokens), engine_options).await?;
        let loaded = Loaded::new(device.name(), engine.weight_type.clone(), engine.memory).with_health(engine.health());
        Ok(loaded.with_transcription(Arc::new(Transcriber::new(tokens, &config, engine))))
    }
}
