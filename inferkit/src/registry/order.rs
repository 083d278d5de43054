//! What is wanted of a model, and how the work for it ended.

use crate::error::Error;
use crate::error::UnavailableFault;
use crate::registry::ErrorReport;
use crate::registry::OperationKind;
use crate::registry::UnloadOptions;
use crate::registry::journal::Entry;
use crate::registry::machine::Ask;
use crate::registry::machine::Ending;
use crate::wrapper::DownloadOptions;
use crate::wrapper::FileInventory;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;
use crate::wrapper::MemoryRange;
use crate::wrapper::ModelInfo;

/// The operation at work.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) entry: Entry,
    pub(super) job: Job,
    pub(super) origin: Origin,
}

/// Who wants an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A person or a request.
    Caller,
    /// The registry itself.
    Registry,
}

/// What is wanted, with its options.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Download(DownloadOptions),
    Load(LoadOptions),
    Unload(UnloadOptions),
}

/// How an operation's work ended.
pub(super) enum Outcome {
    Downloaded,
    Loaded(Loaded),
    Unloaded,
    Failed(Error),
    /// A wreck was in the way: nothing was begun, and the model is as broken as before.
    Blocked {
        error: Error,
        /// Why the model broke.
        reason: ErrorReport,
    },
}

/// What follows from an operation's outcome.
pub(super) struct Conclusion {
    pub(super) ending: Ending,
    /// Why the operation did not succeed.
    pub(super) error: Option<Error>,
    /// What is told of the model from now on.
    pub(super) report: Option<ErrorReport>,
    pub(super) loaded: Option<Loaded>,
}

/// What a wrapper tells of its model.
pub(super) struct Inspection {
    pub(super) info: ModelInfo,
    pub(super) files: FileInventory,
    /// Longest context that the files allow, in tokens.
    pub(super) max_model_len: Option<usize>,
    /// The memory that a load is thought to take.
    pub(super) memory_range: Option<MemoryRange>,
}

impl Request {
    pub(super) const fn kind(&self) -> OperationKind {
        match self {
            Self::Download(_) => OperationKind::Download,
            Self::Load(_) => OperationKind::Load,
            Self::Unload(_) => OperationKind::Unload,
        }
    }

    pub(super) const fn ask(&self) -> Ask {
        match self {
            Self::Download(options) => Ask::Download {
                again: options.force || options.revision.is_some(),
            },
            Self::Load(_) => Ask::Load,
            Self::Unload(_) => Ask::Unload,
        }
    }
}

impl Outcome {
    /// What follows for an operation of this `kind` on the model `key`, whose files are now `files`.
    pub(super) fn concluded(self, kind: OperationKind, key: &str, files: &FileInventory) -> Conclusion {
        let (error, report, loaded) = match self {
            Self::Downloaded if !files.complete => (Some(missing_after_download(key, files)), None, None),
            Self::Downloaded | Self::Unloaded => (None, None, None),
            Self::Loaded(loaded) => (None, None, Some(loaded)),
            Self::Failed(error) => (Some(error), None, None),
            Self::Blocked { error, reason } => (Some(error), Some(reason), None),
        };
        let ending = match report {
            Some(_) => Ending::Fault,
            None => ending(kind, error.as_ref()),
        };
        Conclusion {
            ending,
            report: report.or_else(|| error.clone().map(ErrorReport::now)),
            error,
            loaded,
        }
    }
}

/// How an operation ended, by what went wrong.
fn ending(kind: OperationKind, error: Option<&Error>) -> Ending {
    let Some(error) = error else { return Ending::Done };
    let busy = matches!(
        error,
        Error::Unavailable {
            code: UnavailableFault::Busy,
            ..
        }
    );
    let stopped = match kind {
        OperationKind::Download | OperationKind::Load => error.is_cancelled() || error.is_refusal(),
        OperationKind::Unload => busy,
    };
    if stopped { Ending::Stopped } else { Ending::Fault }
}

fn missing_after_download(key: &str, files: &FileInventory) -> Error {
    let missing = files
        .files
        .iter()
        .find(|file| !file.present)
        .map(|file| file.path.display().to_string());
    Error::internal(format!(
        "the download of the model '{key}' ended and {} is missing; download it again",
        missing.as_deref().unwrap_or("a file"),
    ))
}
