//! A model that answers at once: what is left of a request's time is the gateway's.

use std::sync::Arc;
use std::time::Duration;

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
use inferkit::ModelWrapper;
use inferkit::Result;
use inferkit::Source;
use inferkit::task::ChatEvent;
use inferkit::task::ChatLimits;
use inferkit::task::ChatModel;
use inferkit::task::ChatRequest;
use inferkit::task::ChatStream;
use inferkit::task::Delta;
use inferkit::task::FinishReason;
use inferkit::task::QueueDepth;
use inferkit::task::Task;
use inferkit::task::Timings;
use inferkit::task::Usage;

/// A chat model that says one word at once, and a second one after `pause`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo {
    /// Time between the first word and the end.
    pub pause: Option<Duration>,
}

#[async_trait]
impl ModelWrapper for Echo {
    fn describe(&self) -> ModelInfo {
        ModelInfo::new("echo", Task::Chat, Source::path("echo"))
    }

    async fn files(&self) -> Result<FileInventory> {
        Ok(FileInventory::new(Vec::new(), true))
    }

    async fn download(&self, _: &DownloadOptions, _: &Job) -> Result<()> {
        Ok(())
    }

    async fn load(&self, _: &LoadOptions, _: &Job) -> Result<Loaded> {
        Ok(Loaded::new("cpu", "f32", MemoryUse::new(0, 0)).with_chat(Arc::new(*self)))
    }
}

#[async_trait]
impl ChatModel for Echo {
    fn limits(&self) -> ChatLimits {
        ChatLimits::new(4096, 2)
    }

    fn queue(&self) -> QueueDepth {
        QueueDepth::default()
    }

    async fn chat(&self, _: ChatRequest) -> Result<ChatStream> {
        let first = [
            ChatEvent::Started {
                prompt_tokens: 1,
                cached_tokens: 0,
            },
            ChatEvent::Delta {
                choice: 0,
                delta: Delta::Content("Hello".to_owned()),
                logprobs: Vec::new(),
            },
        ];
        let last = [
            ChatEvent::Finished {
                choice: 0,
                reason: FinishReason::Stop,
            },
            ChatEvent::Done {
                usage: Usage::new(1, 1),
                timings: Timings::default(),
            },
        ];
        let pause = self.pause;
        let rest = stream::once(async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            stream::iter(last)
        });
        Ok(stream::iter(first).chain(rest.flatten()).map(Ok).boxed())
    }
}
