//! How many requests wait, and whether the engine is alive: what callers and the engine share.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::wrapper::Health;

/// Bounds of the advice when to try again, as HTTP clients honour it (`Retry-After`, 1 to 60 s).
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_mins(1);

/// Weight of the newest request in the mean time of one.
const NEWEST: f64 = 0.2;

/// Counts requests. Each moves `admit` → `start` → `end`, or `admit` → `give_up`.
#[derive(Debug)]
pub(in crate::speech) struct Line {
    max_queued: usize,
    /// Requests that are at work at once.
    places: usize,
    counts: Mutex<Counts>,
    health: Health,
    is_dropped: AtomicBool,
}

#[derive(Debug)]
struct Counts {
    waiting: usize,
    running: usize,
    mean_seconds: f64,
    /// Why the engine takes no more requests.
    closed: Option<Error>,
}

impl Line {
    /// A line for `max_queued` waiting requests in front of `places` that are at work at once.
    pub(in crate::speech) fn new(max_queued: usize, places: usize) -> Self {
        let counts = Counts {
            waiting: 0,
            running: 0,
            mean_seconds: 1.0,
            closed: None,
        };
        Self {
            max_queued,
            places,
            counts: Mutex::new(counts),
            health: Health::new(),
            is_dropped: AtomicBool::new(false),
        }
    }

    /// What a registry watches: it breaks when the engine panics.
    pub(in crate::speech) const fn health(&self) -> &Health {
        &self.health
    }

    /// Tells the engine that its owner has let go of it.
    pub(in crate::speech) fn drop_engine(&self) {
        self.is_dropped.store(true, Ordering::Release);
    }

    /// Whether the engine's owner has let go of it.
    pub(in crate::speech) fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Acquire)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Whole numbers are right whoever panicked while holding them.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in the line.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the line is full or the engine has ended.
    pub(in crate::speech) fn admit(&self) -> Result<()> {
        let mut counts = self.counts();
        if let Some(error) = &counts.closed {
            return Err(error.clone());
        }
        if counts.waiting + counts.running >= self.max_queued + self.places {
            let message = format!(
                "{} requests wait for this model already; try again later",
                counts.waiting
            );
            let seconds = counts.mean_seconds * counts.waiting as f64 / self.places.max(1) as f64;
            let advice = Duration::try_from_secs_f64(seconds)
                .unwrap_or(LATEST)
                .clamp(SOONEST, LATEST);
            return Err(Error::unavailable(UnavailableFault::QueueFull, message).with_retry_after(advice));
        }
        counts.waiting += 1;
        Ok(())
    }

    /// A waiting request begins.
    pub(in crate::speech) fn start(&self) {
        let mut counts = self.counts();
        counts.waiting = counts.waiting.saturating_sub(1);
        counts.running += 1;
    }

    /// A waiting request ends without having begun.
    pub(in crate::speech) fn give_up(&self) {
        let mut counts = self.counts();
        counts.waiting = counts.waiting.saturating_sub(1);
    }

    /// A running request ends, `time` after it began.
    pub(in crate::speech) fn end(&self, time: Duration) {
        let mut counts = self.counts();
        counts.running = counts.running.saturating_sub(1);
        counts.mean_seconds += NEWEST * (time.as_secs_f64() - counts.mean_seconds);
    }

    /// From here on every request is refused with `error`; the first reason stays.
    pub(in crate::speech) fn close(&self, error: Error) {
        self.counts().closed.get_or_insert(error);
    }

    /// Why the engine takes no more requests, if it does not.
    pub(in crate::speech) fn closed(&self) -> Option<Error> {
        self.counts().closed.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_refuses_and_says_when_to_come_back() {
        let line = Line::new(1, 1);
        line.admit().unwrap();
        line.admit().unwrap();
        let error = line.admit().unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("queue_full", true));
        line.start();
        assert!(line.admit().is_err(), "one at work and one in line");
        line.end(Duration::from_secs(1));
        line.admit().unwrap();
        line.give_up();
        line.admit().unwrap();
    }

    #[test]
    fn a_closed_line_refuses_with_its_first_reason() {
        let line = Line::new(1, 1);
        line.close(Error::internal("first"));
        line.close(Error::internal("second"));
        assert_eq!(line.admit().unwrap_err().to_string(), "first");
        assert_eq!(line.closed().unwrap().to_string(), "first");
    }
}
