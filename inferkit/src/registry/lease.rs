//! The right to use a model that is loaded.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::registry::slot::Slot;
use crate::task::ChatModel;
use crate::task::DiarizationModel;
use crate::task::EmbeddingModel;
use crate::task::Task;
use crate::task::TranscriptionModel;
use crate::wrapper::Loaded;

/// The right to use a loaded model: while it lives, the model is neither unloaded nor evicted.
///
/// Keep it for as long as the answer's stream is read, and drop it then. It dereferences to the
/// [`Loaded`] model. Task objects cloned out of it keep the model's memory alive, so do not keep
/// them longer than the lease.
pub struct Lease {
    // Dropped before `claim`, so that no lease keeps the weights once it is counted as given back.
    loaded: Arc<Loaded>,
    ended: CancellationToken,
    claim: Claim,
}

/// Gives the lease back when dropped.
struct Claim(Arc<Slot>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Lease {
    pub(super) fn new(loaded: Arc<Loaded>, ended: CancellationToken, slot: Arc<Slot>) -> Self {
        Self {
            loaded,
            ended,
            claim: Claim(slot),
        }
    }

    /// The model's key.
    pub fn key(&self) -> &str {
        &self.claim.0.key
    }

    /// Returns once the model is unloaded by force or has failed ([`Lease::failure`] tells which); the holder
    /// then ends its work and drops the lease.
    ///
    /// ```
    /// # async fn answer(lease: &inferkit::Lease) -> inferkit::Result<()> {
    /// # let work = async { Ok(()) };
    /// tokio::select! {
    ///     result = work => result,
    ///     () = lease.ended() => Err(inferkit::Error::cancelled()),
    /// }
    /// # }
    /// ```
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Why the model can serve no more, if it has failed.
    pub fn failure(&self) -> Option<Error> {
        self.loaded.health.failure()
    }

    /// The model for conversation.
    ///
    /// # Errors
    /// [`RequestFault::UnsupportedModelTask`] when the model does not do that.
    pub fn chat(&self) -> Result<&Arc<dyn ChatModel>> {
        self.loaded.chat.as_ref().ok_or_else(|| self.other_task(Task::Chat))
    }

    /// The model for text to vector.
    ///
    /// # Errors
    /// [`RequestFault::UnsupportedModelTask`] when the model does not do that.
    pub fn embedding(&self) -> Result<&Arc<dyn EmbeddingModel>> {
        self.loaded
            .embedding
            .as_ref()
            .ok_or_else(|| self.other_task(Task::Embed))
    }

    /// The model for speech to text.
    ///
    /// # Errors
    /// [`RequestFault::UnsupportedModelTask`] when the model does not do that.
    pub fn transcription(&self) -> Result<&Arc<dyn TranscriptionModel>> {
        self.loaded
            .transcription
            .as_ref()
            .ok_or_else(|| self.other_task(Task::Transcribe))
    }

    /// The model for who speaks when.
    ///
    /// # Errors
    /// [`RequestFault::UnsupportedModelTask`] when the model does not do that.
    pub fn diarization(&self) -> Result<&Arc<dyn DiarizationModel>> {
        self.loaded
            .diarization
            .as_ref()
            .ok_or_else(|| self.other_task(Task::Diarize))
    }

    fn other_task(&self, wanted: Task) -> Error {
        let offers: Vec<_> = [
            self.loaded.chat.as_ref().map(|_| Task::Chat),
            self.loaded.embedding.as_ref().map(|_| Task::Embed),
            self.loaded.transcription.as_ref().map(|_| Task::Transcribe),
            self.loaded.diarization.as_ref().map(|_| Task::Diarize),
        ]
        .into_iter()
        .flatten()
        .map(Task::as_str)
        .collect();
        Error::invalid(
            RequestFault::UnsupportedModelTask,
            "model",
            format!(
                "the model '{}' does not offer the task '{}' but: {}; name a model that does",
                self.key(),
                wanted.as_str(),
                offers.join(", "),
            ),
        )
    }
}

impl Deref for Lease {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lease")
            .field("key", &self.key())
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}
