//! What a registry tells its observers.

use tokio::sync::broadcast;

use crate::registry::ModelStatus;
use crate::registry::Operation;

/// A change in a registry, told once to every observer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A model's status has changed.
    Model(Box<ModelStatus>),
    /// An operation began, moved on or ended.
    Operation(Box<Operation>),
}

/// Events that an observer may fall behind before it misses some.
const KEPT: usize = 1024;

/// The one stream of a registry's events. Clones are the same stream.
#[derive(Clone)]
pub(super) struct Events(broadcast::Sender<Event>);

impl Events {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// Tells every observer; costs nothing where there is none.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.0.receiver_count() > 0 {
            // That the last observer has left meanwhile is no error.
            let _ = self.0.send(event());
        }
    }
}
