//! What a model must offer to live in a registry.
//!
//! A wrapper describes a model, makes its files present, and turns them into a [`Loaded`]. It keeps
//! no state of its own: the registry drives the life cycle, so that no wrapper can report wrongly.
//! Unloading is not a method: dropping the [`Loaded`] frees everything.

pub(crate) mod engine;
mod health;
mod loaded;
mod origin;

use async_trait::async_trait;

use crate::error::Result;
use crate::hub::Source;
use crate::nn::Device;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::nn::Threads;
use crate::task::Task;

pub use crate::hub::DownloadOptions;
pub use crate::hub::FileInventory;
pub use crate::hub::ModelFile;
pub use crate::job::Job;
pub use crate::job::Progress;
pub use health::Health;
pub use loaded::Loaded;
pub use loaded::MemoryRange;
pub use loaded::MemoryUse;

pub(crate) use origin::Origin;
pub(crate) use origin::not_downloaded;
pub(crate) use origin::weights_bytes;

/// A model that a registry can download and load.
///
/// Both long duties may block or compute as long as they like on the thread they are called on: the
/// registry runs each on a task of its own, and turns a panic into a failure of this model alone.
/// They should call [`Job::check`] between steps, so that cancelling is prompt.
#[async_trait]
pub trait ModelWrapper: Send + Sync + 'static {
    /// Describes the model without touching files or network.
    fn describe(&self) -> ModelInfo;

    /// Lists the model's files and which of them are present. Reads the disk, never the network.
    ///
    /// # Errors
    /// When the models directory cannot be read.
    async fn files(&self) -> Result<FileInventory>;

    /// Longest context in tokens that a load would give, by what the files say; `None` for models without one
    /// and for files that cannot be read, which a load will tell. Asked only while the files are complete.
    /// Reads as little of the disk as it can, never the network.
    fn max_model_len(&self) -> Option<usize> {
        None
    }

    /// The memory that a load is thought to take, by what the files say; `None` where that is not known. Asked only
    /// while the files are complete, which `files` tells. Reads as little of the disk as it can, never the network,
    /// and opens no device.
    fn memory_range(&self, files: &FileInventory) -> Option<MemoryRange> {
        let _ = files;
        None
    }

    /// Makes all files present; files that are there already are kept.
    ///
    /// # Errors
    /// [`crate::Error::Hub`] with the hub's refusal or fault, [`crate::Error::Unavailable`] when
    /// cancelled or the disk is full.
    async fn download(&self, options: &DownloadOptions, job: &Job) -> Result<()>;

    /// Turns the files into a running model.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] for files that are broken or not supported,
    /// [`crate::Error::Unavailable`] when memory is short or the load was cancelled.
    async fn load(&self, options: &LoadOptions, job: &Job) -> Result<Loaded>;
}

/// What a model is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Its family in the catalogue, such as `qwen`.
    pub family: String,
    /// What it does.
    pub task: Task,
    /// Where its files come from.
    pub source: Source,
    /// Languages it understands, ISO 639-1; empty where that is not known.
    pub languages: Vec<String>,
    /// Its licence, where known.
    pub license: Option<String>,
    /// The page on which a gated model's licence is accepted.
    pub license_url: Option<String>,
}

impl ModelInfo {
    /// A model of `family` for `task` from `source`.
    pub fn new(family: impl Into<String>, task: Task, source: Source) -> Self {
        Self {
            family: family.into(),
            task,
            source,
            languages: Vec::new(),
            license: None,
            license_url: None,
        }
    }
}

/// How to load, where it differs from the model's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The device to load on.
    pub device: Option<DevicePreference>,
    /// The type of the weights.
    pub dtype: Option<DtypePreference>,
    /// Whether idle models may be unloaded to make room.
    pub evict: bool,
    /// What it computes with on the processor. A registry hands its own to every model; `None` makes new ones.
    pub threads: Option<Threads>,
    /// Loads although the estimate does not fit; a real failure to allocate still fails cleanly.
    pub force: bool,
}

impl LoadOptions {
    /// Begins a load: opens the device that is asked for here, or else the `configured` one.
    ///
    /// # Errors
    /// When the device is not there.
    pub(crate) fn open_device(&self, configured: DevicePreference) -> Result<Device> {
        Device::open_on(self.device.unwrap_or(configured), self.threads.as_ref())
    }

    /// Loads on `device`.
    #[must_use]
    pub fn with_device(self, device: DevicePreference) -> Self {
        Self {
            device: Some(device),
            ..self
        }
    }
}
