//! How many times faster than real time are speakers told apart, and in how much memory?
//!
//! ```text
//! cargo run --release -p inferkit-benches --bin diarization_speed -- PIPELINE RECORDING [MINUTES] [REPEATS]
//! ```
//!
//! PIPELINE is a folder with a `config.yaml`; `benches/peers/make_pyannote_model.py` writes one of full size. The recording
//! is repeated until it is MINUTES long (10 if left out). Threads are those this process may use: `taskset -c 0` makes it
//! one. The best of REPEATS runs counts (1 if left out), since other programs only ever make a run slower.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use inferkit::Hub;
use inferkit::Job;
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
use inferkit_benches::peak_resident_bytes;

/// Samples of a minute.
const MINUTE: usize = 60 * 16_000;

fn recording(path: &str, minutes: usize) -> Result<Samples> {
    let file = File::open(path).unwrap_or_else(|error| {
        eprintln!("{path}: {error}");
        std::process::exit(2);
    });
    let options = DecodeOptions::default().with_filter(ResamplingFilter::Sinc);
    let once = audio::decode(file, &options, &Job::new())?.samples;
    let samples: Vec<f32> = once.iter().copied().cycle().take(minutes * MINUTE).collect();
    Ok(samples.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pipeline, file, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: diarization_speed PIPELINE RECORDING [MINUTES] [REPEATS]");
        std::process::exit(2);
    };
    let number = |place: usize, default| rest.get(place).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (minutes, repeats) = (number(0, 10), number(1, 1));
    let samples = recording(file, minutes)?;
    let services = Services::new(Hub::builder("models").build()?);
    let wrapper = catalog::wrapper(&ModelSpec::new("pyannote", Source::path(pipeline)), &services)?;
    let models = ModelRegistry::builder().build()?;
    models.register("diarize", wrapper, ModelPolicy::default()).await?;
    let lease = models.get("diarize")?.ensure_loaded().await?;

    let seconds = samples.len() as f64 / 16_000.0;
    let (mut best, mut found) = (f64::INFINITY, DiarizationResult::default());
    for _ in 0..repeats {
        let began = Instant::now();
        let mut events = lease
            .diarization()?
            .diarize(DiarizationRequest::new(Arc::clone(&samples)))
            .await?;
        while let Some(event) = events.next().await {
            if let DiarizationEvent::Done(result) = event? {
                found = result;
            }
        }
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!("{pipeline}, {minutes} minutes of {file}, best of {repeats}");
    println!("{best:>8.2} s  {:>7.1} times real time", seconds / best);
    println!("{:>8} speakers, {} turns", found.speakers.len(), found.turns.len());
    if let Ok(bytes) = peak_resident_bytes(std::process::id()) {
        println!("{:>8} MiB at most", bytes >> 20);
    }
    Ok(())
}
