//! The way from the engine to the reader of one answer: bounded, so that a slow reader holds back itself only.
//!
//! The engine never waits for a reader. Before it computes, it asks whether the outlet has room; if there is
//! none, the reader's next take sends a [`Command::Wake`] to the engine, as does the end of the reader.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;
use std::sync::mpsc as inbox;
use std::task::Context;
use std::task::Poll;

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::chat::engine::worker::Command;
use crate::error::Error;
use crate::error::Result;
use crate::task::ChatEvent;
use crate::wrapper::engine::Line;

/// Parcels a reader may lag behind: 64, as the server documents.
pub(super) const PARCELS: usize = 64;

/// Kept free for an error, which ends the stream even if its reader lags.
const RESERVED: usize = 1;

/// The events of one step, or what ended the answer.
pub(super) type Parcel = Result<Vec<ChatEvent>>;

/// The engine's end.
#[derive(Debug)]
pub(super) struct Outlet {
    parcels: mpsc::Sender<Parcel>,
    is_awaited: Arc<AtomicBool>,
}

/// Both ends of a new way. `engine` is told when the reader has made room or gone.
pub(super) fn outlet(engine: inbox::Sender<Command>, line: Arc<Line>) -> (Outlet, AnswerStream) {
    let (sender, receiver) = mpsc::channel(PARCELS + RESERVED);
    let is_awaited = Arc::new(AtomicBool::new(false));
    let stream = AnswerStream {
        parcels: receiver,
        opened: VecDeque::new(),
        is_over: false,
        is_awaited: Arc::clone(&is_awaited),
        engine,
        line,
    };
    (
        Outlet {
            parcels: sender,
            is_awaited,
        },
        stream,
    )
}

impl Outlet {
    /// Whether the reader has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.parcels.is_closed()
    }

    /// Whether `parcels` more fit. If not, the reader's next take wakes the engine.
    pub(super) fn has_room(&self, parcels: usize) -> bool {
        let fits = || self.parcels.capacity() >= parcels + RESERVED;
        if fits() {
            return true;
        }
        self.is_awaited.store(true, Ordering::SeqCst);
        // With its twin in `poll_next`: either the reader sees the flag, or this thread sees its take.
        fence(Ordering::SeqCst);
        fits()
    }

    /// Sends the events of a step, for which [`Outlet::has_room`] has found room, or the error that ends the stream.
    pub(super) fn send(&self, parcel: Parcel) {
        if parcel.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        // Fails only if the reader has gone, which the engine sees before its next step.
        let _ = self.parcels.try_send(parcel);
    }
}

/// The reader's end: the events of one request. Dropping it cancels the request.
#[derive(Debug)]
pub(crate) struct AnswerStream {
    parcels: mpsc::Receiver<Parcel>,
    opened: VecDeque<ChatEvent>,
    is_over: bool,
    is_awaited: Arc<AtomicBool>,
    engine: inbox::Sender<Command>,
    line: Arc<Line>,
}

impl AnswerStream {
    fn pass(&mut self, event: ChatEvent) -> Poll<Option<Result<ChatEvent>>> {
        self.is_over = matches!(event, ChatEvent::Done { .. });
        Poll::Ready(Some(Ok(event)))
    }

    fn end(&mut self, error: Error) -> Poll<Option<Result<ChatEvent>>> {
        self.is_over = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for AnswerStream {
    type Item = Result<ChatEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.opened.pop_front() {
                return self.pass(event);
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let Poll::Ready(parcel) = self.parcels.poll_recv(context) else {
                return Poll::Pending;
            };
            fence(Ordering::SeqCst);
            if self.is_awaited.swap(false, Ordering::SeqCst) {
                let _ = self.engine.send(Command::Wake);
            }
            match parcel {
                Some(Ok(events)) => self.opened.extend(events),
                Some(Err(error)) => return self.end(error),
                // The engine's thread went away in the middle of the answer.
                None => {
                    let reason = self.line.closed();
                    let reason = reason.unwrap_or_else(|| Error::generation_failed("the engine has ended"));
                    return self.end(reason);
                }
            }
        }
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.parcels.close();
        if !self.is_over {
            // Fails if the engine has ended, which is as good as cancelled.
            let _ = self.engine.send(Command::Wake);
        }
    }
}
