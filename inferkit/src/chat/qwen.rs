//! The wrapper of the chat families: Llama, Qwen2, Qwen3 and Qwen3-MoE, from a hub repository or a path.
//!
//! ```text
//! source ─ hub ─▶ files ─▶ text layer ────────────────────────────┐
//!                  └▶ decoder source ─ memory ─▶ engine: decoder ─┴▶ Loaded
//! ```
//!
//! Which family a model is of stands in its files; the name of this wrapper is that of the first it was made for.

mod memory;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::chat::decoder::Decoder;
use crate::chat::decoder::DecoderOptions;
use crate::chat::decoder::DecoderSource;
use crate::chat::engine::Engine;
use crate::chat::engine::EngineConfig;
use crate::chat::files::ModelFiles;
use crate::chat::model::TextChat;
use crate::chat::runner::Runner;
use crate::chat::text::TextLayer;
use crate::error::Error;
use crate::error::Result;
use crate::formats::gguf::Gguf;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::Source;
use crate::nn::CacheDtypePreference;
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

/// Tokens in a block of the cache, for an estimate before the device is known.
const LIKELY_BLOCK: usize = 32;

/// A chat model of the families Llama, Qwen2, Qwen3 and Qwen3-MoE.
///
/// ```no_run
/// # async fn example() -> inferkit::Result<()> {
/// use std::sync::Arc;
///
/// use inferkit::{Hub, ModelRegistry, QwenModel, Source};
///
/// let hub = Hub::builder("models").build()?;
/// let model = QwenModel::new(Source::hub("Qwen/Qwen3-0.6B"), hub);
/// # let _: Arc<dyn inferkit::ModelWrapper> = Arc::new(model);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct QwenModel {
    origin: Origin,
    options: QwenOptions,
}

/// How a chat model is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QwenOptions {
    /// Where it computes.
    pub device: DevicePreference,
    /// The type of its weights.
    pub dtype: DtypePreference,
    /// The type of its keys and values: what a context takes of the memory, and attention reads.
    pub cache_dtype: CacheDtypePreference,
    /// Which files of the source it consists of; `None` is its safetensors, and for a path also its one GGUF.
    pub files: Option<FileSelection>,
    /// Most bytes of weights and key/value cache together; `None` takes four contexts' worth of cache, and no more
    /// than a quarter of the memory that is free beside the weights.
    pub memory_budget: Option<u64>,
    /// Longest prompt and answer in tokens; `None` is what the model is made for, at most 32,768.
    pub max_model_len: Option<usize>,
    /// Most requests in line; `None` is 64.
    pub max_queued: Option<usize>,
    /// Longest wait in line; `None` is a minute.
    pub queue_timeout: Option<Duration>,
}

impl QwenOptions {
    /// Sets the type of the weights.
    #[must_use]
    pub fn with_dtype(self, dtype: DtypePreference) -> Self {
        Self { dtype, ..self }
    }

    /// Sets the type of keys and values.
    #[must_use]
    pub fn with_cache_dtype(self, cache_dtype: CacheDtypePreference) -> Self {
        Self { cache_dtype, ..self }
    }
}

impl QwenModel {
    /// The model at `source`, with everything at its default.
    pub fn new(source: Source, hub: Hub) -> Self {
        Self {
            origin: Origin { source, hub },
            options: QwenOptions::default(),
        }
    }

    /// Sets how it is run.
    #[must_use]
    pub fn with_options(self, options: QwenOptions) -> Self {
        Self { options, ..self }
    }

    fn selection(&self) -> FileSelection {
        let published = FileSelection::safetensors();
        match (&self.options.files, &self.origin.source) {
            (Some(files), _) => files.clone(),
            (None, Source::Path(_)) => {
                let weights: Vec<_> = published
                    .first_of
                    .iter()
                    .cloned()
                    .chain(["*.gguf".to_owned()])
                    .collect();
                published.with_first_of(weights)
            }
            (None, Source::Hub { .. }) => published,
        }
    }

    /// The files to load from, all of them present.
    fn located(&self) -> Result<ModelFiles> {
        let selection = self.selection();
        let place = self.origin.located(&selection)?;
        // A repository's folder may hold other files of earlier downloads beside the ones asked for.
        match self
            .options
            .files
            .as_ref()
            .map(|_| self.origin.inventory(&selection))
            .transpose()?
        {
            Some(chosen) if place.is_dir() => first_gguf(&place, &chosen).map_or_else(|| ModelFiles::find(&place), Ok),
            Some(_) | None => ModelFiles::find(&place),
        }
    }

    /// Longest prompt and answer in tokens, memory permitting.
    fn longest_context(&self, source: &DecoderSource) -> usize {
        memory::longest_context(self.options.max_model_len, source.config().max_positions)
    }

    fn engine_config(&self) -> EngineConfig {
        let default = EngineConfig::default();
        EngineConfig {
            max_queued: self.options.max_queued.unwrap_or(default.max_queued),
            queue_timeout: self.options.queue_timeout.unwrap_or(default.queue_timeout),
            ..default
        }
    }
}

#[async_trait]
impl ModelWrapper for QwenModel {
    fn describe(&self) -> ModelInfo {
        self.origin.describe("qwen", Task::Chat)
    }

    async fn files(&self) -> Result<FileInventory> {
        self.origin.inventory(&self.selection())
    }

    fn max_model_len(&self) -> Option<usize> {
        let source = DecoderSource::open(&self.located().ok()?).ok()?;
        Some(self.longest_context(&source))
    }

    fn memory_range(&self, files: &FileInventory) -> Option<MemoryRange> {
        let source = DecoderSource::open(&self.located().ok()?).ok()?;
        let wish = memory::Wish {
            max_model_len: self.longest_context(&source),
            budget: self.options.memory_budget,
            block_size: LIKELY_BLOCK,
            force: true,
        };
        let (weights, of_token) = (
            weights_bytes(files),
            source.cache_bytes_per_token(self.options.cache_dtype),
        );
        Some(memory::range(weights, of_token, &wish, memory::available("cpu")))
    }

    async fn download(&self, options: &DownloadOptions, job: &Job) -> Result<()> {
        self.origin.download(&self.selection(), options, job).await
    }

    async fn load(&self, options: &LoadOptions, job: &Job) -> Result<Loaded> {
        job.check()?;
        job.report(Progress::phase("opening files"));
        let files = self.located()?;
        let device = options.open_device(self.options.device)?;
        let dtype = options.dtype.unwrap_or(self.options.dtype);
        let source = DecoderSource::open(&files)?;
        let text = Arc::new(text_layer(&files)?);
        check_vocabulary(&text, &source)?;
        job.check()?;

        let plan = memory::plan(
            &source.memory(&device, dtype, self.options.cache_dtype)?,
            &memory::Wish {
                max_model_len: self.longest_context(&source),
                budget: self.options.memory_budget,
                block_size: device.block_size(),
                force: options.force,
            },
            memory::available(device.name()),
        )?;
        let decoder_options = DecoderOptions {
            device: device.clone(),
            dtype,
            cache_dtype: self.options.cache_dtype,
            cache: plan.cache,
            max_model_len: Some(plan.max_model_len),
        };
        let (tell, told) = oneshot::channel();
        let job = job.clone();
        let build = move || {
            let decoder = Decoder::load(&source, &decoder_options, &job)?;
            // Nobody listens if the load was given up.
            let _ = tell.send((decoder.memory(), decoder.weight_type().to_owned()));
            Ok(Box::new(decoder) as Box<dyn Runner>)
        };
        let engine = Engine::start("inferkit-chat", self.engine_config(), build).await?;
        let (memory, dtype) = told
            .await
            .map_err(|_| Error::internal("a decoder was loaded and told nothing"))?;
        let health = engine.admission().health().clone();
        let chat = Arc::new(TextChat::new(text, engine));
        Ok(Loaded::new(device.name(), dtype, memory)
            .with_health(health)
            .with_chat(chat))
    }
}

fn first_gguf(folder: &Path, chosen: &FileInventory) -> Option<ModelFiles> {
    let is_gguf = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
    };
    let first = chosen
        .files
        .iter()
        .map(|file| &file.path)
        .filter(|path| is_gguf(path))
        .min()?;
    Some(ModelFiles::Gguf(folder.join(first)))
}

fn text_layer(files: &ModelFiles) -> Result<TextLayer> {
    match files {
        ModelFiles::Folder(folder) => TextLayer::from_folder(folder),
        ModelFiles::Gguf(path) => TextLayer::from_gguf(&Gguf::open(path)?),
    }
}

/// The embedding may have more rows than the tokenizer has tokens, never fewer.
fn check_vocabulary(text: &TextLayer, source: &DecoderSource) -> Result<()> {
    let (tokens, rows) = (text.vocabulary(), source.config().vocabulary);
    if tokens <= rows {
        return Ok(());
    }
    Err(Error::bad_model(format!(
        "the tokenizer has {tokens} tokens and the embedding {rows} rows; the two belong to different models"
    )))
}
