//! A question to a chat model, the answer as it comes.
//!
//! ```text
//! cargo run --release -p inferkit-examples --example chat -- [MODEL] [QUESTION]
//! ```
//!
//! MODEL is a folder with config.json, safetensors and tokenizer.json, or a GGUF file. Left out, it is the
//! demo model that `make demo` fetches.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use inferkit::Hub;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::QwenModel;
use inferkit::Result;
use inferkit::Source;
use inferkit::task::ChatEvent;
use inferkit::task::ChatRequest;
use inferkit::task::Delta;
use inferkit::task::Message;
use inferkit::task::Sampling;

/// Where `make demo` puts the model.
const DEMO_MODEL: &str = "models/demo/qwen/SmolLM2-135M-Instruct.Q4_1.gguf";

/// Asks the model at `path`, and writes the answer to `out` piece by piece.
async fn ask(path: &Path, request: ChatRequest, out: &mut (dyn Write + Send)) -> Result<()> {
    let models = ModelRegistry::builder().build()?;
    let model = QwenModel::new(Source::path(path), Hub::builder("models").build()?);
    models.register("chat", Arc::new(model), ModelPolicy::default()).await?;

    // Keep the lease while the answer is read: it keeps the model loaded.
    let lease = models.get("chat")?.ensure_loaded().await?;
    let mut events = lease.chat()?.chat(request).await?;
    while let Some(event) = events.next().await {
        if let ChatEvent::Delta {
            delta: Delta::Content(text),
            ..
        } = event?
        {
            // A reader that is gone ends the example, not the library.
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                break;
            }
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| DEMO_MODEL.to_owned());
    let question = arguments
        .next()
        .unwrap_or_else(|| "What is the capital of France?".to_owned());
    // A model this small is at its best when it says what it finds most probable.
    let request = ChatRequest::new(vec![Message::user(question)])
        .with_max_tokens(256)
        .with_sampling(Sampling::greedy());
    ask(Path::new(&path), request, &mut std::io::stdout()).await?;
    println!();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_small_model_answers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/llm/models/qwen3-tied");
        let mut answer = Vec::new();
        let question = Message::user("What is 12+30?");
        let mut request = ChatRequest::new(vec![question])
            .with_max_tokens(8)
            .with_sampling(Sampling::greedy());
        request.stop.min_tokens = 8;
        ask(Path::new(path), request, &mut answer).await.unwrap();
        assert!(!answer.is_empty());
    }
}
