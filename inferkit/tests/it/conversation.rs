//! Real speech models on conversations, from the file to who says what.

mod recordings;
mod speakers;
mod words;

use std::io::Cursor;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use futures_util::StreamExt;
use inferkit::Hub;
use inferkit::Job;
use inferkit::Lease;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::Result;
use inferkit::Source;
use inferkit::audio::DecodeOptions;
use inferkit::audio::ResamplingFilter;
use inferkit::audio::decode;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit::task::DiarizationEvent;
use inferkit::task::DiarizationRequest;
use inferkit::task::DiarizationResult;
use inferkit::task::Samples;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder of a demo model, if it was fetched; otherwise says that the test cannot run.
fn demo(key: &str) -> Option<PathBuf> {
    let folder = root().join("models/demo").join(key);
    if folder.is_dir() {
        return Some(folder);
    }
    // Past the test harness, which would keep the words of a passing test to itself.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: the demo's {key} is not here: scripts/fetch_demo_models.py {key}"
    );
    None
}

/// A lease on a model, which keeps its registry.
async fn loaded(family: &str, folder: PathBuf) -> Lease {
    let hub = Hub::builder(std::env::temp_dir()).offline(true).build().unwrap();
    let spec = ModelSpec::new(family, Source::path(folder));
    let wrapper = catalog::wrapper(&spec, &Services::new(hub)).unwrap();
    let registry = ModelRegistry::builder().build().unwrap();
    registry
        .register(family, wrapper, ModelPolicy::default())
        .await
        .unwrap();
    registry.get(family).unwrap().ensure_loaded().await.unwrap()
}

/// The samples of a file as networks of speakers know them.
fn samples_of(file: impl AsRef<[u8]> + Send + Sync + 'static) -> Samples {
    let options = DecodeOptions::default().with_filter(ResamplingFilter::Sinc);
    decode(Cursor::new(file), &options, &Job::new()).unwrap().samples
}

/// Who speaks when.
async fn diarized(model: &Lease, samples: Samples) -> Result<DiarizationResult> {
    let mut events = model.diarization()?.diarize(DiarizationRequest::new(samples)).await?;
    while let Some(event) = events.next().await {
        if let DiarizationEvent::Done(result) = event? {
            return Ok(result);
        }
    }
    panic!("a diarization ended without its last event")
}
