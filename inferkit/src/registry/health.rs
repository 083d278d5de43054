//! Hears when a loaded model says that it can serve no more ([`super::wreck`] says what follows).

use std::sync::Arc;

use crate::registry::slot::Slot;
use crate::wrapper::Loaded;

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
}
