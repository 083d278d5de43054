//! A model in memory: what it can do and what it takes.

use std::sync::Arc;

use crate::task::ChatModel;
use crate::task::DiarizationModel;
use crate::task::EmbeddingModel;
use crate::task::QueueDepth;
use crate::task::TranscriptionModel;
use crate::wrapper::Health;

/// A model in memory. Dropping it frees everything it holds.
///
/// What it can do are task objects; a model may offer more than one.
#[derive(Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// Where its weights are, such as `cpu` or `cuda:0`.
    pub device: String,
    /// The type of its weights, such as `f32` or `q4_1`.
    pub dtype: String,
    /// The memory it took.
    pub memory: MemoryUse,
    /// Longest context in tokens, for models that have one.
    pub max_model_len: Option<usize>,
    /// Whether it can still serve; the registry acts on it.
    pub health: Health,
    /// Conversation.
    pub chat: Option<Arc<dyn ChatModel>>,
    /// Text to vector.
    pub embedding: Option<Arc<dyn EmbeddingModel>>,
    /// Speech to text.
    pub transcription: Option<Arc<dyn TranscriptionModel>>,
    /// Who speaks when.
    pub diarization: Option<Arc<dyn DiarizationModel>>,
}

impl Loaded {
    /// A model on `device` with weights of `dtype`, offering nothing yet.
    pub fn new(device: impl Into<String>, dtype: impl Into<String>, memory: MemoryUse) -> Self {
        Self {
            device: device.into(),
            dtype: dtype.into(),
            memory,
            max_model_len: None,
            health: Health::new(),
            chat: None,
            embedding: None,
            transcription: None,
            diarization: None,
        }
    }

    /// How many requests it works on and how many wait, for all that it offers together; `None` if nothing of it tells.
    pub(crate) fn queue(&self) -> Option<QueueDepth> {
        let depths = [
            self.chat.as_ref().map(|chat| chat.queue()),
            self.transcription.as_ref().and_then(|model| model.queue()),
            self.diarization.as_ref().and_then(|model| model.queue()),
        ];
        let together = |sum: QueueDepth, depth: QueueDepth| {
            QueueDepth::new(sum.running + depth.running, sum.waiting + depth.waiting)
        };
        depths.into_iter().flatten().reduce(together)
    }

    /// Watches `health`, of which the model's own threads keep clones: once they say that the model can
    /// serve no more, the registry shows it as `failed` and drops it.
    #[must_use]
    pub fn with_health(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// Offers conversation.
    #[must_use]
    pub fn with_chat(self, chat: Arc<dyn ChatModel>) -> Self {
        Self {
            max_model_len: Some(chat.limits().max_model_len),
            chat: Some(chat),
            ..self
        }
    }

    /// Offers text to vector.
    #[must_use]
    pub fn with_embedding(self, embedding: Arc<dyn EmbeddingModel>) -> Self {
        Self {
            embedding: Some(embedding),
            ..self
        }
    }

    /// Offers speech to text.
    #[must_use]
    pub fn with_transcription(self, transcription: Arc<dyn TranscriptionModel>) -> Self {
        Self {
            transcription: Some(transcription),
            ..self
        }
    }

    /// Offers who speaks when.
    #[must_use]
    pub fn with_diarization(self, diarization: Arc<dyn DiarizationModel>) -> Self {
        Self {
            diarization: Some(diarization),
            ..self
        }
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Loaded")
            .field("device", &self.device)
            .field("dtype", &self.dtype)
            .field("memory", &self.memory)
            .field("chat", &self.chat.is_some())
            .field("embedding", &self.embedding.is_some())
            .field("transcription", &self.transcription.is_some())
            .field("diarization", &self.diarization.is_some())
            .finish_non_exhaustive()
    }
}

/// Memory of a loaded model, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Weights.
    pub weights_bytes: u64,
    /// Key/value cache and other state.
    pub cache_bytes: u64,
}

/// Memory that a load is thought to take, weights and cache together, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryRange {
    /// The least.
    pub low_bytes: u64,
    /// The most.
    pub high_bytes: u64,
}

impl MemoryRange {
    /// From `low` to `high`, in bytes.
    pub const fn new(low_bytes: u64, high_bytes: u64) -> Self {
        Self { low_bytes, high_bytes }
    }
}

impl MemoryUse {
    /// Weights and cache, in bytes.
    pub const fn new(weights_bytes: u64, cache_bytes: u64) -> Self {
        Self {
            weights_bytes,
            cache_bytes,
        }
    }
}
