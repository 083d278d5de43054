//! How long a connection may be quiet: for a head that has begun, and between two requests.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// What a connection waits for, and since when.
#[derive(Debug)]
pub(crate) struct Clock {
    head_timeout: Duration,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    since: Instant,
    /// Whether bytes of a head have come; counts as begun from the accept to the first request.
    begun: bool,
    /// Whether any byte has come at all.
    spoken: bool,
    http2: bool,
}

impl Clock {
    pub(crate) fn new(head_timeout: Duration, idle_timeout: Duration) -> Self {
        let state = State {
            in_flight: 0,
            since: Instant::now(),
            begun: true,
            spoken: false,
            http2: false,
        };
        Self {
            head_timeout,
            idle_timeout,
            state: Mutex::new(state),
        }
    }

    /// Bytes have come.
    pub(crate) fn bytes_came(&self) {
        let mut state = self.lock();
        state.spoken = true;
        if state.in_flight == 0 && !state.begun {
            state.since = Instant::now();
            // HTTP/2 has frames of its own between requests.
            state.begun = !state.http2;
        }
    }

    /// A whole head has come.
    pub(crate) fn request_began(&self, http2: bool) {
        let mut state = self.lock();
        state.in_flight += 1;
        state.http2 = http2;
    }

    /// An answer was handed over in full, or given up.
    pub(crate) fn request_ended(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.since = Instant::now();
        state.begun = false;
    }

    /// When the connection has been quiet for too long; never while a request is at work.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let patience = if state.begun {
            self.head_timeout
        } else {
            self.idle_timeout
        };
        (state.in_flight == 0).then(|| state.since + patience)
    }

    /// Whether a client that is cut off should be told why: a part of an HTTP/1 head has come.
    pub(crate) fn owes_an_answer(&self) -> bool {
        let state = self.lock();
        state.begun && state.spoken && !state.http2
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_the_accept_or_from_its_first_byte() {
        let clock = Clock::new(HEAD, IDLE);
        let accepted = Instant::now();
        assert_eq!(clock.deadline(), Some(accepted + HEAD));
        assert!(!clock.owes_an_answer(), "a client that never spoke is owed nothing");

        clock.bytes_came();
        assert!(clock.owes_an_answer());
        clock.request_began(false);
        assert_eq!(clock.deadline(), None, "a request at work has its own limits");
        tokio::time::advance(Duration::from_secs(100)).await;
        clock.request_ended();
        assert_eq!(clock.deadline(), Some(Instant::now() + IDLE));

        tokio::time::advance(Duration::from_mins(1)).await;
        clock.bytes_came();
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.bytes_came();
        assert_eq!(clock.deadline(), Some(begun + HEAD), "more bytes do not buy time");
    }

    #[tokio::test(start_paused = true)]
    async fn frames_of_http_2_only_keep_the_connection_from_being_idle() {
        let clock = Clock::new(HEAD, IDLE);
        clock.request_began(true);
        clock.request_ended();
        tokio::time::advance(Duration::from_secs(50)).await;
        clock.bytes_came();
        assert_eq!(clock.deadline(), Some(Instant::now() + IDLE));
    }
}
