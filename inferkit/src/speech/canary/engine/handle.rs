//! The engine as its callers hold it.

use std::sync::Arc;
use std::time::Duration;

use super::work::Recording;
use super::worker::Worker;
use crate::error::Result;
use crate::speech::canary::features::FrontEnd;
use crate::speech::canary::source::CanaryModel;
use crate::task::QueueDepth;
use crate::task::TranscriptionEvent;
use crate::wrapper::Health;
use crate::wrapper::MemoryUse;
use crate::wrapper::engine::EngineThread;
use crate::wrapper::engine::EventStream;
use crate::wrapper::engine::Queue;
use crate::wrapper::engine::QueueLimits;

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
    queue: Arc<Queue<Recording, TranscriptionEvent>>,
    /// Held until the queue has told it to end.
    _thread: EngineThread,
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
    /// What `build` returns; [`crate::Error::Internal`] if it panics or no thread can be started.
    pub(in crate::speech::canary) async fn start<B>(build: B, options: EngineOptions) -> Result<(Self, Facts)>
    where
        B: FnOnce() -> Result<CanaryModel> + Send + 'static,
    {
        let queue = Arc::new(Queue::new(QueueLimits {
            max_queued: options.max_queued,
            queue_timeout: options.queue_timeout,
            places: options.places,
        }));
        let queue_of_worker = Arc::clone(&queue);
        let build = move || {
            let model = build()?;
            let facts = Facts {
                memory: MemoryUse::new(model.weights_bytes, 0),
                weight_type: model.weight_type.clone(),
                front_end: model.networks.front_end.clone(),
            };
            Ok((Worker::new(model, options, queue_of_worker), facts))
        };
        let (thread, facts) = EngineThread::start("inferkit-canary", Arc::clone(queue.line()), build).await?;
        let engine = Self { queue, _thread: thread };
        Ok((engine, facts))
    }

    /// What a registry watches.
    pub(in crate::speech::canary) fn health(&self) -> Health {
        self.queue.line().health().clone()
    }

    /// Requests at work and in line.
    pub(in crate::speech::canary) fn queue(&self) -> QueueDepth {
        self.queue.line().depth()
    }

    /// Queues a recording. Returns at once.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if the line is full or the engine has failed.
    pub(in crate::speech::canary) fn submit(&self, recording: Recording) -> Result<EventStream<TranscriptionEvent>> {
        self.queue.submit(recording)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.stop();
    }
}
