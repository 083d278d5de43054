//! How many requests wait and run, and whether the engine is alive: what callers and an engine share.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::task::QueueDepth;
use crate::wrapper::Health;

/// Bounds of the advice when to try again, as HTTP clients honour it (`Retry-After`, 1 to 60 s).
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_mins(1);

/// Weight of the newest request in the mean time of one.
const NEWEST: f64 = 0.2;

/// Counts requests. Each moves `admit` → `start` → `end`, or `admit` → `give_up`.
#[derive(Debug)]
pub(crate) struct Line {
    max_queued: usize,
    counts: Mutex<Counts>,
    health: Health,
}

#[derive(Debug)]
struct Counts {
    waiting: usize,
    running: usize,
    /// Requests that the engine could start at once.
    spare: usize,
    mean_seconds: f64,
    /// Why the engine takes no more requests.
    closed: Option<Error>,
}

impl Line {
    /// A line for `max_queued` waiting requests beside `spare` that start at once.
    pub(crate) fn new(max_queued: usize, spare: usize) -> Self {
        let counts = Counts {
            waiting: 0,
            running: 0,
            spare,
            mean_seconds: 1.0,
            closed: None,
        };
        Self {
            max_queued,
            counts: Mutex::new(counts),
            health: Health::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Whole numbers are right whoever panicked while holding them.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in the line.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the line is full or the engine has ended.
    pub(crate) fn admit(&self) -> Result<()> {
        let mut counts = self.counts();
        if let Some(error) = &counts.closed {
            return Err(error.clone());
        }
        if counts.waiting >= self.max_queued + counts.spare {
            let message = format!(
                "{} requests wait for this model already; try again later",
                counts.waiting
            );
            return Err(
                Error::unavailable(UnavailableFault::QueueFull, message).with_retry_after(counts.time_to_drain())
            );
        }
        counts.waiting += 1;
        Ok(())
    }

    /// A waiting request begins.
    pub(crate) fn start(&self) {
        let mut counts = self.counts();
        counts.waiting = counts.waiting.saturating_sub(1);
        counts.spare = counts.spare.saturating_sub(1);
        counts.running += 1;
    }

    /// A waiting request ends without having begun.
    pub(crate) fn give_up(&self) {
        let mut counts = self.counts();
        counts.waiting = counts.waiting.saturating_sub(1);
    }

    /// A running request ends, `time` after it began.
    pub(crate) fn end(&self, time: Duration) {
        let mut counts = self.counts();
        counts.running = counts.running.saturating_sub(1);
        counts.spare += 1;
        counts.mean_seconds += NEWEST * (time.as_secs_f64() - counts.mean_seconds);
    }

    /// Corrects how many requests could start at once, for engines of which a request may take more than one place.
    pub(crate) fn set_spare(&self, spare: usize) {
        self.counts().spare = spare;
    }

    /// What a registry watches: it breaks when the engine panics.
    pub(crate) const fn health(&self) -> &Health {
        &self.health
    }

    /// From here on every request is refused with `error`; the first reason stays.
    pub(crate) fn close(&self, error: Error) {
        self.counts().closed.get_or_insert(error);
    }

    /// Why the engine takes no more requests, if it does not.
    pub(crate) fn closed(&self) -> Option<Error> {
        self.counts().closed.clone()
    }

    /// Requests at work and in line.
    pub(crate) fn depth(&self) -> QueueDepth {
        let counts = self.counts();
        QueueDepth::new(counts.running, counts.waiting)
    }

    /// When the line should be empty, as a time to wait.
    pub(crate) fn time_to_drain(&self) -> Duration {
        self.counts().time_to_drain()
    }
}

impl Counts {
    fn time_to_drain(&self) -> Duration {
        let seconds = self.mean_seconds * self.waiting as f64 / self.running.max(1) as f64;
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(LATEST)
            .clamp(SOONEST, LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_refuses_and_says_when_to_come_back() {
        let line = Line::new(2, 0);
        line.admit().unwrap();
        line.admit().unwrap();
        let Error::Unavailable {
            code,
            retry_after,
            message,
            ..
        } = line.admit().unwrap_err()
        else {
            panic!("a full line is unavailable");
        };
        assert_eq!(
            (code, retry_after),
            (UnavailableFault::QueueFull, Some(Duration::from_secs(2)))
        );
        assert!(message.starts_with("2 requests wait"), "{message}");

        line.start();
        assert_eq!(line.depth(), QueueDepth::new(1, 1));
        line.admit().unwrap();
        line.give_up();
        line.end(Duration::from_secs(1));
        assert_eq!(line.depth(), QueueDepth::new(0, 1));
    }

    #[test]
    fn free_places_at_work_count_beside_the_line() {
        let line = Line::new(0, 1);
        line.admit().unwrap();
        assert_eq!(line.admit().unwrap_err().code(), "queue_full");
        line.set_spare(2);
        line.admit().unwrap();
    }

    #[test]
    fn who_begins_takes_a_free_place_and_who_ends_leaves_one() {
        let line = Line::new(1, 1);
        line.admit().unwrap();
        line.admit().unwrap();
        line.start();
        assert!(line.admit().is_err(), "one at work and one in line");
        line.end(Duration::from_secs(1));
        line.admit().unwrap();
        line.give_up();
        line.admit().unwrap();
    }

    #[test]
    fn the_advice_stays_between_a_second_and_a_minute() {
        let line = Line::new(100, 0);
        for _ in 0..100 {
            line.admit().unwrap();
        }
        assert_eq!(line.time_to_drain(), LATEST);
        for _ in 0..100 {
            line.give_up();
        }
        assert_eq!(line.time_to_drain(), SOONEST);
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
