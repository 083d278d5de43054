//! Bringing a model up for a request: what may be started, what is waited for, what is answered.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::registry::OnDemand;
use crate::registry::Operation;
use crate::registry::OperationKind;
use crate::registry::OperationState;
use crate::registry::drive::is_short_of_memory;
use crate::registry::lease::Lease;
use crate::registry::machine::State;
use crate::registry::order::Origin;
use crate::registry::order::Request;
use crate::registry::shared::closing;
use crate::registry::slot::Core;
use crate::registry::slot::Slot;
use crate::wrapper::DownloadOptions;
use crate::wrapper::LoadOptions;

/// What a request finds.
enum Way {
    Ready(Lease),
    /// To be asked again once this operation has ended.
    After(String),
}

impl Slot {
    /// A lease, once the model serves; starts what `may_start` allows.
    pub(super) async fn bring_up(self: &Arc<Self>, may_start: OnDemand) -> Result<Lease> {
        loop {
            let operation = match self.way(may_start)? {
                Way::Ready(lease) => return Ok(lease),
                Way::After(id) => self.wait(&id).await?,
            };
            self.told_to_waiting(operation)?;
        }
    }

    fn way(self: &Arc<Self>, may_start: OnDemand) -> Result<Way> {
        let mut core = self.core();
        if self.shared.closing.is_cancelled() {
            return Err(closing());
        }
        let begin = |core: &mut Core, kind| self.begin_for_request(core, kind, may_start).map(Way::After);
        match core.state {
            State::Loaded => match self.lease(&mut core) {
                Some(lease) => Ok(Way::Ready(lease)),
                None => Err(Error::internal(format!(
                    "the model '{}' is loaded without weights",
                    self.key
                ))),
            },
            State::Downloading | State::Loading => running_id(&core, &self.key).map(Way::After),
            State::Unloading if core.is_left_by(Origin::Registry) => running_id(&core, &self.key).map(Way::After),
            State::Unloading => Err(self.not_loaded("is being unloaded")),
            State::NotDownloaded => begin(&mut core, OperationKind::Download),
            State::Unloaded => begin(&mut core, OperationKind::Load),
            State::Failed { complete } => {
                self.check_fault_has_aged(&core)?;
                begin(
                    &mut core,
                    if complete {
                        OperationKind::Load
                    } else {
                        OperationKind::Download
                    },
                )
            }
        }
    }

    fn begin_for_request(
        self: &Arc<Self>,
        core: &mut Core,
        kind: OperationKind,
        may_start: OnDemand,
    ) -> Result<String> {
        let request = match (kind, may_start) {
            (OperationKind::Download, OnDemand::Download) => Request::Download(DownloadOptions::default()),
            (OperationKind::Load, OnDemand::Download | OnDemand::Load) => Request::Load(LoadOptions {
                evict: true,
                ..LoadOptions::default()
            }),
            (OperationKind::Download, OnDemand::Load | OnDemand::Never) => {
                return Err(self.not_loaded("is not downloaded, and a request may not download it"));
            }
            (OperationKind::Load | OperationKind::Unload, _) => {
                return Err(self.not_loaded("is not loaded, and a request may not load it"));
            }
        };
        self.start(core, request, Origin::Caller).map(|operation| operation.id)
    }

    /// Fails while the last fault is too fresh, or of a kind that time does not mend.
    fn check_fault_has_aged(&self, core: &Core) -> Result<()> {
        match &core.error {
            Some(report)
                if !report.error.is_retryable() || core.error_at.elapsed() < self.shared.retry_failed_after =>
            {
                Err(answered(&report.error))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What a request that waited for `operation` is told: nothing if it may go on.
    fn told_to_waiting(&self, operation: Operation) -> Result<()> {
        let (state, kind) = (operation.state, operation.kind);
        match (state, kind, operation.error) {
            (OperationState::Cancelled, ..) => Err(self.not_loaded(match kind {
                OperationKind::Download => "is not loaded: its download was cancelled",
                OperationKind::Load | OperationKind::Unload => "is not loaded: its load was cancelled",
            })),
            // A request does not care why a model was not unloaded.
            (OperationState::Failed, OperationKind::Download | OperationKind::Load, Some(error)) => {
                Err(answered(&error))
            }
            (OperationState::Failed | OperationState::Succeeded, ..) => Ok(()),
            (OperationState::Running | OperationState::Cancelling, ..) => Err(Error::internal(format!(
                "the operation {} ended while it ran",
                operation.id
            ))),
        }
    }

    fn not_loaded(&self, why: &str) -> Error {
        let message = format!("The model '{}' {why}.", self.key);
        Error::unavailable(UnavailableFault::ModelNotLoaded, message)
    }

    /// What a request is told that cannot or does not want to wait.
    pub(super) fn not_ready(&self) -> Error {
        let core = self.core();
        match core.state {
            State::NotDownloaded => self.not_loaded("is not downloaded"),
            State::Unloaded => self.not_loaded("is not loaded"),
            State::Unloading => self.not_loaded("is being unloaded"),
            State::Failed { .. } => core
                .error
                .as_ref()
                .map_or_else(|| self.not_loaded("has failed"), |report| answered(&report.error)),
            State::Downloading | State::Loading | State::Loaded => {
                let running = core.running.as_ref().map(|running| running.entry.borrow().clone());
                let (message, wait) = on_its_way(&self.key, running.as_ref());
                Error::unavailable(UnavailableFault::ModelLoading, message).with_retry_after(wait)
            }
        }
    }
}

fn running_id(core: &Core, key: &str) -> Result<String> {
    let running = core.running.as_ref().map(|running| running.entry.borrow().id.clone());
    running.ok_or_else(|| Error::internal(format!("the model '{key}' is at work without an operation")))
}

/// The answer to a request whose model failed with `error`.
///
/// What a person has to mend elsewhere is passed on as it is; the rest is the model's failure.
fn answered(error: &Error) -> Error {
    if error.is_refusal()
        || is_short_of_memory(error)
        || matches!(
            error,
            Error::Unavailable {
                code: UnavailableFault::ShuttingDown,
                ..
            }
        )
    {
        return error.clone();
    }
    Error::unavailable(UnavailableFault::ModelFailed, error.to_string()).with_source(error.clone())
}

/// Says which step runs and how far it is; and when asking again makes sense, between 1 s and 60 s.
fn on_its_way(key: &str, running: Option<&Operation>) -> (String, Duration) {
    const UNKNOWN_WAIT: Duration = Duration::from_secs(5);
    let Some(operation) = running else {
        return (
            format!("The model '{key}' is ready in a moment; ask again."),
            Duration::from_secs(1),
        );
    };
    let step = match operation.kind {
        OperationKind::Download => "downloaded",
        OperationKind::Load => "loaded",
        OperationKind::Unload => "unloaded",
    };
    let progress = &operation.progress;
    let phase = if progress.phase.is_empty() {
        String::new()
    } else {
        format!(" ({})", progress.phase)
    };
    let Some(total) = progress.total_bytes.filter(|total| *total > 0) else {
        return (
            format!("The model '{key}' is being {step}{phase}; ask again."),
            UNKNOWN_WAIT,
        );
    };
    let share = (progress.done_bytes as f64 / total as f64).clamp(0.0, 1.0);
    let elapsed = operation.created_at.elapsed().unwrap_or_default();
    let left = if share > 0.0 {
        elapsed.mul_f64((1.0 - share) / share)
    } else {
        UNKNOWN_WAIT
    };
    let message = format!(
        "The model '{key}' is being {step}{phase}: {:.0} %, about {} s left; ask again.",
        share * 100.0,
        left.as_secs().max(1),
    );
    (message, left.clamp(Duration::from_secs(1), Duration::from_mins(1)))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::wrapper::Progress;

    fn operation(progress: Progress, elapsed: Duration) -> Operation {
        Operation {
            id: "op_1".to_owned(),
            kind: OperationKind::Download,
            model: "qwen".to_owned(),
            state: OperationState::Running,
            changed: true,
            created_at: SystemTime::now() - elapsed,
            finished_at: None,
            progress,
            error: None,
        }
    }

    #[test]
    fn a_request_that_does_not_wait_is_told_the_step_its_progress_and_an_estimate() {
        let half = Progress::phase("fetching").with_bytes(50, Some(100));
        let (message, wait) = on_its_way("qwen", Some(&operation(half, Duration::from_secs(20))));
        assert!(
            message.starts_with("The model 'qwen' is being downloaded (fetching): 50 %, about 20 s"),
            "{message}"
        );
        assert!((20..=21).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn the_time_to_wait_stays_between_a_second_and_a_minute() {
        let barely = Progress::phase("fetching").with_bytes(1, Some(1_000_000_000));
        assert_eq!(
            on_its_way("qwen", Some(&operation(barely, Duration::from_mins(10))))
                .1
                .as_secs(),
            60
        );
        let done = Progress::phase("fetching").with_bytes(9, Some(9));
        assert_eq!(
            on_its_way("qwen", Some(&operation(done, Duration::ZERO))).1.as_secs(),
            1
        );
        let nothing_known = operation(Progress::default(), Duration::from_secs(3));
        assert_eq!(on_its_way("qwen", Some(&nothing_known)).1.as_secs(), 5);
    }
}
