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

use tokio::sync::oneshot;

use super::work::Arrival;
use super::work::Recording;
use super::worker::Worker;
use crate::error::Error;
use crate::error::Result;
use crate::speech::line::Line;
use crate::speech::stream::TranscriptStream;
use crate::speech::stream::outlet;
use crate::speech::whisper::config::WhisperConfig;
use crate::speech::whisper::decoding::Thresholds;
use crate::speech::whisper::mel::WhisperMel;
use crate::speech::whisper::network::Network;
use crate::speech::whisper::tokens::WhisperTokens;
use crate::wrapper::Health;
use crate::wrapper::MemoryUse;

/// How long dropping an engine waits for its thread: far longer than a step. After that the device hangs, and the thread is
/// left behind rather than the caller.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// How an engine works.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    /// Recordings at work at once.
    pub(crate) slots: usize,
    /// Texts that a window is the best of, at temperatures above zero.
    pub(crate) best_of: usize,
    /// Beginnings that are kept at temperature zero; 1 is greedy.
    pub(crate) beam: usize,
    /// Most requests in line.
    pub(crate) max_queued: usize,
    /// Longest wait in line.
    pub(crate) queue_timeout: Duration,
    /// When a text is not believed.
    pub(crate) thresholds: Thresholds,
}

/// What the thread works with.
pub(super) struct Model {
    pub(super) network: Network,
    pub(super) config: WhisperConfig,
    pub(super) tokens: Arc<WhisperTokens>,
    pub(super) mel: Arc<WhisperMel>,
}

/// A running engine. Dropping it ends its thread and frees the network; transcripts in progress end with an error.
#[derive(Debug)]
pub(crate) struct Engine {
    inbox: Option<mpsc::Sender<Arrival>>,
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected once the network is gone. Behind a lock so that the engine can be shared; only `drop` reads it.
    gone: Mutex<mpsc::Receiver<()>>,
    mel: Arc<WhisperMel>,
    /// The memory that the network takes.
    pub(crate) memory: MemoryUse,
    /// The type of its weights.
    pub(crate) weight_type: String,
}

impl Engine {
    /// Starts the thread, builds the network on it, and waits until it is ready.
    ///
    /// # Errors
    /// What `build` returns; [`Error::Internal`] if it panics or no thread can be started.
    pub(crate) async fn start<B>(
        build: B,
        config: WhisperConfig,
        tokens: Arc<WhisperTokens>,
        options: EngineOptions,
    ) -> Result<Self>
    where
        B: FnOnce() -> Result<Network> + Send + 'static,
    {
        let (inbox, arrivals) = mpsc::channel();
        let (ready, built) = oneshot::channel();
        let (alive, gone) = mpsc::channel();
        let line = Arc::new(Line::new(options.max_queued, options.slots));
        let line_of_worker = Arc::clone(&line);
        let mel = Arc::new(WhisperMel::new(config.mel_bins)?);
        let mel_of_worker = Arc::clone(&mel);
        let body = move || {
            // Dropped last, after the network.
            let _alive: mpsc::Sender<()> = alive;
            match catch_unwind(AssertUnwindSafe(build)) {
                Ok(Ok(network)) => {
                    let facts = (network.memory(), network.weight_type().to_owned());
                    let model = Model {
                        network,
                        config,
                        tokens,
                        mel: mel_of_worker,
                    };
                    let worker = Worker::new(model, options, arrivals, line_of_worker);
                    if ready.send(Ok(facts)).is_ok() {
                        worker.run();
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
            .name("inferkit-whisper".to_owned())
            .spawn(body)
            .map_err(|e| Error::internal("no thread could be started for the model").with_source(e))?;
        let (memory, weight_type) = built
            .await
            .map_err(|_| Error::internal("the model's thread ended while it was built"))??;
        Ok(Self {
            inbox: Some(inbox),
            line,
            thread: Some(thread),
            gone: Mutex::new(gone),
            mel,
            memory,
            weight_type,
        })
    }

    /// The front end, for measuring a recording before it is handed in.
    pub(crate) const fn mel(&self) -> &Arc<WhisperMel> {
        &self.mel
    }

    /// What a registry watches.
    pub(crate) fn health(&self) -> Health {
        self.line.health().clone()
    }

    /// Queues a recording. Returns at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the line is full or the engine has failed.
    pub(crate) fn submit(&self, recording: Recording) -> Result<TranscriptStream> {
        self.line.admit()?;
        let (outlet, stream) = outlet(Arc::clone(&self.line));
        if let Some(inbox) = &self.inbox {
            // If the thread has ended, the request is dropped here and the stream says why.
            let _ = inbox.send(Arrival::new(recording, outlet));
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
