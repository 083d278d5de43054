//! The way from the engine to the reader of one transcript.
//!
//! It is not bounded: a transcript is some thousandth of the recording that its request holds in memory already, so that the
//! thread never has to wait for a reader.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::error::Result;
use crate::speech::line::Line;
use crate::task::TranscriptionEvent;

/// The engine's end.
#[derive(Debug)]
pub(in crate::speech) struct Outlet(mpsc::UnboundedSender<Result<TranscriptionEvent>>);

/// The reader's end: the events of one request. Dropping it cancels the request.
#[derive(Debug)]
pub(in crate::speech) struct TranscriptStream {
    events: mpsc::UnboundedReceiver<Result<TranscriptionEvent>>,
    is_over: bool,
    line: Arc<Line>,
}

/// Both ends of a new way.
pub(in crate::speech) fn outlet(line: Arc<Line>) -> (Outlet, TranscriptStream) {
    let (sender, events) = mpsc::unbounded_channel();
    let stream = TranscriptStream {
        events,
        is_over: false,
        line,
    };
    (Outlet(sender), stream)
}

impl Outlet {
    /// Whether the reader has gone.
    pub(in crate::speech) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends an event, or the error that ends the stream.
    pub(in crate::speech) fn send(&self, event: Result<TranscriptionEvent>) {
        // Fails only if the reader has gone, which the engine sees before its next step.
        let _ = self.0.send(event);
    }
}

impl Stream for TranscriptStream {
    type Item = Result<TranscriptionEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Poll::Ready(event) = self.events.poll_recv(context) else {
            return Poll::Pending;
        };
        // The engine's thread went away in the middle of the transcript.
        let event = event.unwrap_or_else(|| {
            let reason = self.line.closed();
            Err(reason.unwrap_or_else(|| Error::internal("transcription failed: the engine has ended")))
        });
        self.is_over = matches!(event, Ok(TranscriptionEvent::Done { .. }) | Err(_));
        Poll::Ready(Some(event))
    }
}
