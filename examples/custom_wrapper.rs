//! A model of your own in a registry: an echo that chats.
//!
//! ```text
//! cargo run -p inferkit-examples --example custom_wrapper -- "Is anybody there?"
//! ```
//!
//! A wrapper says what the model is, makes its files present and loads it. The registry does the rest:
//! when to download and load, who may use it, what is told to whom, and when it leaves memory.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use inferkit::DownloadOptions;
use inferkit::FileInventory;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::Loaded;
use inferkit::MemoryUse;
use inferkit::ModelInfo;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::ModelWrapper;
use inferkit::Progress;
use inferkit::Result;
use inferkit::Source;
use inferkit::task::ChatEvent;
use inferkit::task::ChatLimits;
use inferkit::task::ChatModel;
use inferkit::task::ChatRequest;
use inferkit::task::ChatStream;
use inferkit::task::Delta;
use inferkit::task::FinishReason;
use inferkit::task::Message;
use inferkit::task::QueueDepth;
use inferkit::task::Task;
use inferkit::task::Timings;
use inferkit::task::Usage;

/// What the registry keeps: a description of the model and the way to load it.
struct EchoWrapper;

#[async_trait]
impl ModelWrapper for EchoWrapper {
    fn describe(&self) -> ModelInfo {
        ModelInfo::new("echo", Task::Chat, Source::path("built in"))
    }

    async fn files(&self) -> Result<FileInventory> {
        // An echo needs no files, so none is missing.
        Ok(FileInventory::new(Vec::new(), true))
    }

    async fn download(&self, _options: &DownloadOptions, _job: &Job) -> Result<()> {
        Ok(())
    }

    async fn load(&self, _options: &LoadOptions, job: &Job) -> Result<Loaded> {
        // A model with real weights reports as it reads them, and checks whether it should stop.
        job.report(Progress::phase("listening"));
        job.check()?;
        Ok(Loaded::new("cpu", "none", MemoryUse::default()).with_chat(Arc::new(Echo)))
    }
}

/// The model in memory.
struct Echo;

#[async_trait]
impl ChatModel for Echo {
    fn limits(&self) -> ChatLimits {
        ChatLimits::new(4096, 1)
    }

    fn queue(&self) -> QueueDepth {
        QueueDepth::default()
    }

    async fn chat(&self, request: ChatRequest) -> Result<ChatStream> {
        let said = request
            .messages
            .last()
            .and_then(|message| message.content.clone())
            .unwrap_or_default();
        let words: Vec<String> = said.split_inclusive(' ').map(str::to_owned).collect();
        let usage = Usage::new(words.len(), words.len());
        let started = ChatEvent::Started {
            prompt_tokens: words.len(),
            cached_tokens: 0,
        };
        let pieces = words.into_iter().map(|word| ChatEvent::Delta {
            choice: 0,
            delta: Delta::Content(word),
            logprobs: Vec::new(),
        });
        let end = [
            ChatEvent::Finished {
                choice: 0,
                reason: FinishReason::Stop,
            },
            ChatEvent::Done {
                usage,
                timings: Timings::default(),
            },
        ];
        let events: Vec<_> = std::iter::once(started).chain(pieces).chain(end).map(Ok).collect();
        Ok(stream::iter(events).boxed())
    }
}

/// Registers the echo and asks it.
async fn ask(question: &str) -> Result<String> {
    let models = ModelRegistry::builder().build()?;
    models
        .register("echo", Arc::new(EchoWrapper), ModelPolicy::default())
        .await?;

    let lease = models.get("echo")?.ensure_loaded().await?;
    let mut events = lease
        .chat()?
        .chat(ChatRequest::new(vec![Message::user(question)]))
        .await?;
    let mut answer = String::new();
    while let Some(event) = events.next().await {
        if let ChatEvent::Delta {
            delta: Delta::Content(text),
            ..
        } = event?
        {
            answer.push_str(&text);
        }
    }
    drop(lease);
    models.shutdown().await;
    Ok(answer)
}

#[tokio::main]
async fn main() -> Result<()> {
    let question = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "Is anybody there?".to_owned());
    println!("{}", ask(&question).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_echo_answers_with_what_was_said() {
        assert_eq!(super::ask("Is anybody there?").await.unwrap(), "Is anybody there?");
    }
}
