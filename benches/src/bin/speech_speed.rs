//! How many times faster than real time a model listens: speech to text, or who speaks when, through the library's
//! public interface.
//!
//! ```text
//! cargo run --release -p inferkit-benches --bin speech_speed -- FAMILY MODEL RECORDING [TOGETHER] [REPEATS] [DTYPE]
//! ```
//!
//! FAMILY is `canary`, `whisper` or `pyannote`; MODEL is its file or folder. The recording is decoded once and sent
//! TOGETHER times at once (1 if left out). Threads are those this process may use. The first run warms up and does not
//! count; the median of REPEATS others does (3 if left out). DTYPE is that of the weights, `auto` if left out.

use std::fs::File;
use std::future::Future;
use std::path::Path;
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
use inferkit::audio::DecodeOptions;
use inferkit::audio::Recording;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit::task::DiarizationEvent;
use inferkit::task::DiarizationRequest;
use inferkit::task::TranscriptionEvent;
use inferkit::task::TranscriptionRequest;
use inferkit_benches::Figures;
use inferkit_benches::peak_resident_bytes;

/// Characters written down for one recording.
async fn transcribe(lease: &Lease, recording: &Recording) -> Result<usize> {
    let request = TranscriptionRequest::new(recording.samples.clone());
    let mut events = lease.transcription()?.transcribe(request).await?;
    let mut characters = 0;
    while let Some(event) = events.next().await {
        if let TranscriptionEvent::Segment(segment) = event? {
            characters += segment.text.chars().count();
        }
    }
    Ok(characters)
}

/// Turns found in one recording.
async fn diarize(lease: &Lease, recording: &Recording) -> Result<usize> {
    let request = DiarizationRequest::new(recording.samples.clone());
    let mut events = lease.diarization()?.diarize(request).await?;
    let mut turns = 0;
    while let Some(event) = events.next().await {
        if let DiarizationEvent::Done(result) = event? {
            turns = result.turns.len();
        }
    }
    Ok(turns)
}

/// Seconds of each counted run, and what the last run found.
async fn measure<Work>(repeats: usize, together: usize, work: impl Fn() -> Work) -> Result<(Figures, usize)>
where
    Work: Future<Output = Result<usize>>,
{
    let (mut seconds, mut found) = (Vec::new(), 0);
    for run in 0..=repeats {
        let begin = Instant::now();
        found = try_join_all((0..together).map(|_| work())).await?.iter().sum();
        if run > 0 {
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    Ok((Figures::new(seconds), found))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [family, model, recording, options @ ..] = &arguments[..] else {
        eprintln!("usage: speech_speed FAMILY MODEL RECORDING [TOGETHER] [REPEATS] [DTYPE]");
        std::process::exit(2);
    };
    let number = |place: usize, otherwise| {
        options
            .get(place)
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let (together, repeats) = (number(0, 1), number(1, 3));
    let dtype = options.get(2).map_or(Ok(DtypePreference::Auto), |text| text.parse())?;
    let file = File::open(recording).map_err(|error| inferkit::Error::internal(format!("{recording}: {error}")))?;
    let recording = audio::decode(file, &DecodeOptions::default(), &Job::new())?;

    let services = Services::new(Hub::builder("models").build()?);
    let mut spec = ModelSpec::new(family, Source::path(Path::new(model)));
    spec.dtype = dtype;
    let wrapper = catalog::wrapper(&spec, &services)?;
    let models = ModelRegistry::builder().build()?;
    models.register("model", wrapper, ModelPolicy::default()).await?;
    let begin = Instant::now();
    let lease = models.get("model")?.ensure_loaded().await?;
    let loading = begin.elapsed().as_secs_f64();

    let (seconds, found, what) = if family == "pyannote" {
        let (seconds, turns) = measure(repeats, together, || diarize(&lease, &recording)).await?;
        (seconds, turns, "turns")
    } else {
        let (seconds, characters) = measure(repeats, together, || transcribe(&lease, &recording)).await?;
        (seconds, characters, "characters")
    };
    let sound = recording.duration_seconds * together as f64;
    let peak = peak_resident_bytes(std::process::id()).unwrap_or_default() / (1 << 20);
    println!(
        "inferkit {dtype}: {sound:.0} s of sound in {:.2} s, {:.1} x real time, {found} {what}, loaded in {loading:.1} s, peak {peak} MiB",
        seconds.median(),
        sound / seconds.median(),
    );
    Ok(())
}
