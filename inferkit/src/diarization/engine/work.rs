//! What the thread does: one request after the other.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc as line;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::handle::Diarize;
use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::pipeline::Listener;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::task::DiarizationEvent;
use crate::task::DiarizationRequest;
use crate::task::DiarizationResult;

/// A request in line.
pub(super) struct Order {
    pub(super) request: DiarizationRequest,
    pub(super) bounds: SpeakerBounds,
    /// Told once the work begins.
    pub(super) started: oneshot::Sender<()>,
    pub(super) outlet: mpsc::Sender<Result<DiarizationEvent>>,
}

/// Serves the line until it is closed or the engine is stopped.
pub(super) fn serve(pipeline: &impl Diarize, orders: &line::Receiver<Order>, stopped: &AtomicBool) {
    while let Ok(order) = orders.recv() {
        let Order {
            request,
            bounds,
            started,
            outlet,
        } = order;
        let caller = Caller {
            outlet: &outlet,
            stopped,
        };
        if started.send(()).is_err() || outlet.is_closed() {
            continue;
        }
        let run = || {
            caller.check()?;
            pipeline.diarize(&request.samples, bounds, &caller)
        };
        let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = format!("diarization failed: it panicked: {}", panic_text(&*panic));
            Err(Error::internal(text))
        });
        let last = result.map(|mut result: DiarizationResult| {
            if !request.embeddings {
                result.embeddings.clear();
            }
            DiarizationEvent::Done(result)
        });
        // Fails only if the reader has gone; the place for it is kept free.
        let _ = outlet.try_send(last);
    }
}

/// The caller as the pipeline sees it.
struct Caller<'a> {
    outlet: &'a mpsc::Sender<Result<DiarizationEvent>>,
    stopped: &'a AtomicBool,
}

impl Listener for Caller<'_> {
    fn progress(&self, done_seconds: f64, total_seconds: f64) {
        // The last place is for the last event.
        if self.outlet.capacity() > 1 {
            let event = DiarizationEvent::Progress {
                done_seconds,
                total_seconds,
            };
            let _ = self.outlet.try_send(Ok(event));
        }
    }

    fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            let message = "the model was unloaded while it worked; load it and try again";
            return Err(Error::unavailable(UnavailableFault::ModelNotLoaded, message));
        }
        if self.outlet.is_closed() {
            return Err(Error::cancelled());
        }
        Ok(())
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned())
}
