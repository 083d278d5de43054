//! The way from an engine to one of its callers.
//!
//! It is not bounded: what is said of a recording is some thousandth of the samples that its request holds in memory
//! already, so that the thread never has to wait for a reader. Where answers are long beside what was asked, as in a
//! conversation, a bounded way of the family's own is needed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use futures_util::Stream;
use tokio::sync::mpsc;

use super::line::Line;
use super::queue::Place;
use crate::error::Error;
use crate::error::Result;
use crate::task::DiarizationEvent;
use crate::task::TranscriptionEvent;

/// What an engine says of a request, step by step.
pub(crate) trait Event: Send + 'static {
    /// Whether nothing follows.
    fn is_last(&self) -> bool;
}

impl Event for TranscriptionEvent {
    fn is_last(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

impl Event for DiarizationEvent {
    fn is_last(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Outlet<E>(mpsc::UnboundedSender<Result<E>>);

/// The caller's end: the events of one request. Dropping it cancels the request, in line or at work.
#[derive(Debug)]
pub(crate) struct EventStream<E> {
    events: mpsc::UnboundedReceiver<Result<E>>,
    is_over: bool,
    /// Leaves the line when it is dropped.
    _place: Place,
    line: Arc<Line>,
}

/// Both ends of a new way.
pub(super) fn outlet<E>(place: Place, line: Arc<Line>) -> (Outlet<E>, EventStream<E>) {
    let (sender, events) = mpsc::unbounded_channel();
    let stream = EventStream {
        events,
        is_over: false,
        _place: place,
        line,
    };
    (Outlet(sender), stream)
}

impl<E> Outlet<E> {
    /// Whether the caller has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends an event, or the error that ends the stream.
    pub(crate) fn send(&self, event: Result<E>) {
        // Fails only if the caller has gone, which an engine sees before its next step.
        let _ = self.0.send(event);
    }
}

impl<E: Event> Stream for EventStream<E> {
    type Item = Result<E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Poll::Ready(event) = self.events.poll_recv(context) else {
            return Poll::Pending;
        };
        // The engine's thread went away in the middle of the answer.
        let event = event.unwrap_or_else(|| {
            let reason = self.line.closed();
            Err(reason.unwrap_or_else(|| Error::internal("the model's thread has ended and says no reason")))
        });
        self.is_over = event.as_ref().map_or(true, Event::is_last);
        Poll::Ready(Some(event))
    }
}
