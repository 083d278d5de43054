//! What the models of one registry share.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::error::UnavailableFault;
use crate::nn::Threads;
use crate::registry::budget::Budget;
use crate::registry::event::Events;
use crate::registry::journal::Journal;

/// What the models of one registry share.
pub(super) struct Shared {
    pub(super) events: Events,
    pub(super) journal: Journal,
    pub(super) budget: Budget,
    /// What all models compute with on the processor.
    pub(super) threads: Threads,
    /// Silence of a wrapper after which its work is given up.
    pub(super) stall_timeout: Duration,
    /// Age of a fault after which a request tries again.
    pub(super) retry_failed_after: Duration,
    /// Cancelled when the registry shuts down.
    pub(super) closing: CancellationToken,
}

/// The refusal of a registry that is shutting down.
pub(super) fn closing() -> Error {
    Error::unavailable(
        UnavailableFault::ShuttingDown,
        "the models are being shut down; ask another server or later",
    )
}

/// The lock's content, even if a thread panicked while holding it: each change is whole in itself.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
