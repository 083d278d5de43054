//! What the admin routes show of models and operations.

use std::time::Duration;
use std::time::SystemTime;

use inferkit::Error;
use inferkit::ModelFile;
use inferkit::ModelStatus;
use inferkit::Operation;
use inferkit::Progress;
use inferkit::Source;
use poem_openapi::Object;

use crate::clock::rfc3339;

/// A model as it stands at this moment. What is not known is null.
#[derive(Debug, Object)]
#[oai(rename = "AdminModel")]
pub(crate) struct ModelView {
    /// Its name in the registry.
    key: String,
    /// `qwen`, `canary`, `whisper` or `pyannote`.
    family: String,
    /// `chat`, `embed`, `transcribe` or `diarize`.
    task: String,
    /// Where its files come from.
    source: SourceView,
    /// Whether its licence has to be accepted at the hub.
    #[oai(nullable)]
    gated: Option<bool>,
    /// The page on which its licence is accepted.
    #[oai(nullable)]
    license_url: Option<String>,
    /// Where it is in its life: `not_downloaded`, `downloading`, `unloaded`, `loading`, `loaded`,
    /// `unloading` or `failed`.
    runtime_status: String,
    /// Its files, counted.
    files: FilesView,
    /// Where its weights are, while loaded.
    #[oai(nullable)]
    device: Option<String>,
    /// The type of its weights, while loaded.
    #[oai(nullable)]
    dtype: Option<String>,
    /// The memory it takes.
    memory: MemoryView,
    /// Longest context in tokens; before the load, what the files and the configuration allow.
    #[oai(nullable)]
    max_model_len: Option<u64>,
    /// Languages it understands, ISO 639-1.
    languages: Vec<String>,
    /// Its licence.
    #[oai(nullable)]
    license: Option<String>,
    /// Other names under which it is found.
    aliases: Vec<String>,
    /// What a request for it may start: `download`, `load` or `never`.
    on_demand: String,
    /// Whether it is loaded when the server starts.
    preload: bool,
    /// Since when it is loaded.
    #[oai(nullable)]
    loaded_at: Option<String>,
    /// When it was last used.
    #[oai(nullable)]
    last_used_at: Option<String>,
    /// Requests that use it.
    active_requests: u64,
    /// Requests in line for it, while it is loaded and has a line.
    #[oai(nullable)]
    queued_requests: Option<u64>,
    /// The operation that is running.
    #[oai(nullable)]
    operation: Option<String>,
    /// Why the last operation did not succeed, or the loaded model broke.
    #[oai(nullable)]
    error: Option<ErrorView>,
}

/// Where a model's files come from.
#[derive(Debug, Object)]
#[oai(rename = "ModelSource")]
pub(crate) struct SourceView {
    /// `hub` or `path`.
    kind: String,
    /// The repository.
    #[oai(nullable)]
    repo: Option<String>,
    /// The revision that was asked for.
    #[oai(nullable)]
    revision: Option<String>,
    /// The commit that it stands for.
    #[oai(nullable)]
    resolved_revision: Option<String>,
    /// The folder or file.
    #[oai(nullable)]
    path: Option<String>,
}

/// A model's files, counted.
#[derive(Debug, Object)]
#[oai(rename = "ModelFiles")]
pub(crate) struct FilesView {
    /// Files that are present.
    present: u64,
    /// Files in all.
    total: u64,
    /// Bytes of the files that are present.
    bytes_present: u64,
    /// Bytes of all files.
    #[oai(nullable)]
    bytes_total: Option<u64>,
    /// Whether the content of all files was checked.
    #[oai(nullable)]
    verified: Option<bool>,
}

/// The memory of a model, in bytes.
#[derive(Debug, Object)]
#[oai(rename = "ModelMemory")]
#[expect(clippy::struct_field_names, reason = "the names on the wire carry their unit")]
pub(crate) struct MemoryView {
    /// Weights, while loaded, and after the model broke until it has left memory.
    #[oai(nullable)]
    weights_bytes: Option<u64>,
    /// Cache and other state, for as long as weights.
    #[oai(nullable)]
    cache_bytes: Option<u64>,
    /// The most it may take.
    #[oai(nullable)]
    budget_bytes: Option<u64>,
    /// The least it is thought to need.
    #[oai(nullable)]
    estimate_low_bytes: Option<u64>,
    /// The most it is thought to need.
    #[oai(nullable)]
    estimate_high_bytes: Option<u64>,
}

/// An error of an operation.
#[derive(Debug, Object)]
#[oai(rename = "OperationError")]
pub(crate) struct ErrorView {
    /// The kind of error.
    code: String,
    /// What went wrong and what to do.
    message: String,
    /// When.
    at: String,
    /// Whether the same may succeed later without anybody changing anything.
    retryable: bool,
}

/// One file of a model.
#[derive(Debug, Object)]
#[oai(rename = "ModelFile")]
pub(crate) struct FileView {
    /// Its path inside the repository or folder.
    path: String,
    /// Its size.
    #[oai(nullable)]
    bytes: Option<u64>,
    /// The hash of its content.
    #[oai(nullable)]
    sha256: Option<String>,
    /// Whether it is on the disk.
    present: bool,
    /// Whether its content was checked.
    #[oai(nullable)]
    verified: Option<bool>,
}

/// A download, load or unload.
#[derive(Debug, Object)]
#[oai(rename = "Operation")]
pub(crate) struct OperationView {
    /// `op_` and a number.
    id: String,
    /// `download`, `load` or `unload`.
    kind: String,
    /// The model's key.
    model: String,
    /// `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.
    state: String,
    /// Whether there was anything to do.
    changed: bool,
    /// When it was asked for.
    created_at: String,
    /// When it began.
    #[oai(nullable)]
    started_at: Option<String>,
    /// When it ended.
    #[oai(nullable)]
    finished_at: Option<String>,
    /// How far it is.
    progress: ProgressView,
    /// Why it failed.
    #[oai(nullable)]
    error: Option<ErrorView>,
}

/// How far an operation is.
#[derive(Debug, Object)]
#[oai(rename = "OperationProgress")]
pub(crate) struct ProgressView {
    /// What is being done.
    phase: String,
    /// Bytes done.
    done_bytes: u64,
    /// Bytes in all.
    #[oai(nullable)]
    total_bytes: Option<u64>,
    /// Files done.
    done_files: u64,
    /// Files in all.
    #[oai(nullable)]
    total_files: Option<u64>,
    /// Mean speed since the beginning.
    #[oai(nullable)]
    bytes_per_second: Option<f64>,
    /// Time left at that speed.
    #[oai(nullable)]
    eta_seconds: Option<f64>,
    /// The file at work.
    #[oai(nullable)]
    file: Option<String>,
}

impl ModelView {
    /// `budget_bytes` is what the configuration lets the model take.
    pub(crate) fn new(model: &ModelStatus, budget_bytes: Option<u64>) -> Self {
        let gated = model
            .error
            .as_ref()
            .is_some_and(|report| report.error.code().starts_with("gated_"));
        Self {
            key: model.key.clone(),
            family: model.info.family.clone(),
            task: model.info.task.as_str().to_owned(),
            source: SourceView::new(&model.info.source, model.files.resolved_revision.clone()),
            gated: gated.then_some(true),
            license_url: model.info.license_url.clone(),
            runtime_status: model.runtime_status.as_str().to_owned(),
            files: FilesView {
                present: model.files.present() as u64,
                total: model.files.files.len() as u64,
                bytes_present: model.files.bytes_present(),
                bytes_total: model.files.bytes_total().filter(|_| !model.files.files.is_empty()),
                verified: None,
            },
            device: model.device.clone(),
            dtype: model.dtype.clone(),
            memory: MemoryView {
                weights_bytes: model.memory.map(|memory| memory.weights_bytes),
                cache_bytes: model.memory.map(|memory| memory.cache_bytes),
                budget_bytes,
                estimate_low_bytes: model.memory_range.map(|range| range.low_bytes),
                estimate_high_bytes: model.memory_range.map(|range| range.high_bytes),
            },
            max_model_len: model.max_model_len.map(|length| length as u64),
            languages: model.info.languages.clone(),
            license: model.info.license.clone(),
            aliases: model.policy.aliases.clone(),
            on_demand: model.policy.on_demand.as_str().to_owned(),
            preload: model.policy.preload,
            loaded_at: model.loaded_at.map(rfc3339),
            last_used_at: model.last_used_at.map(rfc3339),
            active_requests: model.active_requests as u64,
            queued_requests: model.queued_requests.map(|requests| requests as u64),
            operation: model.operation.clone(),
            error: model
                .error
                .as_ref()
                .map(|report| ErrorView::new(&report.error, report.at)),
        }
    }
}

impl SourceView {
    fn new(source: &Source, resolved_revision: Option<String>) -> Self {
        let (kind, repo, revision, path) = match source {
            Source::Hub { repository, revision } => ("hub", Some(repository.clone()), Some(revision.clone()), None),
            Source::Path(path) => ("path", None, None, Some(path.display().to_string())),
            other => ("path", None, None, Some(other.to_string())),
        };
        Self {
            kind: kind.to_owned(),
            repo,
            revision,
            resolved_revision,
            path,
        }
    }
}

impl ErrorView {
    fn new(error: &Error, at: SystemTime) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            at: rfc3339(at),
            retryable: error.is_retryable(),
        }
    }
}

impl From<&ModelFile> for FileView {
    fn from(file: &ModelFile) -> Self {
        Self {
            path: file.path.display().to_string(),
            bytes: file.bytes,
            sha256: None,
            present: file.present,
            verified: None,
        }
    }
}

impl From<&Operation> for OperationView {
    fn from(operation: &Operation) -> Self {
        let end = operation.finished_at.unwrap_or_else(SystemTime::now);
        let elapsed = end.duration_since(operation.created_at).unwrap_or_default();
        Self {
            id: operation.id.clone(),
            kind: operation.kind.as_str().to_owned(),
            model: operation.model.clone(),
            state: operation.state.as_str().to_owned(),
            changed: operation.changed,
            created_at: rfc3339(operation.created_at),
            started_at: Some(rfc3339(operation.created_at)),
            finished_at: operation.finished_at.map(rfc3339),
            progress: ProgressView::new(&operation.progress, elapsed),
            error: operation.error.as_ref().map(|error| ErrorView::new(error, end)),
        }
    }
}

impl ProgressView {
    fn new(progress: &Progress, elapsed: Duration) -> Self {
        let measured = progress.done_bytes > 0 && elapsed >= Duration::from_secs(1);
        let speed = measured.then(|| progress.done_bytes as f64 / elapsed.as_secs_f64());
        let left = progress
            .total_bytes
            .map(|total| total.saturating_sub(progress.done_bytes));
        Self {
            phase: progress.phase.to_owned(),
            done_bytes: progress.done_bytes,
            total_bytes: progress.total_bytes,
            done_files: progress.done_files as u64,
            total_files: progress.total_files.map(|files| files as u64),
            bytes_per_second: speed,
            eta_seconds: speed.zip(left).map(|(speed, left)| left as f64 / speed),
            file: progress.file.as_ref().map(|file| file.display().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_and_time_left_are_told_once_there_is_something_to_measure() {
        let progress = Progress::phase("fetching").with_bytes(1000, Some(4000));
        let view = ProgressView::new(&progress, Duration::from_secs(2));
        assert_eq!((view.bytes_per_second, view.eta_seconds), (Some(500.0), Some(6.0)));
        let early = ProgressView::new(&progress, Duration::from_millis(10));
        assert_eq!((early.bytes_per_second, early.eta_seconds), (None, None));
    }
}
