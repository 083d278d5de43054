//! A download, load or unload as its observers see it.

use std::time::SystemTime;

use crate::error::Error;
use crate::wrapper::Progress;

/// What is done to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Files are made present.
    Download,
    /// Files are read into memory.
    Load,
    /// Memory is freed.
    Unload,
}

impl OperationKind {
    /// The spelling used over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Load => "load",
            Self::Unload => "unload",
        }
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationState {
    /// At work.
    Running,
    /// Asked to stop, and not yet stopped.
    Cancelling,
    /// Done.
    Succeeded,
    /// Ended by an error.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl OperationState {
    /// The spelling used over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A download, load or unload as it stands at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Operation {
    /// `op_` and a number: unique in its registry, and never one of an earlier process.
    pub id: String,
    /// What is done.
    pub kind: OperationKind,
    /// The model's key.
    pub model: String,
    /// Where it stands.
    pub state: OperationState,
    /// Whether there was anything to do.
    pub changed: bool,
    /// When it was asked for and began.
    pub created_at: SystemTime,
    /// When it ended.
    pub finished_at: Option<SystemTime>,
    /// How far it is.
    pub progress: Progress,
    /// Why it failed.
    pub error: Option<Error>,
}
