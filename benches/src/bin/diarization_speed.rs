//! How many times faster than real time are speakers told apart, in how much memory, and how does that grow?
//!
//! ```text
//! cargo run --release -p inferkit-benches --bin diarization_speed -- PIPELINE RECORDING [MINUTES] [REPEATS]
//! ```
//!
//! PIPELINE is a folder with a `config.yaml`; `benches/peers/make_pyannote_model.py` writes one of full size. The recording
//! is taken as it is, or repeated until it is MINUTES long. Threads are those this process may use: `taskset -c 0` makes it
//! one. The best of REPEATS runs counts (1 if left out), since other programs only ever make a run slower.
//!
//! Three hours, in which nothing is said twice: `scripts/make_conversation.py --seconds 10800 talk.wav`. What comes after
//! the last window, clustering for the most part, is told by itself: it is the only part that grows faster than the
//! recording does.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use inferkit::Hub;
use inferkit::Job;
use inferkit::Lease;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::Result;
use inferkit::Source;
use inferkit::audio;
use inferkit::audio::DecodeOptions;
use inferkit::audio::ResamplingFilter;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit::task::DiarizationEvent;
use inferkit::task::DiarizationRequest;
use inferkit::task::DiarizationResult;
use inferkit::task::Samples;
use inferkit_benches::cpu_seconds;
use inferkit_benches::peak_resident_bytes;
use inferkit_benches::resident_bytes;

/// Samples of a minute.
const MINUTE: usize = 60 * 16_000;

fn recording(path: &str, minutes: Option<usize>) -> Result<Samples> {
    let file = File::open(path).unwrap_or_else(|error| {
        eprintln!("{path}: {error}");
        std::process::exit(2);
    });
    let options = DecodeOptions::default().with_filter(ResamplingFilter::Sinc);
    let once = audio::decode(file, &options, &Job::new())?.samples;
    let Some(minutes) = minutes else {
        return Ok(once);
    };
    let samples: Vec<f32> = once.iter().copied().cycle().take(minutes * MINUTE).collect();
    Ok(samples.into())
}

/// One run.
struct Run {
    result: DiarizationResult,
    seconds: f64,
    processor_seconds: f64,
    /// Seconds after the last window.
    conclusion_seconds: f64,
}

async fn run(lease: &Lease, samples: &Samples) -> Result<Run> {
    let processor = || cpu_seconds(std::process::id()).unwrap_or_default();
    let (began, before) = (Instant::now(), processor());
    let mut events = lease
        .diarization()?
        .diarize(DiarizationRequest::new(Arc::clone(samples)))
        .await?;
    let mut last_window = began;
    let mut result = DiarizationResult::default();
    while let Some(event) = events.next().await {
        match event? {
            DiarizationEvent::Done(done) => result = done,
            _ => last_window = Instant::now(),
        }
    }
    Ok(Run {
        result,
        seconds: began.elapsed().as_secs_f64(),
        processor_seconds: processor() - before,
        conclusion_seconds: last_window.elapsed().as_secs_f64(),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pipeline, file, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: diarization_speed PIPELINE RECORDING [MINUTES] [REPEATS]");
        std::process::exit(2);
    };
    let number = |place: usize| rest.get(place).and_then(|text| text.parse().ok());
    let samples = recording(file, number(0))?;
    let services = Services::new(Hub::builder("models").build()?);
    let wrapper = catalog::wrapper(&ModelSpec::new("pyannote", Source::path(pipeline)), &services)?;
    let models = ModelRegistry::builder().build()?;
    models.register("diarize", wrapper, ModelPolicy::default()).await?;
    let lease = models.get("diarize")?.ensure_loaded().await?;

    let mebibytes = |bytes: std::io::Result<u64>| bytes.unwrap_or_default() >> 20;
    let before = mebibytes(resident_bytes(std::process::id()));
    let mut best = run(&lease, &samples).await?;
    for _ in 1..number(1).unwrap_or(1) {
        let again = run(&lease, &samples).await?;
        if again.seconds < best.seconds {
            best = again;
        }
    }
    let seconds = samples.len() as f64 / f64::from(audio::SAMPLE_RATE);
    println!(
        "inferkit: {seconds:.0} s of sound in {:.2} s, {:.2} x real time, {} turns, peak {} MiB, {:.2} s of processor time",
        best.seconds,
        seconds / best.seconds,
        best.result.turns.len(),
        mebibytes(peak_resident_bytes(std::process::id())),
        best.processor_seconds,
    );
    println!(
        "  {} speakers; {:.2} s after the last window; {before} MiB with model and recording, {} MiB in the end",
        best.result.speakers.len(),
        best.conclusion_seconds,
        mebibytes(resident_bytes(std::process::id())),
    );
    Ok(())
}
