//! A model in memory and the leases on it.
//!
//! **Invariant:** a lease is given only in the state `Loaded`, and the weights are dropped only when no
//! lease is alive.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::registry::lease::Lease;
use crate::registry::machine::State;
use crate::registry::slot::Core;
use crate::registry::slot::Slot;
use crate::wrapper::Loaded;

/// A model in memory.
pub(super) struct Serving {
    pub(super) loaded: Arc<Loaded>,
    pub(super) since: SystemTime,
    /// Tells the leases to come to an end.
    pub(super) ended: CancellationToken,
}

impl Serving {
    pub(super) fn new(loaded: Loaded) -> Self {
        Self {
            loaded: Arc::new(loaded),
            since: SystemTime::now(),
            ended: CancellationToken::new(),
        }
    }
}

impl Slot {
    /// A lease, if the model serves.
    pub(super) fn lease(self: &Arc<Self>, core: &mut Core) -> Option<Lease> {
        if core.state != State::Loaded {
            return None;
        }
        let serving = core.serving.as_ref()?;
        let lease = Lease::new(Arc::clone(&serving.loaded), serving.ended.clone(), Arc::clone(self));
        core.leases += 1;
        self.used(core);
        Some(lease)
    }

    /// Takes note of a lease that was dropped.
    pub(super) fn give_back(self: &Arc<Self>) {
        let mut core = self.core();
        core.leases = core.leases.saturating_sub(1);
        self.used(&mut core);
        if core.leases == 0 {
            self.freed.notify_waiters();
        }
    }

    fn used(self: &Arc<Self>, core: &mut Core) {
        core.last_used = (Instant::now(), Some(SystemTime::now()));
        self.tell_use(core);
    }

    /// Waits until no lease is alive, or `patience` is over; tells which.
    pub(super) async fn idle_within(&self, patience: Duration) -> bool {
        let idle = self.until_freed(|core| core.leases == 0);
        tokio::time::timeout(patience, idle).await.is_ok()
    }

    /// Waits until `enough` holds. It is asked again when the last lease is dropped and when a wreck has left.
    pub(super) async fn until_freed(&self, enough: impl Fn(&Core) -> bool + Send) {
        loop {
            let told = self.freed.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if enough(&self.core()) {
                return;
            }
            told.await;
        }
    }

    /// Tells every lease to come to an end.
    pub(super) fn end_leases(&self) {
        if let Some(serving) = &self.core().serving {
            serving.ended.cancel();
        }
    }

    /// Lets leases be taken again after they were told to end and did not.
    pub(super) fn renew_leases(&self) {
        if let Some(serving) = &mut self.core().serving {
            serving.ended = CancellationToken::new();
        }
    }

    /// Takes the weights out, to be dropped by the caller.
    pub(super) fn take_weights(&self) -> Option<Arc<Loaded>> {
        self.core().serving.take().map(|serving| serving.loaded)
    }
}

/// The memory a model takes, in bytes.
pub(super) fn bytes_of(loaded: &Loaded) -> u64 {
    loaded.memory.weights_bytes.saturating_add(loaded.memory.cache_bytes)
}
