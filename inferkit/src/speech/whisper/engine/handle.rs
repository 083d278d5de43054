//! The engine as its callers hold it.

use std::sync::Arc;
use std::time::Duration;

use super::work::Recording;
use super::worker::Worker;
use crate::error::Result;
use crate::speech::whisper::config::WhisperConfig;
use crate::speech::whisper::decoding::Thresholds;
use crate::speech::whisper::mel::WhisperMel;
use crate::speech::whisper::network::Network;
use crate::speech::whisper::tokens::WhisperTokens;
use crate::task::QueueDepth;
use crate::task::TranscriptionEvent;
use crate::wrapper::Health;
use crate::wrapper::MemoryUse;
use crate::wrapper::engine::EngineThread;
use crate::wrapper::engine::EventStream;
use crate::wrapper::engine::Queue;
use crate::wrapper::engine::QueueLimits;

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
    queue: Arc<Queue<Recording, TranscriptionEvent>>,
    /// Held until the queue has told it to end.
    _thread: EngineThread,
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
    /// What `build` returns; [`crate::Error::Internal`] if it panics or no thread can be started.
    pub(crate) async fn start<B>(
        build: B,
        config: WhisperConfig,
        tokens: Arc<WhisperTokens>,
        options: EngineOptions,
    ) -> Result<Self>
    where
        B: FnOnce() -> Result<Network> + Send + 'static,
    {
        let queue = Arc::new(Queue::new(QueueLimits {
            max_queued: options.max_queued,
            queue_timeout: options.queue_timeout,
            places: options.slots,
        }));
        let queue_of_worker = Arc::clone(&queue);
        let mel = Arc::new(WhisperMel::new(config.mel_bins)?);
        let mel_of_worker = Arc::clone(&mel);
        let build = move || {
            let network = build()?;
            let facts = (network.memory(), network.weight_type().to_owned());
            let model = Model {
                network,
                config,
                tokens,
                mel: mel_of_worker,
            };
            Ok((Worker::new(model, options, queue_of_worker), facts))
        };
        let line = Arc::clone(queue.line());
        let (thread, (memory, weight_type)) = EngineThread::start("inferkit-whisper", line, build).await?;
        Ok(Self {
            queue,
            _thread: thread,
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
        self.queue.line().health().clone()
    }

    /// Requests at work and in line.
    pub(crate) fn queue(&self) -> QueueDepth {
        self.queue.line().depth()
    }

    /// Queues a recording. Returns at once.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if the line is full or the engine has failed.
    pub(crate) fn submit(&self, recording: Recording) -> Result<EventStream<TranscriptionEvent>> {
        self.queue.submit(recording)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.stop();
    }
}
