//! What follows when a loaded model says that it can serve no more.
//!
//! ```text
//! model's thread ─ Health::fail ─▶ watcher ─▶ state Failed, leases told to end ─▶ weights dropped
//! ```
//!
//! **Invariant:** until the weights are dropped, their memory stays promised and no work begins for the
//! model; so no two loads of it are ever in memory, and a state other than `Failed` never hides one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::registry::ErrorReport;
use crate::registry::drive;
use crate::registry::machine::Input;
use crate::registry::machine::Step;
use crate::registry::slot::Core;
use crate::registry::slot::Slot;
use crate::wrapper::Loaded;

/// Time that the leases on a failed model have to end once its memory is wanted.
const WRECKED_END: Duration = Duration::from_secs(10);

impl Slot {
    /// Acts as soon as the model says that it can serve no more; ends with these weights.
    pub(super) fn watch_health(self: &Arc<Self>, loaded: &Arc<Loaded>) {
        let mut health = loaded.health.watch();
        let (slot, weights) = (Arc::downgrade(self), Arc::downgrade(loaded));
        self.runtime.spawn(async move {
            let reason = match health.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone(),
                Err(_) => None,
            };
            let (Some(reason), Some(slot)) = (reason, slot.upgrade()) else {
                return;
            };
            let mut core = slot.core();
            let serves = core.serving.as_ref().map(|serving| Arc::as_ptr(&serving.loaded));
            if serves == Some(weights.as_ptr()) {
                slot.break_down(&mut core, reason);
            }
        });
    }

    /// The loaded model has failed with `reason`: nobody gets it any more, and its memory is freed once its
    /// leases have come to their end, however long they take.
    pub(super) fn break_down(self: &Arc<Self>, core: &mut Core, reason: Error) {
        let complete = core.files.complete;
        let Step::Become(state) = core.state.step(Input::Broke { complete }) else {
            return;
        };
        tracing::error!(model = self.key, code = reason.code(), error = %reason, "a loaded model has failed");
        core.state = state;
        core.error = Some(ErrorReport::now(reason));
        core.error_at = Instant::now();
        let serving = core.serving.take();
        core.wreck = serving.is_some();
        self.tell(core);
        let Some(serving) = serving else { return };
        serving.ended.cancel();
        let slot = Arc::clone(self);
        self.runtime.spawn(async move {
            slot.freed_until(|core| core.leases == 0).await;
            if let Err(error) = drive::discard(&slot, serving.loaded).await {
                tracing::warn!(model = slot.key, %error, "a failed model was not dropped in time");
            }
            let mut core = slot.core();
            slot.shared.budget.release(&slot.key);
            core.wreck = false;
            drop(core);
            slot.freed.notify_waiters();
        });
    }

    /// Waits until a model that has failed has left memory.
    ///
    /// # Errors
    /// [`UnavailableFault::Busy`] when its leases do not end, which were told to when it failed.
    pub(super) async fn cleared(&self) -> Result<()> {
        let ended = self.freed_until(|core| !core.wreck || core.leases == 0);
        if tokio::time::timeout(WRECKED_END, ended).await.is_err() {
            let leases = self.core().leases;
            let message = format!(
                "the model '{}' has failed and {leases} requests still keep it in memory; try again when they have ended",
                self.key
            );
            return Err(Error::unavailable(UnavailableFault::Busy, message));
        }
        self.freed_until(|core| !core.wreck).await;
        Ok(())
    }
}
