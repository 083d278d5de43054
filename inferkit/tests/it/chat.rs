//! Real chat models, from files through registry and engine to the last event.

mod answers;
mod faults;
mod golden;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use inferkit::Hub;
use inferkit::Lease;
use inferkit::ModelHandle;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::QwenModel;
use inferkit::QwenOptions;
use inferkit::Result;
use inferkit::Source;
use inferkit::task::ChatEvent;
use inferkit::task::ChatRequest;
use inferkit::task::ChatStream;
use inferkit::task::Delta;
use inferkit::task::FinishReason;
use inferkit::task::Message;
use inferkit::task::Role;
use inferkit::task::Sampling;
use inferkit::task::TokenLogprob;
use inferkit::task::Usage;

fn goldens() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/llm"))
}

fn model(path: impl Into<PathBuf>, options: QwenOptions) -> QwenModel {
    let hub = Hub::builder(std::env::temp_dir()).offline(true).build().unwrap();
    QwenModel::new(Source::path(path), hub).with_options(options)
}

async fn registered(model: QwenModel) -> ModelHandle {
    let registry = ModelRegistry::builder().build().unwrap();
    registry
        .register("chat", Arc::new(model), ModelPolicy::default())
        .await
        .unwrap()
}

/// A lease on the golden model, with everything at its default.
async fn qwen3() -> Lease {
    let model = model(goldens().join("models/qwen3-tied"), QwenOptions::default());
    registered(model).await.ensure_loaded().await.unwrap()
}

/// The conversation of the goldens.
fn question() -> ChatRequest {
    ChatRequest::new(vec![
        Message::new(Role::System, "You are terse."),
        Message::user("Hi, what's 12+30? 🙂"),
    ])
    .with_sampling(Sampling::greedy())
}

async fn stream(lease: &Lease, request: ChatRequest) -> Result<ChatStream> {
    lease.chat().unwrap().chat(request).await
}

/// What a reader has got of a request's first choice, in the end.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    prompt_tokens: usize,
    text: String,
    logprobs: Vec<TokenLogprob>,
    reason: Option<FinishReason>,
    usage: Usage,
}

async fn ask(lease: &Lease, request: ChatRequest) -> Answer {
    read(stream(lease, request).await.unwrap()).await
}

/// Reads to the end, and holds the order of events to what the task promises.
async fn read(mut events: ChatStream) -> Answer {
    let mut answer = Answer::default();
    let Some(Ok(ChatEvent::Started { prompt_tokens, .. })) = events.next().await else {
        panic!("the first event is not the start");
    };
    answer.prompt_tokens = prompt_tokens;
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ChatEvent::Delta {
                choice,
                delta,
                logprobs,
            } => {
                assert_eq!((choice, answer.reason), (0, None));
                let Delta::Content(text) = delta else {
                    panic!("only content is expected, not {delta:?}")
                };
                answer.text += &text;
                answer.logprobs.extend(logprobs);
            }
            ChatEvent::Finished { reason, .. } => answer.reason = Some(reason),
            ChatEvent::Done { usage, .. } => {
                answer.usage = usage;
                assert!(events.next().await.is_none(), "something follows the end");
                return answer;
            }
            event => panic!("{event:?} was not expected"),
        }
    }
    panic!("the stream ended without a last event");
}
