//! Server-sent events: framing, keep-alive, errors after the head, and the end of a stream.
//!
//! ```text
//! [event: name]␊ [id: n]␊ data: compact JSON␊ ␊      : keep-alive␊ ␊ after 15 s without an event
//! ```
//!
//! A stream ends early with an error event when its deadline passes, when the server ends, or when the
//! source panics; its source is dropped at once, and with it the work behind it.
//!
//! **Invariant:** `data` is one line and never empty: JSON escapes line breaks.

use std::io;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use poem::IntoResponse;
use poem::Response;
use poem::http::header;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::MetaMediaType;
use poem_openapi::registry::MetaResponse;
use poem_openapi::registry::MetaResponses;
use poem_openapi::registry::MetaSchema;
use poem_openapi::registry::MetaSchemaRef;
use poem_openapi::registry::Registry;
use poem_openapi::types::Type;
use serde::Serialize;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::error::ApiError;
use crate::error::ErrorBody;
use crate::middleware::Notes;

/// One event as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    name: Option<&'static str>,
    id: Option<u64>,
    data: String,
}

impl SseEvent {
    /// An event with `value` as compact JSON.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON, which is a bug.
    pub fn json(value: &impl Serialize) -> Result<Self, ApiError> {
        let data = serde_json::to_string(value).map_err(ApiError::internal)?;
        Ok(Self {
            name: None,
            id: None,
            data,
        })
    }

    /// An event whose data is compact JSON already.
    pub fn text(json: impl Into<String>) -> Self {
        Self {
            name: None,
            id: None,
            data: json.into(),
        }
    }

    /// The end mark of OpenAI's streams.
    pub fn done() -> Self {
        Self {
            name: None,
            id: None,
            data: "[DONE]".to_owned(),
        }
    }

    /// An error that came after the head; the stream ends behind it.
    pub fn error(error: &ApiError) -> Self {
        Self {
            name: None,
            id: None,
            data: error.to_json(),
        }
    }

    /// Writes an `event:` line.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Writes an `id:` line.
    #[must_use]
    pub fn with_id(self, id: u64) -> Self {
        Self { id: Some(id), ..self }
    }

    /// What follows `data: `.
    pub fn data(&self) -> &str {
        &self.data
    }

    fn to_bytes(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 32);
        if let Some(name) = self.name {
            text.push_str("event: ");
            text.push_str(name);
            text.push('\n');
        }
        if let Some(id) = self.id {
            text.push_str("id: ");
            text.push_str(&id.to_string());
            text.push('\n');
        }
        text.push_str("data: ");
        text.push_str(&self.data);
        text.push_str("\n\n");
        Bytes::from(text)
    }
}

/// What bounds a stream besides its source.
#[derive(Debug, Clone)]
pub struct StreamBounds {
    /// Longest silence before a comment is sent.
    pub keep_alive: Duration,
    /// When the request's time is over.
    pub deadline: Option<Instant>,
    /// Cancelled when streams have to end.
    pub ending: CancellationToken,
    /// Where a late error is noted.
    pub notes: Notes,
}

/// An answer of server-sent events whose data is documented as `T`.
pub struct Sse<T> {
    body: poem::Body,
    documented: PhantomData<fn() -> T>,
}

impl<T> Sse<T> {
    /// Streams `events` until they end or an error comes, which is sent as the last event.
    pub fn new(events: impl Stream<Item = Result<SseEvent, ApiError>> + Send + 'static, bounds: StreamBounds) -> Self {
        Self::with_prefix(Bytes::new(), events, bounds)
    }

    /// As [`Sse::new`], with `prefix` written first as it is, such as a `retry:` line.
    pub fn with_prefix(
        prefix: Bytes,
        events: impl Stream<Item = Result<SseEvent, ApiError>> + Send + 'static,
        bounds: StreamBounds,
    ) -> Self {
        let stream = Framed {
            prefix,
            source: Some(events.boxed()),
            silence: Box::pin(tokio::time::sleep(bounds.keep_alive)),
            deadline: bounds
                .deadline
                .map(|deadline| Box::pin(tokio::time::sleep_until(deadline))),
            ending: Box::pin(bounds.ending.clone().cancelled_owned()),
            bounds,
        };
        Self {
            body: poem::Body::from_bytes_stream(stream.map(Ok::<_, io::Error>)),
            documented: PhantomData,
        }
    }
}

struct Framed {
    prefix: Bytes,
    /// `None` once the stream has ended.
    source: Option<BoxStream<'static, Result<SseEvent, ApiError>>>,
    silence: Pin<Box<Sleep>>,
    deadline: Option<Pin<Box<Sleep>>>,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    bounds: StreamBounds,
}

impl Framed {
    /// The last event: an error, after which the source is gone.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.source = None;
        self.bounds.notes.facts().late_error = Some(error.code);
        SseEvent::error(error).to_bytes()
    }

    fn interruption(&mut self, context: &mut Context<'_>) -> Option<ApiError> {
        if self.ending.poll_unpin(context).is_ready() {
            return Some(ApiError::new(
                "server_shutting_down",
                "the server is shutting down; send the request again",
            ));
        }
        let deadline = self.deadline.as_mut()?;
        deadline.poll_unpin(context).is_ready().then(|| {
            ApiError::new(
                "request_deadline_exceeded",
                "the request took longer than limits.request_timeout allows",
            )
        })
    }
}

impl Stream for Framed {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        if !this.prefix.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut this.prefix)));
        }
        let Some(source) = this.source.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| source.poll_next_unpin(context)));
        let sent = match polled {
            Ok(Poll::Ready(Some(Ok(event)))) => event.to_bytes(),
            Ok(Poll::Ready(Some(Err(error)))) => this.fail(&error),
            Ok(Poll::Ready(None)) => {
                this.source = None;
                return Poll::Ready(None);
            }
            Err(_) => this.fail(&ApiError::internal("a stream's source panicked")),
            Ok(Poll::Pending) => match this.interruption(context) {
                Some(error) => this.fail(&error),
                None if this.silence.poll_unpin(context).is_ready() => Bytes::from_static(b": keep-alive\n\n"),
                None => return Poll::Pending,
            },
        };
        this.silence.as_mut().reset(Instant::now() + this.bounds.keep_alive);
        Poll::Ready(Some(sent))
    }
}

impl<T> IntoResponse for Sse<T>
where
    T: Send,
{
    fn into_response(self) -> Response {
        Response::builder()
            .header(header::CONTENT_TYPE, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-cache, no-store")
            .header("x-accel-buffering", "no")
            .body(self.body)
    }
}

impl<T: Type> Payload for Sse<T> {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        // The document's post-pass turns this into a string with a reference to the schema of its data.
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(T::schema_ref())),
            ..MetaSchema::new_with_format("array", "event-stream")
        }))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        ErrorBody::register(registry);
    }
}

impl<T: Type> ApiResponse for Sse<T> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType {
            content_type: Self::CONTENT_TYPE,
            schema: Self::schema_ref(),
        }];
        let answer = MetaResponse {
            description: "A stream of events",
            status: Some(200),
            status_range: None,
            content,
            headers: vec![],
        };
        MetaResponses {
            responses: vec![answer],
        }
    }

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn bounds() -> StreamBounds {
        StreamBounds {
            keep_alive: Duration::from_secs(15),
            deadline: None,
            ending: CancellationToken::new(),
            notes: Notes::default(),
        }
    }

    async fn text<S>(events: S, bounds: StreamBounds) -> String
    where
        S: Stream<Item = Result<SseEvent, ApiError>> + Send + 'static,
    {
        Sse::<ErrorBody>::new(events, bounds)
            .into_response()
            .into_body()
            .into_string()
            .await
            .unwrap()
    }

    fn hello() -> Result<SseEvent, ApiError> {
        SseEvent::json(&"a\nb")
    }

    #[tokio::test]
    async fn an_event_is_one_line_of_json_and_the_stream_ends_at_once() {
        let events = [
            hello(),
            hello().map(|event| event.named("model").with_id(7)),
            Ok(SseEvent::done()),
        ];
        let text = text(stream::iter(events), bounds()).await;
        assert_eq!(
            text,
            "data: \"a\\nb\"\n\nevent: model\nid: 7\ndata: \"a\\nb\"\n\ndata: [DONE]\n\n"
        );
    }

    #[tokio::test]
    async fn an_error_after_the_head_is_the_last_event() {
        let limits = bounds();
        let events = [
            hello(),
            Err(ApiError::new("generation_failed", "the step failed")),
            hello(),
        ];
        let text = text(stream::iter(events), limits.clone()).await;
        assert!(text.ends_with("\"code\":\"generation_failed\"}}\n\n"), "{text}");
        assert_eq!(text.matches("data: ").count(), 2);
        assert_eq!(limits.notes.facts().late_error, Some("generation_failed"));
    }

    #[tokio::test]
    async fn a_panic_of_the_source_ends_as_an_error_event() {
        let events = stream::once(async { hello() }).chain(stream::once(async { panic!("a test's own panic") }));
        assert!(text(events, bounds()).await.contains("internal_error"));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_comments() {
        let events = stream::once(async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            hello()
        });
        assert_eq!(
            text(events, bounds()).await,
            ": keep-alive\n\n: keep-alive\n\ndata: \"a\\nb\"\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_and_the_end_of_the_server_end_the_stream() {
        let limits = StreamBounds {
            deadline: Some(Instant::now() + Duration::from_secs(5)),
            ..bounds()
        };
        assert!(
            text(stream::pending(), limits)
                .await
                .contains("request_deadline_exceeded")
        );
        let limits = bounds();
        limits.ending.cancel();
        assert!(text(stream::pending(), limits).await.contains("server_shutting_down"));
    }
}
