//! The engine as its owner sees it.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::stream::events;
use super::work::Order;
use super::work::panic_text;
use super::work::serve;
use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::pipeline::Listener;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::task::DiarizationModel;
use crate::task::DiarizationRequest;
use crate::task::DiarizationResult;
use crate::task::DiarizationStream;

/// What the thread runs.
pub(in crate::diarization) trait Diarize {
    /// Who speaks when in `samples`.
    ///
    /// # Errors
    /// As the pipeline fails, and what `listener` ends the work with.
    fn diarize(&self, samples: &[f32], bounds: SpeakerBounds, listener: &dyn Listener) -> Result<DiarizationResult>;
}

/// How requests are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::diarization) struct EngineConfig {
    /// Most requests in line.
    pub(in crate::diarization) max_queued: usize,
    /// Longest wait in line.
    pub(in crate::diarization) queue_timeout: Duration,
}

impl Default for EngineConfig {
    /// A recording may take minutes, so the wait is longer than that of a conversation.
    fn default() -> Self {
        Self {
            max_queued: 16,
            queue_timeout: Duration::from_mins(10),
        }
    }
}

/// A running engine. Dropping it ends its thread and frees the pipeline; results in progress end with an error.
#[derive(Debug)]
pub(in crate::diarization) struct Engine {
    line: Option<mpsc::SyncSender<Order>>,
    stopped: Arc<AtomicBool>,
    config: EngineConfig,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread, builds what it runs on it, and waits until it is ready.
    ///
    /// # Errors
    /// What `build` returns; [`Error::Internal`] if it panics or no thread can be started.
    pub(in crate::diarization) async fn start<D, B>(config: EngineConfig, build: B) -> Result<Self>
    where
        D: Diarize,
        B: FnOnce() -> Result<D> + Send + 'static,
    {
        let (line, orders) = mpsc::sync_channel(config.max_queued.max(1));
        let (ready, built) = oneshot::channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let body = move || match catch_unwind(AssertUnwindSafe(build)) {
            Ok(Ok(pipeline)) => {
                if ready.send(Ok(())).is_ok() {
                    serve(&pipeline, &orders, &stop);
                }
            }
            Ok(Err(error)) => drop(ready.send(Err(error))),
            Err(panic) => {
                let text = format!("loading the model panicked: {}", panic_text(&*panic));
                drop(ready.send(Err(Error::internal(text))));
            }
        };
        let thread = std::thread::Builder::new()
            .name("inferkit-diarize".to_owned())
            .spawn(body);
        let thread = thread.map_err(|e| Error::internal("no thread could be started for the model").with_source(e))?;
        built
            .await
            .map_err(|_| Error::internal("the model's thread ended while it was built"))??;
        Ok(Self {
            line: Some(line),
            stopped,
            config,
            thread: Some(thread),
        })
    }
}

#[async_trait]
impl DiarizationModel for Engine {
    async fn diarize(&self, request: DiarizationRequest) -> Result<DiarizationStream> {
        let bounds = SpeakerBounds::new(request.min_speakers, request.max_speakers)?;
        let (order, stream) = events(request, bounds, self.config.queue_timeout);
        let Some(line) = &self.line else {
            return Err(Error::cancelled());
        };
        match line.try_send(order) {
            Ok(()) => Ok(stream.boxed()),
            Err(mpsc::TrySendError::Full(_)) => Err(Error::unavailable(
                UnavailableFault::QueueFull,
                format!(
                    "{} recordings wait for this model, and no more may; try again later",
                    self.config.max_queued
                ),
            )),
            Err(mpsc::TrySendError::Disconnected(_)) => {
                Err(Error::internal("diarization failed: the engine has ended"))
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.line = None;
        if let Some(thread) = self.thread.take() {
            // It ends at the pipeline's next check; a panic has been told to the callers already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
