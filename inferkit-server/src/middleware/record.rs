//! The record of one request: opened at its head, closed at the end of its answer, then one log line.
//!
//! The record lives in the answer's body. It ends when the last byte was handed over, or when the body
//! is dropped before that because the client has left.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;
use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Body as HttpBody;
use hyper::body::Frame;
use hyper::body::SizeHint;
use poem::Request;
use poem::Response;

use crate::error::ErrorCode;
use crate::middleware::ActiveRequest;
use crate::middleware::Notes;
use crate::middleware::RecentRequest;
use crate::middleware::Traffic;

/// Something that lives until an answer has been read in full or given up; the accept loop puts it into
/// the request.
#[derive(Clone)]
pub struct WhileAnswering {
    _held: Arc<dyn std::any::Any + Send + Sync>,
}

impl WhileAnswering {
    /// Holds `thing`.
    pub fn new(thing: impl Send + Sync + 'static) -> Self {
        Self { _held: Arc::new(thing) }
    }
}

/// The record of one request. Dropping it writes its line.
pub(crate) struct Record {
    traffic: Arc<Traffic>,
    number: u64,
    notes: Notes,
    route: &'static str,
    method: String,
    remote: String,
    retry_count: Option<String>,
    started: Instant,
    started_at: SystemTime,
    /// 499 until an answer is there: the client has left.
    status: u16,
    error: Option<&'static str>,
    finished: bool,
    _held: Option<WhileAnswering>,
}

/// What the log shows for a request whose client left before it was answered.
const CLIENT_LEFT: u16 = 499;

impl Record {
    pub(crate) fn open(traffic: Arc<Traffic>, request: &Request, route: &'static str, notes: Notes) -> Self {
        let started_at = SystemTime::now();
        let number = traffic.began(ActiveRequest {
            notes: notes.clone(),
            route,
            started_at,
        });
        Self {
            traffic,
            number,
            notes,
            route,
            method: request.method().to_string(),
            remote: remote(request),
            retry_count: request.header("x-stainless-retry-count").map(crate::error::shown),
            started: Instant::now(),
            started_at,
            status: CLIENT_LEFT,
            error: None,
            finished: false,
            _held: request.data::<WhileAnswering>().cloned(),
        }
    }

    /// Moves the record into the answer's body.
    pub(crate) fn follow(mut self, mut response: Response) -> Response {
        self.status = response.status().as_u16();
        self.error = response.data::<ErrorCode>().map(|code| code.0);
        let inner: BoxBody<Bytes, io::Error> = response.take_body().into();
        let body = Recorded {
            finished: inner.is_end_stream(),
            inner,
            record: Some(self),
        };
        response.set_body(poem::Body::from(BoxBody::new(body)));
        response
    }

    fn write_line(&self) {
        let facts = self.notes.facts().clone();
        let code = self.error.or(facts.late_error);
        tracing::info!(
            target: "inferkit::access",
            request_id = facts.request_id,
            route = self.route,
            method = self.method,
            status = self.status,
            key = facts.key,
            remote = self.remote,
            model = facts.model,
            duration_ms = self.started.elapsed().as_secs_f64() * 1e3,
            queue_ms = facts.queue.map(|queue| queue.as_secs_f64() * 1e3),
            ttft_ms = facts.first_token.map(|first| first.as_secs_f64() * 1e3),
            prompt_tokens = facts.prompt_tokens,
            completion_tokens = facts.completion_tokens,
            cached_tokens = facts.cached_tokens,
            finish_reason = facts.finish_reason,
            cancelled = (!self.finished).then_some(true),
            retry_count = self.retry_count,
            error.code = code,
            "request"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write_line();
        let facts = self.notes.facts().clone();
        let recent = RecentRequest {
            id: facts.request_id,
            route: self.route,
            model: facts.model,
            status: self.status,
            duration: self.started.elapsed(),
            started_at: self.started_at,
            tokens: facts.completion_tokens,
        };
        self.traffic.ended(self.number, recent);
    }
}

/// The client's address without poem's scheme in front; a Unix socket has none.
fn remote(request: &Request) -> String {
    let address = request.remote_addr().as_socket_addr();
    address.map_or_else(|| "unix".to_owned(), ToString::to_string)
}

struct Recorded {
    inner: BoxBody<Bytes, io::Error>,
    record: Option<Record>,
    finished: bool,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.finished = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.finished = self.finished;
        }
    }
}
