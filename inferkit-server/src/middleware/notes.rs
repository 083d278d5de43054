//! What is noted about a request on its way, for its answer's headers, the log and the status page.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ApiError;

/// Most names that `X-Inferkit-Ignored` lists.
const MAX_IGNORED: usize = 20;
/// Longest name that it lists.
const MAX_NAME: usize = 64;

/// Notes on one request; clones are the same notes. Handlers take them as `Data<&Notes>`.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    facts: Arc<Mutex<Facts>>,
    reject_unknown: bool,
    time: Arc<Mutex<Time>>,
}

/// How much time a request has.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
    /// When it is over.
    deadline: Option<Instant>,
    /// Of that, time for a recording as long as may be.
    for_recording: Duration,
}

/// What became known of a request. Never prompts, answers, file names or keys.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The request's id.
    pub request_id: String,
    /// The name of the key it came with.
    pub key: Option<String>,
    /// The registry key of the model.
    pub model: Option<String>,
    /// From the call to the first step.
    pub queue: Option<Duration>,
    /// From the request to the first token.
    pub first_token: Option<Duration>,
    /// Length of the prompt.
    pub prompt_tokens: Option<usize>,
    /// Of those, found in the prefix cache.
    pub cached_tokens: Option<usize>,
    /// Length of the answer.
    pub completion_tokens: Option<usize>,
    /// Why the answer ended.
    pub finish_reason: Option<&'static str>,
    /// The code of an error that came after the head of the answer.
    pub late_error: Option<&'static str>,
    /// Fields of the body that were not known.
    ignored: Vec<String>,
}

impl Notes {
    /// Notes on the request of that id.
    pub(crate) fn new(request_id: String, reject_unknown: bool) -> Self {
        let facts = Facts {
            request_id,
            ..Facts::default()
        };
        Self {
            facts: Arc::new(Mutex::new(facts)),
            reject_unknown,
            time: Arc::default(),
        }
    }

    /// Sets when the request's time is over; of that, `for_recording` is for a recording of which nothing is known yet.
    #[must_use]
    pub(crate) fn with_deadline(self, deadline: Option<Instant>, for_recording: Duration) -> Self {
        let time = Time {
            deadline,
            for_recording,
        };
        Self {
            time: Arc::new(Mutex::new(time)),
            ..self
        }
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the request's time is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.time().deadline
    }

    /// Takes back the time for a recording but for the length that it turned out to have.
    pub(crate) fn shorten_deadline(&self, recording_seconds: f64) {
        let mut time = self.time();
        let length = Duration::try_from_secs_f64(recording_seconds).unwrap_or_default();
        let unused = time.for_recording.saturating_sub(length);
        time.for_recording = Duration::ZERO;
        time.deadline = time.deadline.and_then(|deadline| deadline.checked_sub(unused));
    }

    /// The facts, to read or to add to. Held for a moment only, never across an await.
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes fields that were not known.
    ///
    /// # Errors
    /// `unknown_parameter` where the configuration does not let them pass.
    pub fn ignore(&self, names: Vec<String>) -> Result<(), ApiError> {
        if let (Some(first), true) = (names.first(), self.reject_unknown) {
            let message = format!("{first}: there is no such field; leave it out");
            return Err(ApiError::new("unknown_parameter", message).with_param(first.clone()));
        }
        self.facts().ignored.extend(names);
        Ok(())
    }

    /// The value of `X-Inferkit-Ignored`, if there is anything to name.
    pub(crate) fn ignored_header(&self) -> Option<String> {
        let facts = self.facts();
        let names: Vec<&str> = facts
            .ignored
            .iter()
            .map(String::as_str)
            .filter(|name| is_plain(name))
            .take(MAX_IGNORED)
            .collect();
        (!names.is_empty()).then(|| names.join(","))
    }
}

fn is_plain(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn unknown_fields_are_listed_by_plain_names_only() {
        let notes = Notes::new("id".to_owned(), false);
        notes
            .ignore(names(&["user", "a\r\nb", "parts[0].x", "stream_options.y"]))
            .unwrap();
        assert_eq!(notes.ignored_header().as_deref(), Some("user,stream_options.y"));
        notes.ignore((0..40).map(|n| format!("f{n}")).collect()).unwrap();
        assert_eq!(notes.ignored_header().unwrap().split(',').count(), MAX_IGNORED);
    }

    #[test]
    fn a_recording_has_its_own_length_of_time_once_that_is_known() {
        let (now, hour) = (Instant::now(), Duration::from_hours(1));
        let notes = Notes::new("id".to_owned(), false).with_deadline(Some(now + hour), hour / 2);
        notes.clone().shorten_deadline(60.0);
        assert_eq!(notes.deadline(), Some(now + hour / 2 + Duration::from_mins(1)));
        notes.shorten_deadline(1.0);
        assert_eq!(notes.deadline(), Some(now + hour / 2 + Duration::from_mins(1)), "once");
        let open = Notes::new("id".to_owned(), false).with_deadline(None, hour);
        open.shorten_deadline(1.0);
        assert_eq!(open.deadline(), None);
    }

    #[test]
    fn a_strict_server_refuses_unknown_fields() {
        let error = Notes::new("id".to_owned(), true).ignore(names(&["usr"])).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), ("unknown_parameter", Some("usr")));
    }
}
