//! Who waits for an engine, first come first served, and for how long.
//!
//! Those who wait too long are told by a thread of the queue's own, which lives as long as somebody waits: callers may come
//! from any runtime, with timers or without, and an engine has no time while it computes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::line::Line;
use super::stream::Event;
use super::stream::EventStream;
use super::stream::Outlet;
use super::stream::outlet;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Most requests in line beside those that can start at once.
    pub(crate) max_queued: usize,
    /// Longest wait in line.
    pub(crate) queue_timeout: Duration,
    /// Requests at work at once.
    pub(crate) places: usize,
}

/// Requests `R` in line for an engine that answers with events `E`. Callers hold one end of it, the engine's thread the other.
#[derive(Debug)]
pub(crate) struct Queue<R, E> {
    line: Arc<Line>,
    longest_wait: Duration,
    state: Mutex<State<R, E>>,
    /// Told when a request comes, when the engine is to end, and when nobody waits any more.
    changed: Condvar,
}

#[derive(Debug)]
struct State<R, E> {
    waiting: VecDeque<Waiting<R, E>>,
    next_ticket: u64,
    /// Whether the engine's owner has let go of it.
    is_stopped: bool,
    /// Whether nobody takes requests any more.
    is_over: bool,
    /// Whether a thread looks after those who wait.
    is_timed: bool,
}

#[derive(Debug)]
struct Waiting<R, E> {
    ticket: u64,
    /// When the wait is given up; `None` is never.
    deadline: Option<Instant>,
    order: Order<R, E>,
}

/// A request with the way to its caller.
#[derive(Debug)]
pub(crate) struct Order<R, E> {
    /// What is asked.
    pub(crate) request: R,
    /// Where the answer goes.
    pub(crate) outlet: Outlet<E>,
}

/// A request's place in line, as its caller holds it. Dropping it leaves the line.
#[derive(Debug)]
pub(super) struct Place {
    queue: Arc<dyn Leave>,
    ticket: u64,
}

/// What a place needs of its queue, whatever that is made of.
trait Leave: Send + Sync + std::fmt::Debug {
    /// Takes the request out of the line if it is still there.
    fn leave(&self, ticket: u64);
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.leave(self.ticket);
    }
}

impl<R, E> Queue<R, E> {
    /// A queue in which nobody waits.
    pub(crate) fn new(limits: QueueLimits) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            next_ticket: 0,
            is_stopped: false,
            is_over: false,
            is_timed: false,
        };
        Self {
            line: Arc::new(Line::new(limits.max_queued, limits.places)),
            longest_wait: limits.queue_timeout,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// The counts of the line, and whether the engine is alive.
    pub(crate) const fn line(&self) -> &Arc<Line> {
        &self.line
    }

    fn state(&self) -> MutexGuard<'_, State<R, E>> {
        // Each change is one step, so that whoever panicked left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until somebody waits or the engine is to end.
    pub(crate) fn wait(&self) {
        let is_idle = |state: &mut State<R, E>| state.waiting.is_empty() && !state.is_stopped;
        let state = self.changed.wait_while(self.state(), is_idle);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// The next request, which counts as at work from here on; `None` if nobody waits.
    pub(crate) fn take(&self) -> Option<Order<R, E>> {
        let mut state = self.state();
        self.end_overdue(&mut state);
        let next = state.waiting.pop_front()?;
        self.line.start();
        self.rest_if_nobody_waits(&state);
        Some(next.order)
    }

    /// Asks the engine to end.
    pub(crate) fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }

    /// Whether the engine was asked to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Ends those who wait with `error`, for an engine that takes no more requests.
    pub(crate) fn end_all(&self, error: &Error) {
        let mut state = self.state();
        state.is_over = true;
        for waiting in state.waiting.drain(..) {
            self.line.give_up();
            waiting.order.outlet.send(Err(error.clone()));
        }
        self.rest_if_nobody_waits(&state);
    }

    /// Lets the thread that looks after those who wait end.
    fn rest_if_nobody_waits(&self, state: &State<R, E>) {
        if state.is_timed && state.waiting.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Tells those who wait too long, at their time, for as long as somebody waits.
    fn keep_time(&self) {
        let mut state = self.state();
        loop {
            self.end_overdue(&mut state);
            // All wait equally long, so that who came first is late first.
            let Some(deadline) = state.waiting.front().and_then(|first| first.deadline) else {
                state.is_timed = false;
                return;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let woken = self.changed.wait_timeout(state, left);
            (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells those who have waited too long.
    fn end_overdue(&self, state: &mut State<R, E>) {
        let now = Instant::now();
        state.waiting.retain(|waiting| {
            let is_late = waiting.deadline.is_some_and(|deadline| deadline <= now);
            if is_late {
                waiting.order.outlet.send(Err(self.late()));
                self.line.give_up();
            }
            !is_late
        });
    }

    fn late(&self) -> Error {
        let message = format!(
            "the request waited {:?} for this model; try again later",
            self.longest_wait
        );
        Error::unavailable(UnavailableFault::QueueTimeout, message).with_retry_after(self.line.time_to_drain())
    }
}

impl<R, E> Queue<R, E>
where
    R: std::fmt::Debug + Send + 'static,
    E: Event + std::fmt::Debug,
{
    /// Puts a request in line. Returns at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the line is full or the engine has ended.
    pub(crate) fn submit(self: &Arc<Self>, request: R) -> Result<EventStream<E>> {
        let mut state = self.state();
        self.end_overdue(&mut state);
        self.line.admit()?;
        if state.is_over {
            self.line.give_up();
            let reason = self.line.closed();
            return Err(reason.unwrap_or_else(|| Error::internal("the engine has ended and says no reason")));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let deadline = Instant::now().checked_add(self.longest_wait);
        let place = Place {
            queue: Arc::<Self>::clone(self),
            ticket,
        };
        let (outlet, stream) = outlet(place, Arc::clone(&self.line));
        state.waiting.push_back(Waiting {
            ticket,
            deadline,
            order: Order { request, outlet },
        });
        if deadline.is_some() && !state.is_timed {
            let queue = Arc::clone(self);
            let thread = std::thread::Builder::new().name("inferkit-line".to_owned());
            // Without a thread, the engine tells those who are late when it next takes somebody.
            state.is_timed = thread.spawn(move || queue.keep_time()).is_ok();
        }
        drop(state);
        self.changed.notify_all();
        Ok(stream)
    }
}

impl<R, E> Leave for Queue<R, E>
where
    R: std::fmt::Debug + Send,
    E: Event + std::fmt::Debug,
{
    fn leave(&self, ticket: u64) {
        let mut state = self.state();
        let position = state.waiting.iter().position(|waiting| waiting.ticket == ticket);
        let Some(left) = position.and_then(|position| state.waiting.remove(position)) else {
            return;
        };
        self.line.give_up();
        self.rest_if_nobody_waits(&state);
        drop(state);
        // Outside of the lock: a recording may be large.
        drop(left);
    }
}

#[cfg(test)]
mod tests;
