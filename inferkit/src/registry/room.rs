//! Making room: models that nobody uses are unloaded, when another needs their memory or when they
//! have been idle for long.
//!
//! **Invariant:** a model with a lease is never touched.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Result;
use crate::registry::UnloadOptions;
use crate::registry::order::Origin;
use crate::registry::order::Request;
use crate::registry::slot::Slot;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;

impl Slot {
    /// Reserves `bytes` for this model, by unloading idle models where the options allow it.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: u64, options: &LoadOptions) -> Result<()> {
        loop {
            let promised = self.shared.budget.promise(&self.key, bytes);
            match promised {
                Err(_) if options.force => {
                    self.shared.budget.force(&self.key, bytes);
                    return Ok(());
                }
                Err(_) if options.evict && self.evict_another().await => {}
                promised => return promised,
            }
        }
    }

    /// Waits for a model that has failed and is about to leave memory, else unloads the one that has been idle
    /// for longest; tells whether one has left.
    pub(super) async fn evict_another(self: &Arc<Self>) -> bool {
        let Some(models) = self.models.upgrade() else {
            return false;
        };
        let mut others = models.slots();
        others.retain(|slot| slot.key != self.key);
        for slot in &others {
            let leaves = slot.core().wreck;
            if leaves && slot.cleared().await.is_ok() {
                return true;
            }
        }
        let mut idle: Vec<_> = others
            .into_iter()
            .filter(|slot| slot.policy.evict_idle)
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
