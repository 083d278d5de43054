//! What the thread does: one request after the other.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::handle::Diarize;
use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::pipeline::Listener;
use crate::error::Error;
use crate::error::Result;
use crate::panics::contain;
use crate::task::DiarizationEvent;
use crate::task::DiarizationRequest;
use crate::wrapper::engine::Order;
use crate::wrapper::engine::Outlet;
use crate::wrapper::engine::Queue;
use crate::wrapper::engine::Turns;
use crate::wrapper::engine::unloaded;

/// A checked request.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) request: DiarizationRequest,
    pub(super) bounds: SpeakerBounds,
}

/// Owns the pipeline; lives on the engine's thread.
pub(super) struct Worker<D> {
    pub(super) pipeline: D,
    pub(super) queue: Arc<Queue<Recording, DiarizationEvent>>,
}

impl<D: Diarize> Turns for Worker<D> {
    /// One recording. A panic in it ends its request only: a pipeline keeps nothing of it.
    fn turn(&mut self) -> ControlFlow<()> {
        self.queue.wait();
        if self.queue.is_stopped() {
            return ControlFlow::Break(());
        }
        if let Some(Order { request, outlet }) = self.queue.take() {
            let begun = Instant::now();
            let result = self.diarize(&request, &outlet);
            // Before the caller is told, so that whoever asks again then finds the place free.
            self.queue.line().end(begun.elapsed());
            outlet.send(result);
        }
        ControlFlow::Continue(())
    }

    fn end_all(&mut self, error: &Error) {
        self.queue.end_all(error);
    }
}

impl<D: Diarize> Worker<D> {
    fn diarize(&self, recording: &Recording, outlet: &Outlet<DiarizationEvent>) -> Result<DiarizationEvent> {
        let Recording { request, bounds } = recording;
        let caller = Caller {
            outlet,
            queue: &self.queue,
        };
        let run = || {
            caller.check()?;
            self.pipeline.diarize(&request.samples, *bounds, &caller)
        };
        let mut result = contain(run, |text| {
            Error::internal(format!("diarization failed: it panicked: {text}"))
        })?;
        if !request.embeddings {
            result.embeddings.clear();
        }
        Ok(DiarizationEvent::Done(result))
    }
}

/// The caller as the pipeline sees it.
struct Caller<'a> {
    outlet: &'a Outlet<DiarizationEvent>,
    queue: &'a Queue<Recording, DiarizationEvent>,
}

impl Listener for Caller<'_> {
    fn progress(&self, done_seconds: f64, total_seconds: f64) {
        self.outlet.send(Ok(DiarizationEvent::Progress {
            done_seconds,
            total_seconds,
        }));
    }

    fn check(&self) -> Result<()> {
        if self.queue.is_stopped() {
            return Err(unloaded());
        }
        if self.outlet.is_closed() {
            return Err(Error::cancelled());
        }
        Ok(())
    }
}
