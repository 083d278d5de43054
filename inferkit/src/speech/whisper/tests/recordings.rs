//! Recordings that tests listen to.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use crate::audio::DecodeOptions;
use crate::audio::decode;
use crate::task::Samples;
use crate::wrapper::Job;

/// Where the recording `name` lies, if it is there.
///
/// `sample.flac` is pyannote's sample sound, sample by sample: the repository does not hold it, and the demo's diarizer brings
/// it as `sample.wav`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let places = [
        "examples/demo",
        "tests/golden/canary/audio",
        "tests/golden/pyannote/audio",
    ];
    let paths = places.iter().map(|place| repository.join(place).join(name));
    let fetched = (name == "sample.flac").then(|| repository.join("models/demo/pyannote/sample.wav"));
    paths.chain(fetched).find(|path| path.is_file())
}

/// The samples of a sound file.
pub(super) fn read(path: &Path) -> Samples {
    let file = File::open(path).unwrap();
    decode(file, &DecodeOptions::default(), &Job::new()).unwrap().samples
}
