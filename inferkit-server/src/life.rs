//! Where the process is in its life: starting, ready, draining, ending.
//!
//! ```text
//! starting ─▶ ready ⇄ draining (by an admin)
//!                └──▶ leaving (by a signal) ─▶ stopping ─▶ ending (time is up: streams end with an error)
//! ```

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

/// The life of this process, shared by all that have to know.
#[derive(Debug)]
pub struct Life {
    started_at: SystemTime,
    started: Instant,
    draining: AtomicBool,
    leaving: AtomicBool,
    stopping: CancellationToken,
    ending: CancellationToken,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            started_at: SystemTime::now(),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
        }
    }
}

impl Life {
    /// When the process began.
    pub const fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// Seconds since then.
    pub fn uptime_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Refuses new inference, or no longer does.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
    }

    /// Tells probes that the process is about to end; requests are still taken.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether probes should send nobody here any more.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.is_draining()
    }

    /// Begins the end: new requests are refused, running ones may finish.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Ends what still runs.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Whether a signal has asked the process to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Whether new inference is refused.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire) || self.is_stopping()
    }

    /// Cancelled when the process begins to end.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Cancelled when streams have to end.
    pub fn ending(&self) -> CancellationToken {
        self.ending.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_can_be_undone_and_stopping_cannot() {
        let life = Life::default();
        life.set_draining(true);
        assert!(life.is_draining() && !life.is_stopping());
        life.set_draining(false);
        assert!(!life.is_draining());
        life.stop();
        life.set_draining(false);
        assert!(life.is_draining() && life.is_stopping() && !life.ending().is_cancelled());
    }
}
