//! What changes in the server, as it changes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use poem_openapi::types::ToJSON;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::error::ApiError;
use crate::error::shown;
use crate::events::Missed;
use crate::events::Reader;
use crate::middleware::Notes;
use crate::openapi::Tag;
use crate::routes::admin::status::Status;
use crate::routes::admin::status::status;
use crate::sse::Sse;
use crate::sse::SseEvent;

/// What a stream can be narrowed to.
const TOPICS: [&str; 7] = [
    "model",
    "operation",
    "sample",
    "dependencies",
    "hf_token",
    "log",
    "shutdown",
];

/// `/api/admin/events`.
pub struct EventsApi(pub(crate) Arc<App>);

#[OpenApi]
impl EventsApi {
    /// What changes in the server, as it changes.
    ///
    /// The first event is `snapshot` with the state of `/api/admin/status`; then come `model`,
    /// `operation`, `sample`, `dependencies`, `hf_token`, `log` and `shutdown`. With `Last-Event-ID` the stream goes on
    /// behind that event; where that is not possible, and for a reader that falls behind, a new
    /// `snapshot` is sent. At most 32 streams are open at a time.
    #[oai(
        path = "/api/admin/events",
        method = "get",
        operation_id = "streamEvents",
        tag = "Tag::Admin"
    )]
    async fn stream(
        &self,
        /// Only these events, by name, with commas between them.
        topics: Query<Option<String>>,
        request: &Request,
        notes: Data<&Notes>,
    ) -> poem::Result<Sse<Status>> {
        let topics = parse_topics(topics.0.as_deref())?;
        let place = self.0.event_streams.clone().try_acquire_owned().map_err(|_| {
            ApiError::new("rate_limit_exceeded", "32 event streams are open; close one")
                .with_retry_after(std::time::Duration::from_secs(5))
        })?;
        let last = request.header("last-event-id").and_then(|id| id.parse::<u64>().ok());
        let resumed = last.and_then(|last| self.0.events.reader_after(last).ok());
        let follower = Follower {
            app: self.0.clone(),
            topics,
            wants_snapshot: resumed.is_none(),
            reader: resumed.unwrap_or_else(|| self.0.events.reader()),
            ended: false,
            _place: place,
        };
        let bounds = self.0.stream_bounds(notes.0);
        Ok(Sse::with_prefix(
            Bytes::from_static(b"retry: 3000\n\n"),
            follower.stream(),
            bounds,
        ))
    }
}

fn parse_topics(topics: Option<&str>) -> Result<Option<Vec<&'static str>>, ApiError> {
    let Some(topics) = topics else { return Ok(None) };
    let known = |topic: &str| {
        TOPICS
            .iter()
            .copied()
            .find(|known| *known == topic.trim())
            .ok_or_else(|| {
                let message = format!(
                    "topics: there is no topic {}; choose from {}",
                    shown(topic),
                    TOPICS.join(", ")
                );
                ApiError::invalid_value("topics", message)
            })
    };
    topics.split(',').map(known).collect::<Result<_, _>>().map(Some)
}

/// One reader of events.
struct Follower {
    app: Arc<App>,
    topics: Option<Vec<&'static str>>,
    wants_snapshot: bool,
    reader: Reader,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<SseEvent, ApiError>> + Send {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    async fn next(&mut self) -> Option<SseEvent> {
        while !self.ended {
            if std::mem::take(&mut self.wants_snapshot) {
                // The reader begins behind the snapshot: what the snapshot holds is not told again.
                self.reader = self.app.events.reader();
                let seq = self.reader.behind();
                let data = status(&self.app, seq).to_json_string();
                return Some(SseEvent::text(data).named("snapshot").with_id(seq));
            }
            match self.reader.next().await {
                Err(Missed) => self.wants_snapshot = true,
                Ok(event) => {
                    self.ended = event.name == "shutdown";
                    let wanted = self.topics.as_ref().is_none_or(|topics| topics.contains(&event.name));
                    if wanted || self.ended {
                        return Some(SseEvent::text(event.data.as_ref()).named(event.name).with_id(event.seq));
                    }
                }
            }
        }
        None
    }
}
