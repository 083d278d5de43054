//! How many times faster than the recording is a Whisper, through the library's public interface?
//!
//! ```text
//! cargo run --release -p inferkit-benches --bin whisper_speed -- MODEL RECORDING [REPEATS] [DTYPE]
//! ```
//!
//! MODEL is a folder as published, RECORDING any sound file. It is written down alone, with word times, and eight times at
//! once. Threads are those this process may use. The best of REPEATS runs counts (3 if left out), since other programs only
//! ever make a run slower. DTYPE is `auto` (default), `f32` or `bf16`. `benches/peers/whisper_peers.py` asks others the same.

use std::fs::File;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use inferkit::DtypePreference;
use inferkit::Hub;
use inferkit::Job;
use inferkit::Lease;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::Result;
use inferkit::Source;
use inferkit::audio;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit::task::Samples;
use inferkit::task::TimeDetail;
use inferkit::task::TranscriptionEvent;
use inferkit::task::TranscriptionRequest;

/// Recordings at once in the last measurement.
const AT_ONCE: usize = 8;

/// The text of a recording, and the tokens that it took.
async fn write_down(lease: &Lease, samples: &Samples, times: TimeDetail) -> Result<(String, usize)> {
    let request = TranscriptionRequest::new(samples.clone()).with_times(times);
    let mut events = lease.transcription()?.transcribe(request).await?;
    let (mut text, mut tokens) = (String::new(), 0);
    while let Some(event) = events.next().await {
        if let TranscriptionEvent::Segment(segment) = event? {
            text.push(' ');
            text.push_str(&segment.text);
            tokens += segment.decoding.map_or(0, |decoding| decoding.tokens.len());
        }
    }
    Ok((text, tokens))
}

/// The best time of a number of runs, in seconds.
async fn best<T>(repeats: usize, run: impl AsyncFn() -> Result<T>) -> Result<(f64, T)> {
    let mut best: Option<(f64, T)> = None;
    for _ in 0..repeats.max(1) {
        let begun = Instant::now();
        let answer = run().await?;
        let seconds = begun.elapsed().as_secs_f64();
        if best.as_ref().is_none_or(|(least, _)| seconds < *least) {
            best = Some((seconds, answer));
        }
    }
    best.ok_or_else(|| inferkit::Error::internal("nothing was measured"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(recording)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: whisper_speed MODEL RECORDING [REPEATS] [DTYPE]");
        std::process::exit(2);
    };
    let repeats = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let dtype: DtypePreference = arguments.next().as_deref().unwrap_or("auto").parse()?;
    let file = File::open(&recording)
        .map_err(|error| inferkit::Error::internal(format!("{recording} cannot be opened: {error}")))?;
    let samples = audio::decode(file, &audio::DecodeOptions::default(), &Job::new())?.samples;
    let seconds = samples.len() as f64 / f64::from(audio::SAMPLE_RATE);
    let services = Services::new(Hub::builder("models").build()?);
    let mut spec = ModelSpec::new("whisper", Source::path(&model));
    spec.dtype = dtype;
    let wrapper = catalog::wrapper(&spec, &services)?;
    let models = ModelRegistry::builder().build()?;
    models.register("whisper", wrapper, ModelPolicy::default()).await?;
    let lease = models.get("whisper")?.ensure_loaded().await?;

    // The first request also takes memory from the system.
    write_down(&lease, &samples, TimeDetail::Segment).await?;
    let alone = best(repeats, async || {
        write_down(&lease, &samples, TimeDetail::Segment).await
    })
    .await?;
    let words = best(repeats, async || write_down(&lease, &samples, TimeDetail::Word).await).await?;
    let together = best(repeats, async || {
        try_join_all((0..AT_ONCE).map(|_| write_down(&lease, &samples, TimeDetail::Segment))).await
    })
    .await?;
    println!(
        "{model}, {recording}: {seconds:.1} s, {} tokens, best of {repeats}",
        alone.1.1
    );
    println!("alone       {:>7.3} s  {:>6.1} x real time", alone.0, seconds / alone.0);
    println!("with words  {:>7.3} s  {:>6.1} x real time", words.0, seconds / words.0);
    let all = seconds * AT_ONCE as f64;
    println!(
        "{AT_ONCE} at once   {:>7.3} s  {:>6.1} x real time",
        together.0,
        all / together.0
    );
    println!("text:{}", alone.1.0);
    Ok(())
}
