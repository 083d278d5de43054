//! The engine as its callers hold it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot;

use super::work::Arrival;
use super::work::Recording;
use super::worker::Worker;
use crate::error::Error;
use crate::error::Result;
use crate::speech::canary::features::FrontEnd;
use crate::speech::canary::source::CanaryModel;
use crate::speech::line::Line;
use crate::speech::stream::TranscriptStream;
use crate::speech::stream::outlet;
use crate::wrapper::Health;
use crate::wrapper::MemoryUse;

/// How long dropping an engine waits for its thread: far longer than a step. After that the device hangs, and the thread is
/// left behind rather than the caller.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// How an engine works.
#[derive(Debug, Clone, Copy)]
pub(in crate::speech::canary) struct EngineOptions {
    /// Recordings at work at once.
    pub(in crate::speech::canary) places: usize,
    /// Windows that are computed together.
    pub(in crate::speech::canary) windows: usize,
    /// Most requests in line.
    pub(in crate::speech::canary) max_queued: usize,
    /// Longest wait in line.
    pub(in crate::speech::canary) queue_timeout: Duration,
}

impl Default for EngineOptions {
    /// 16 recordings, 8 windows a turn; the rest as the server documents it.
    fn default() -> Self {
        Self {
            places: 16,
            windows: 8,
            max_queued: 64,
            queue_timeout: Duration::from_mins(1),
        }
    }
}

/// A running engine. Dropping it ends its thread and frees the networks; transcripts in progress end with an error.
#[derive(Debug)]
pub(in crate::speech::canary) struct Engine {
    inbox: Option<mpsc::Sender<Arrival>>,
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected once the networks are gone. Behind a lock so that the engine can be shared; only `drop` reads it.
    gone: Mutex<mpsc::Receiver<()>>,
}

/// What is known of a model once it is loaded.
#[derive(Debug, Clone)]
pub(in crate::speech::canary) struct Facts {
    /// The memory that it takes.
    pub(in crate::speech::canary) memory: MemoryUse,
    /// The type of its weights.
    pub(in crate::speech::canary) weight_type: String,
    /// Samples to features, for planning windows before a recording gets in line.
    pub(in crate::speech::canary) front_end: FrontEnd,
}

impl Engine {
    /// Starts the thread, builds the model on it, and waits until it is ready.
    ///
    /// # Errors
    /// What `build` returns; [`Error::Internal`] if it panics or no thread can be started.
    pub(in crate::speech::canary) async fn start<B>(build: B, options: EngineOptions) -> Result<(Self, Facts)>
    where
        B: FnOnce() -> Result<CanaryModel> + Send + 'static,
    {
        let (inbox, arrivals) = mpsc::channel();
        let (ready, built) = oneshot::channel();
        let (alive, gone) = mpsc::channel();
        let line = Arc::new(Line::new(options.max_queued, options.places));
        let line_of_worker = Arc::clone(&line);
        let body = move || {
            // Dropped last, after the networks.
            let _alive: mpsc::Sender<()> = alive;
            match catch_unwind(AssertUnwindSafe(build)) {
                Ok(Ok(model)) => {
                    let facts = Facts {
                        memory: MemoryUse::new(model.weights_bytes, 0),
                        weight_type: model.weight_type.clone(),
                        front_end: model.networks.front_end.clone(),
                    };
                    if ready.send(Ok(facts)).is_ok() {
                        Worker::new(model, options, arrivals, line_of_worker).run();
                    }
                }
                Ok(Err(error)) => drop(ready.send(Err(error))),
                Err(panic) => {
                    let text = format!("loading the model panicked: {}", panic_text(&*panic));
                    drop(ready.send(Err(Error::internal(text))));
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("inferkit-canary".to_owned())
            .spawn(body)
            .map_err(|e| Error::internal("no thread could be started for the model").with_source(e))?;
        let facts = built
            .await
            .map_err(|_| Error::internal("the model's thread ended while it was built"))??;
        let engine = Self {
            inbox: Some(inbox),
            line,
            thread: Some(thread),
            gone: Mutex::new(gone),
        };
        Ok((engine, facts))
    }

    /// What a registry watches.
    pub(in crate::speech::canary) fn health(&self) -> Health {
        self.line.health().clone()
    }

    /// Queues a recording. Returns at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the line is full or the engine has failed.
    pub(in crate::speech::canary) fn submit(&self, recording: Recording) -> Result<TranscriptStream> {
        self.line.admit()?;
        let (outlet, stream) = outlet(Arc::clone(&self.line));
        if let Some(inbox) = &self.inbox {
            // If the thread has ended, the request is dropped here and the stream says why.
            let _ = inbox.send(Arrival {
                recording,
                outlet,
                arrived: Instant::now(),
            });
        }
        Ok(stream)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The worker ends when nobody can send any more.
        self.line.drop_engine();
        self.inbox = None;
        let gone = self.gone.get_mut().unwrap_or_else(PoisonError::into_inner);
        if gone.recv_timeout(LONGEST_STOP) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a model's thread has not ended after {LONGEST_STOP:?}; it is left behind");
            return;
        }
        if let Some(thread) = self.thread.take() {
            // A panic has been told to the callers already.
            let _ = thread.join();
        }
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned())
}
