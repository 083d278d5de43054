//! Which requests are running and which have just ended: for the status page, never with bodies.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::middleware::Notes;

/// Ended requests that are remembered.
const MAX_RECENT: usize = 50;
/// Ended requests whose times are remembered for the percentiles.
const MAX_DURATIONS: usize = 1024;
/// How far back errors are counted.
const ERROR_WINDOW: Duration = Duration::from_hours(1);
/// Most errors remembered.
const MAX_ERRORS: usize = 100_000;

/// A request that is running.
#[derive(Debug, Clone)]
pub struct ActiveRequest {
    /// What is noted of it.
    pub notes: Notes,
    /// The route's template.
    pub route: &'static str,
    /// When it came.
    pub started_at: SystemTime,
}

/// A request that has ended.
#[derive(Debug, Clone)]
pub struct RecentRequest {
    /// Its id.
    pub id: String,
    /// The route's template.
    pub route: &'static str,
    /// The model's key.
    pub model: Option<String>,
    /// The status it was answered with.
    pub status: u16,
    /// From its head to the end of its answer.
    pub duration: Duration,
    /// When it came.
    pub started_at: SystemTime,
    /// Tokens of its answer.
    pub tokens: Option<usize>,
}

/// The numbers of the status page.
#[derive(Debug, Clone, Default)]
pub struct TrafficSummary {
    /// Running requests, oldest first.
    pub active: Vec<ActiveRequest>,
    /// Ended requests, newest first.
    pub recent: Vec<RecentRequest>,
    /// Answers with a status of 500 or more in the last hour.
    pub errors_last_hour: usize,
    /// Half of the remembered requests took no longer, in seconds.
    pub p50_seconds: Option<f64>,
    /// 95 of a hundred took no longer, in seconds.
    pub p95_seconds: Option<f64>,
}

/// The requests of this process.
#[derive(Debug, Default)]
pub struct Traffic {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    active: BTreeMap<u64, ActiveRequest>,
    recent: VecDeque<RecentRequest>,
    durations: VecDeque<Duration>,
    errors: VecDeque<Instant>,
}

impl Traffic {
    /// A request has come; the number stands for it until [`Traffic::ended`].
    pub(crate) fn began(&self, request: ActiveRequest) -> u64 {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.active.insert(number, request);
        number
    }

    /// A request has ended.
    pub(crate) fn ended(&self, number: u64, request: RecentRequest) {
        let mut state = self.lock();
        state.active.remove(&number);
        push_bounded(&mut state.durations, request.duration, MAX_DURATIONS);
        if request.status >= 500 {
            push_bounded(&mut state.errors, Instant::now(), MAX_ERRORS);
        }
        push_bounded(&mut state.recent, request, MAX_RECENT);
    }

    /// Number of running requests.
    pub fn in_flight(&self) -> usize {
        self.lock().active.len()
    }

    /// The numbers of the status page.
    pub fn summary(&self) -> TrafficSummary {
        let mut state = self.lock();
        while state.errors.front().is_some_and(|at| at.elapsed() > ERROR_WINDOW) {
            state.errors.pop_front();
        }
        let mut durations: Vec<Duration> = state.durations.iter().copied().collect();
        durations.sort_unstable();
        TrafficSummary {
            active: state.active.values().cloned().collect(),
            recent: state.recent.iter().rev().cloned().collect(),
            errors_last_hour: state.errors.len(),
            p50_seconds: percentile(&durations, 50),
            p95_seconds: percentile(&durations, 95),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Nearest-rank percentile of sorted times, in seconds.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(Duration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(milliseconds: u64, status: u16) -> RecentRequest {
        RecentRequest {
            id: "id".to_owned(),
            route: "/healthz",
            model: None,
            status,
            duration: Duration::from_millis(milliseconds),
            started_at: SystemTime::UNIX_EPOCH,
            tokens: None,
        }
    }

    #[test]
    fn a_request_is_active_until_it_has_ended() {
        let traffic = Traffic::default();
        let active = ActiveRequest {
            notes: Notes::default(),
            route: "/x",
            started_at: SystemTime::UNIX_EPOCH,
        };
        let number = traffic.began(active);
        assert_eq!(traffic.in_flight(), 1);
        traffic.ended(number, recent(1, 200));
        assert_eq!((traffic.in_flight(), traffic.summary().recent.len()), (0, 1));
    }

    #[test]
    fn percentiles_and_errors_are_of_what_ended() {
        let traffic = Traffic::default();
        assert_eq!(traffic.summary().p50_seconds, None);
        for milliseconds in 1..=100 {
            traffic.ended(0, recent(milliseconds, if milliseconds > 98 { 503 } else { 404 }));
        }
        let summary = traffic.summary();
        assert_eq!((summary.p50_seconds, summary.p95_seconds), (Some(0.05), Some(0.095)));
        assert_eq!((summary.errors_last_hour, summary.recent.len()), (2, MAX_RECENT));
        assert_eq!(summary.recent[0].duration, Duration::from_millis(100), "newest first");
    }
}
