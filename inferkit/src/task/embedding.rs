//! The embedding task: texts in, one vector each out.

use async_trait::async_trait;

use crate::error::Result;

/// A model that turns texts into vectors.
#[async_trait]
pub trait EmbeddingModel: Send + Sync {
    /// One vector for each text, in order.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for a text that does not fit the model.
    async fn embed(&self, request: EmbeddingRequest) -> Result<EmbeddingResult>;
}

/// Texts to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddingRequest {
    /// The texts; at least one.
    pub texts: Vec<String>,
    /// Length of the vectors, where the model lets it be chosen.
    pub dimensions: Option<usize>,
}

impl EmbeddingRequest {
    /// Embeds `texts` at the model's own length.
    pub fn new(texts: Vec<String>) -> Self {
        Self {
            texts,
            dimensions: None,
        }
    }
}

/// The vectors of a request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingResult {
    /// One vector of unit length for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read.
    pub prompt_tokens: usize,
}

impl EmbeddingResult {
    /// Vectors and the tokens read for them.
    pub const fn new(vectors: Vec<Vec<f32>>, prompt_tokens: usize) -> Self {
        Self { vectors, prompt_tokens }
    }
}
