//! The engine as its owner sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::work::Recording;
use super::work::Worker;
use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::pipeline::Listener;
use crate::error::Result;
use crate::task::DiarizationEvent;
use crate::task::DiarizationModel;
use crate::task::DiarizationRequest;
use crate::task::DiarizationResult;
use crate::task::DiarizationStream;
use crate::task::QueueDepth;
use crate::wrapper::Health;
use crate::wrapper::engine::EngineThread;
use crate::wrapper::engine::Queue;
use crate::wrapper::engine::QueueLimits;

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
    queue: Arc<Queue<Recording, DiarizationEvent>>,
    /// Held until the queue has told it to end, which it sees at the pipeline's next check.
    _thread: EngineThread,
}

impl Engine {
    /// Starts the thread, builds what it runs on it, waits until it is ready, and returns what `build` tells of it.
    ///
    /// # Errors
    /// What `build` returns; [`crate::Error::Internal`] if it panics or no thread can be started.
    pub(in crate::diarization) async fn start<D, F, B>(config: EngineConfig, build: B) -> Result<(Self, F)>
    where
        D: Diarize,
        F: Send + 'static,
        B: FnOnce() -> Result<(D, F)> + Send + 'static,
    {
        let queue = Arc::new(Queue::new(QueueLimits {
            max_queued: config.max_queued,
            queue_timeout: config.queue_timeout,
            places: 1,
        }));
        let queue_of_worker = Arc::clone(&queue);
        let build = move || {
            let (pipeline, facts) = build()?;
            let worker = Worker {
                pipeline,
                queue: queue_of_worker,
            };
            Ok((worker, facts))
        };
        let (thread, facts) = EngineThread::start("inferkit-diarize", Arc::clone(queue.line()), build).await?;
        Ok((Self { queue, _thread: thread }, facts))
    }

    /// What a registry watches.
    pub(in crate::diarization) fn health(&self) -> Health {
        self.queue.line().health().clone()
    }
}

#[async_trait]
impl DiarizationModel for Engine {
    fn queue(&self) -> Option<QueueDepth> {
        Some(self.queue.line().depth())
    }

    async fn diarize(&self, request: DiarizationRequest) -> Result<DiarizationStream> {
        let bounds = SpeakerBounds::new(request.min_speakers, request.max_speakers)?;
        Ok(self.queue.submit(Recording { request, bounds })?.boxed())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

#[cfg(test)]
mod tests;
