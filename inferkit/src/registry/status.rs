//! What is told of a model at any moment.

use std::time::SystemTime;

use crate::error::Error;
use crate::registry::ModelPolicy;
use crate::wrapper::FileInventory;
use crate::wrapper::MemoryRange;
use crate::wrapper::MemoryUse;
use crate::wrapper::ModelInfo;

/// Where a model is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeStatus {
    /// Files are missing.
    NotDownloaded,
    /// Files are being fetched.
    Downloading,
    /// Files are present, nothing is in memory.
    Unloaded,
    /// Files are being read into memory.
    Loading,
    /// Ready to serve.
    Loaded,
    /// Leaving memory once the last lease is dropped.
    Unloading,
    /// The last download or load failed, or the loaded model broke; it may be tried again.
    Failed,
}

impl RuntimeStatus {
    /// The spelling used over HTTP, in metrics and in the dashboard.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotDownloaded => "not_downloaded",
            Self::Downloading => "downloading",
            Self::Unloaded => "unloaded",
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Unloading => "unloading",
            Self::Failed => "failed",
        }
    }
}

/// A model as it stands at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelStatus {
    /// Its name in the registry.
    pub key: String,
    /// What it is.
    pub info: ModelInfo,
    /// What the registry may do with it.
    pub policy: ModelPolicy,
    /// Where it is in its life.
    pub runtime_status: RuntimeStatus,
    /// Its files.
    pub files: FileInventory,
    /// Where its weights are, while loaded.
    pub device: Option<String>,
    /// The type of its weights, while loaded.
    pub dtype: Option<String>,
    /// The memory it takes, while loaded, and after it broke until it has left memory.
    pub memory: Option<MemoryUse>,
    /// The memory that a load is thought to take, by files that are present.
    pub memory_range: Option<MemoryRange>,
    /// Longest context in tokens, for models that have one; before the load, what the files allow.
    pub max_model_len: Option<usize>,
    /// Since when it is loaded.
    pub loaded_at: Option<SystemTime>,
    /// When a lease was last taken or dropped.
    pub last_used_at: Option<SystemTime>,
    /// Leases that are alive.
    pub active_requests: usize,
    /// Requests in line, while a model is loaded that tells.
    pub queued_requests: Option<usize>,
    /// Tokens produced a second of late, while a model is loaded that tells.
    pub tokens_per_second: Option<f64>,
    /// The operation that is running, by its id.
    pub operation: Option<String>,
    /// Why the last operation did not succeed, or the loaded model broke.
    pub error: Option<ErrorReport>,
}

/// An error and when it happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ErrorReport {
    /// What went wrong.
    pub error: Error,
    /// When.
    pub at: SystemTime,
}

impl ErrorReport {
    /// `error`, which happened now.
    pub fn now(error: Error) -> Self {
        Self {
            error,
            at: SystemTime::now(),
        }
    }
}
