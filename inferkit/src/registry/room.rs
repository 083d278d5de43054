//! Making room: models that nobody uses are unloaded, when another needs their memory or when they
//! have been idle for long; a model that has failed and is leaving memory is waited for.
//!
//! **Invariant:** a model with a lease is neither touched nor waited for.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::Instant;

use crate::error::Error;
use crate::error::Result;
use crate::registry::UnloadOptions;
use crate::registry::order::Origin;
use crate::registry::order::Request;
use crate::registry::slot::Slot;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;

/// Time that a load gives failed models which nobody uses to leave memory, before it seeks room elsewhere.
const LEAVING: Duration = Duration::from_secs(10);

/// On which terms a load gets its memory.
pub(super) struct Terms<'a> {
    options: &'a LoadOptions,
    job: &'a Job,
    /// Until when it waits for failed models, once it has to.
    patience: OnceLock<Instant>,
}

impl<'a> Terms<'a> {
    pub(super) fn new(options: &'a LoadOptions, job: &'a Job) -> Self {
        Self {
            options,
            job,
            patience: OnceLock::new(),
        }
    }
}

impl Slot {
    /// Reserves `bytes` for this model, by making room if they are short.
    ///
    /// # Errors
    /// [`crate::UnavailableFault::InsufficientMemory`], and [`crate::UnavailableFault::Cancelled`] when the load
    /// is while room is made.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: u64, terms: &Terms<'_>) -> Result<()> {
        loop {
            let releases = self.shared.budget.releases();
            match self.shared.budget.promise(&self.key, bytes) {
                Err(_) if terms.options.force => {
                    self.shared.budget.force(&self.key, bytes);
                    return Ok(());
                }
                Err(_) if self.make_room(releases, terms).await? => {}
                promised => return promised,
            }
        }
    }

    /// Waits for failed models that are leaving memory, else unloads an idle model where the terms allow it;
    /// tells whether any memory was given back after the first `releases`.
    ///
    /// # Errors
    /// [`crate::UnavailableFault::Cancelled`] when the load is.
    pub(super) async fn make_room(self: &Arc<Self>, releases: u64, terms: &Terms<'_>) -> Result<bool> {
        let freed = || self.shared.budget.releases() != releases;
        let made = async {
            if !freed() {
                self.another_leaves(&terms.patience).await;
            }
            freed() || (terms.options.evict && self.evict_another().await)
        };
        tokio::select! {
            biased;
            () = terms.job.cancelled() => Err(Error::cancelled()),
            made = made => Ok(made),
        }
    }

    /// Waits until one of the failed models that nobody uses has left memory, if there are any.
    async fn another_leaves(&self, patience: &OnceLock<Instant>) {
        let mut slots = self.models.upgrade().map_or_else(Vec::new, |models| models.slots());
        slots.retain(|slot| {
            let core = slot.core();
            core.wreck.is_some() && core.leases == 0
        });
        if !slots.is_empty() {
            let leaving = slots.iter().map(|slot| Box::pin(slot.wreck_left()));
            let patience = *patience.get_or_init(|| Instant::now() + LEAVING);
            // When none has left by then, room is sought elsewhere.
            let _ = tokio::time::timeout_at(patience, select_all(leaving)).await;
        }
    }

    /// Unloads the model that has been idle for longest; tells whether one was unloaded.
    async fn evict_another(self: &Arc<Self>) -> bool {
        let Some(models) = self.models.upgrade() else {
            return false;
        };
        let mut idle: Vec<_> = models
            .slots()
            .into_iter()
            .filter(|slot| slot.policy.evict_idle && slot.key != self.key)
            .filter_map(|slot| slot.core().idle_since().map(|since| (since, Arc::clone(&slot))))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        for (_, slot) in idle {
            if slot.unload_if_idle(Duration::ZERO).await {
                tracing::info!(model = slot.key, room_for = self.key, "unloaded an idle model");
                return true;
            }
        }
        false
    }

    /// Unloads the model if nobody has used it for `idle`; tells whether it was unloaded.
    async fn unload_if_idle(self: &Arc<Self>, idle: Duration) -> bool {
        let operation = {
            let mut core = self.core();
            match core.idle_since() {
                Some(since) if since.elapsed() >= idle => {
                    let request = Request::Unload(UnloadOptions::default().with_timeout(Duration::ZERO));
                    self.start(&mut core, request, Origin::Registry)
                }
                Some(_) | None => return false,
            }
        };
        match operation {
            Ok(operation) => self
                .wait(&operation.id)
                .await
                .is_ok_and(|operation| operation.error.is_none()),
            Err(_) => false,
        }
    }

    /// Unloads the model once it is idle for as long as its policy says; ends with these weights.
    pub(super) fn watch_idleness(self: &Arc<Self>, weights: Weak<Loaded>) {
        let Some(idle) = self.policy.idle_unload else { return };
        let slot = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut next = Instant::now() + idle;
            loop {
                tokio::time::sleep_until(next).await;
                let Some(slot) = slot.upgrade().filter(|_| weights.strong_count() > 0) else {
                    return;
                };
                if slot.unload_if_idle(idle).await {
                    tracing::info!(
                        model = slot.key,
                        idle_seconds = idle.as_secs_f64(),
                        "unloaded an idle model"
                    );
                    return;
                }
                next = slot.core().idle_since().unwrap_or_else(Instant::now) + idle;
            }
        });
    }
}
