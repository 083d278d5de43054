//! A chat model in memory: the text layer in front of the engine.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;

use crate::chat::answer::TextAnswer;
use crate::chat::check::check;
use crate::chat::engine::Answer;
use crate::chat::engine::Engine;
use crate::chat::engine::Submission;
use crate::chat::text::TextLayer;
use crate::error::Error;
use crate::error::Result;
use crate::task::ChatLimits;
use crate::task::ChatModel;
use crate::task::ChatRequest;
use crate::task::ChatStream;
use crate::task::QueueDepth;

/// A text layer and the engine behind it.
pub(super) struct TextChat {
    text: Arc<TextLayer>,
    engine: Engine,
}

impl TextChat {
    /// Puts the two together.
    pub(super) const fn new(text: Arc<TextLayer>, engine: Engine) -> Self {
        Self { text, engine }
    }
}

#[async_trait]
impl ChatModel for TextChat {
    fn limits(&self) -> ChatLimits {
        ChatLimits::new(self.engine.admission().max_model_len(), self.text.vocabulary())
    }

    fn queue(&self) -> QueueDepth {
        self.engine.admission().queue()
    }

    fn tokens_per_second(&self) -> Option<f64> {
        Some(self.engine.admission().tokens_per_second())
    }

    async fn chat(&self, request: ChatRequest) -> Result<ChatStream> {
        let called = Instant::now();
        check(&request, self.text.vocabulary())?;
        let text = Arc::clone(&self.text);
        // Rendering and encoding a long conversation takes milliseconds that an async worker does not have.
        let prepared = tokio::task::spawn_blocking(move || prepare(&text, &request, called)).await;
        let submission = prepared.map_err(|e| Error::internal("a prompt could not be prepared").with_source(e))??;
        Ok(self.engine.admission().submit(submission)?.boxed())
    }
}

fn prepare(text: &Arc<TextLayer>, request: &ChatRequest, called: Instant) -> Result<Submission> {
    let prompt = text.prompt(request)?;
    let choices = 0..request.choices.get();
    let answer = |choice| Box::new(TextAnswer::new(text, request, &prompt, choice)) as Box<dyn Answer>;
    Ok(Submission {
        answers: choices.map(answer).collect(),
        max_tokens: request.max_tokens,
        prompt: prompt.tokens,
        called,
    })
}
