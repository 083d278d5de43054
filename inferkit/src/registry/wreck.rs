//! A loaded model that can serve no more, until it has left memory.
//!
//! ```text
//! break_down ─▶ state Failed, leases told to end ─▶ the last ends ─▶ weights dropped ─▶ memory promised to others
//! ```
//!
//! **Invariant:** while there is a wreck, the wrapper is given no work, the wreck's memory stays promised to it, and
//! every operation that it blocks ends in `Failed`. (Weights whose drop hangs for as long as work may are given up
//! and forgotten.)

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::error::UnavailableFault;
use crate::registry::ErrorReport;
use crate::registry::drive;
use crate::registry::machine::Input;
use crate::registry::machine::Step;
use crate::registry::order::Outcome;
use crate::registry::order::Running;
use crate::registry::slot::Core;
use crate::registry::slot::Slot;
use crate::wrapper::MemoryUse;
use crate::wrapper::Progress;

/// Time that an operation gives the leases on a wreck, which were told to end when the model failed.
const LAST_LEASES: Duration = Duration::from_secs(10);

/// What is known of a model that has failed and is still in memory.
pub(super) struct Wreck {
    /// Why it failed, and when.
    pub(super) report: ErrorReport,
    /// The memory it takes.
    pub(super) memory: MemoryUse,
}

impl Slot {
    /// The loaded model has failed with `reason`: nobody gets it any more, and its memory is freed once its
    /// leases have come to their end, however long they take.
    pub(super) fn break_down(self: &Arc<Self>, core: &mut Core, reason: Error) {
        let complete = core.files.complete;
        let Step::Become(state) = core.state.step(Input::Broke { complete }) else {
            return;
        };
        tracing::error!(model = self.key, code = reason.code(), error = %reason, "a loaded model has failed");
        let report = ErrorReport::now(reason);
        core.state = state;
        core.error = Some(report.clone());
        core.error_at = Instant::now();
        let serving = core.serving.take();
        core.wreck = serving.as_ref().map(|serving| Wreck {
            report,
            memory: serving.loaded.memory,
        });
        self.tell(core);
        let Some(serving) = serving else { return };
        serving.ended.cancel();
        let slot = Arc::clone(self);
        self.runtime.spawn(async move {
            slot.until_freed(|core| core.leases == 0).await;
            if let Err(error) = drive::discard(&slot, serving.loaded).await {
                tracing::warn!(model = slot.key, %error, "a failed model was not dropped in time");
            }
            slot.wreck_has_left();
        });
    }

    fn wreck_has_left(&self) {
        let mut core = self.core();
        self.shared.budget.release(&self.key);
        core.wreck = None;
        self.tell(&mut core);
        self.freed.notify_waiters();
    }

    /// Waits until no wreck is in memory, so that the work of `running` may begin.
    ///
    /// # Errors
    /// [`Outcome::Blocked`] when its leases do not end, or the operation is cancelled before.
    pub(super) async fn wait_for_wreck(&self, running: &Running) -> Result<(), Outcome> {
        let Some(reason) = self.core().wreck.as_ref().map(|wreck| wreck.report.clone()) else {
            return Ok(());
        };
        let show = |progress| {
            self.shared
                .journal
                .change(&running.entry, |operation| operation.progress = progress);
        };
        show(Progress::phase("waiting for the failed model to leave memory"));
        let left = async {
            let last_lease = self.until_freed(|core| core.wreck.is_none() || core.leases == 0);
            if tokio::time::timeout(LAST_LEASES, last_lease).await.is_err() {
                return Err(self.still_used());
            }
            self.wreck_left().await;
            Ok(())
        };
        let result = tokio::select! {
            biased;
            () = running.job.cancelled() => Err(Error::cancelled()),
            result = left => result,
        };
        show(Progress::default());
        result.map_err(|error| Outcome::Blocked { error, reason })
    }

    /// Waits until no wreck is in memory, for as long as it takes.
    pub(super) async fn wreck_left(&self) {
        self.until_freed(|core| core.wreck.is_none()).await;
    }

    fn still_used(&self) -> Error {
        let message = format!(
            "the model '{}' has failed and requests that were told to end still keep it in memory; try again later",
            self.key
        );
        Error::unavailable(UnavailableFault::Busy, message)
    }
}
