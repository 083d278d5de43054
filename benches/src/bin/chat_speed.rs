//! How fast a chat model reads and writes, one request at a time, through the library's public interface.
//!
//! ```text
//! cargo run --release -p inferkit-benches --bin chat_speed -- MODEL [REPEATS]
//! ```
//!
//! MODEL is a GGUF file or a folder with a checkpoint. Threads are those this process may use: `taskset -c 0` makes it
//! one. The best of REPEATS runs counts (3 if left out), since other programs only ever make a run slower.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use inferkit::Hub;
use inferkit::Lease;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::Result;
use inferkit::Source;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit::task::ChatEvent;
use inferkit::task::ChatRequest;
use inferkit::task::Message;
use inferkit::task::Sampling;
use inferkit::task::Timings;
use inferkit::task::Usage;

/// Prompt lengths, in tokens or a few more.
const PROMPTS: [usize; 2] = [128, 512];

/// Tokens written behind a short prompt.
const ANSWER: usize = 64;

/// One request's figures; `number` makes its prompt unlike every other, so that none is answered from a cache.
async fn ask(lease: &Lease, number: usize, words: usize, max_tokens: usize) -> Result<(Usage, Timings)> {
    let text = format!("{number}{}", " and".repeat(words));
    let mut request = ChatRequest::new(vec![Message::system(format!("{number}")), Message::user(text)])
        .with_sampling(Sampling::greedy())
        .with_max_tokens(max_tokens);
    request.stop.ignore_eos = true;
    let mut events = lease.chat()?.chat(request).await?;
    let mut figures = (Usage::default(), Timings::default());
    while let Some(event) = events.next().await {
        if let ChatEvent::Done { usage, timings } = event? {
            figures = (usage, timings);
        }
    }
    Ok(figures)
}

fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// The best rates of a number of runs: tokens read, tokens read a second, tokens written a second.
async fn measure(lease: &Lease, first: usize, words: usize, max_tokens: usize, repeats: usize) -> Result<[f64; 3]> {
    let mut best = [0.0_f64; 3];
    for repeat in 0..repeats {
        let (usage, timings) = ask(lease, first + repeat, words, max_tokens).await?;
        let read = usage.prompt_tokens - usage.cached_tokens;
        let written = usage.completion_tokens.saturating_sub(1);
        best = [
            read as f64,
            best[1].max(rate(read, timings.prompt)),
            best[2].max(rate(written, timings.generation)),
        ];
    }
    Ok(best)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(model) = arguments.next() else {
        eprintln!("usage: chat_speed MODEL [REPEATS]");
        std::process::exit(2);
    };
    let repeats = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let services = Services::new(Hub::builder("models").build()?);
    let wrapper = catalog::wrapper(&ModelSpec::new("qwen", Source::path(Path::new(&model))), &services)?;
    let models = ModelRegistry::builder().build()?;
    models.register("chat", wrapper, ModelPolicy::default()).await?;
    let lease = models.get("chat")?.ensure_loaded().await?;

    // The first request also takes memory from the system.
    let (usage, _) = ask(&lease, 1000, 1, 4).await?;
    let frame = usage.prompt_tokens;
    println!("{model}, best of {repeats}");
    for (index, prompt) in (1..).zip(PROMPTS) {
        let [read, reading, _] =
            measure(&lease, 1000 + 100 * index, prompt.saturating_sub(frame) + 1, 1, repeats).await?;
        println!("read    {read:>4} tokens  {reading:>8.1} tokens a second");
    }
    let [_, _, writing] = measure(&lease, 2000, 1, ANSWER, repeats).await?;
    println!("write   {ANSWER:>4} tokens  {writing:>8.1} tokens a second");
    Ok(())
}
