//! Whether a loaded model can still serve: told by its own threads, watched by the registry.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use tokio::sync::watch;

use crate::error::Error;
use crate::panics::panic_text;

/// Whether a loaded model can still serve.
///
/// A wrapper whose model computes on threads of its own gives one to [`crate::Loaded::with_health`] and
/// keeps a clone on each thread. When a thread ends for a reason that no request can recover from, it
/// calls [`Health::fail`]; [`Health::guard`] does so for a panic. The registry then moves the model to
/// `failed` with that reason, tells its leases to end, and drops it once they have. It can be loaded again.
///
/// What fails one request and leaves the model able to serve the next belongs into that request's answer,
/// not here. Clones are the same model's health.
///
/// ```
/// use inferkit::Health;
///
/// let health = Health::new();
/// let of_the_thread = health.clone();
/// let thread = std::thread::spawn(move || {
///     of_the_thread.guard("the model's thread", || {
///         // Answers requests until the model is dropped.
///     })
/// });
/// # thread.join().unwrap();
/// assert!(health.failure().is_none(), "the thread ended without a panic");
/// ```
#[derive(Debug, Clone)]
pub struct Health {
    failure: watch::Sender<Option<Error>>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// The health of a model that can serve.
    pub fn new() -> Self {
        Self {
            failure: watch::Sender::new(None),
        }
    }

    /// Says that the model can serve no more, and why. The first reason stays.
    pub fn fail(&self, reason: Error) {
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            failure.get_or_insert(reason);
            is_first
        });
    }

    /// Why the model can serve no more, if it cannot.
    pub fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    /// Runs `work`; if it panics, the model has failed with the panic's text, and `None` is returned.
    ///
    /// `what` names the thread or the part in the reason, such as `the encoder's thread`.
    pub fn guard<T>(&self, what: &str, work: impl FnOnce() -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(work));
        done.inspect_err(|panic| {
            let text = panic_text(panic.as_ref());
            self.fail(Error::generation_failed(format!("{what} panicked ({text})")));
        })
        .ok()
    }

    /// Changes of the failure. Ends when nobody is left who could fail.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Error>> {
        self.failure.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let health = Health::new();
        assert!(health.failure().is_none());
        health.clone().fail(Error::generation_failed("first"));
        health.fail(Error::generation_failed("second"));
        assert_eq!(health.failure().unwrap().to_string(), "generation failed: first");
    }

    #[test]
    fn a_guarded_panic_is_a_failure_that_names_its_thread_and_text() {
        let health = Health::new();
        assert_eq!(health.guard("the thread", || 5), Some(5));
        assert!(health.failure().is_none());
        let done = health.guard("the thread", || -> u8 { panic!("index {}", 7) });
        assert_eq!(done, None);
        let reason = health.failure().unwrap();
        assert_eq!(
            (reason.code(), reason.to_string().as_str()),
            ("generation_failed", "generation failed: the thread panicked (index 7)")
        );
    }

    #[tokio::test]
    async fn a_watcher_ends_with_the_last_who_could_fail() {
        let health = Health::new();
        let mut watched = health.watch();
        drop(health);
        assert!(watched.wait_for(Option::is_some).await.is_err());
    }
}
