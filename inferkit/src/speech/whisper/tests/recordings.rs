//! Recordings that tests listen to.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use crate::audio::DecodeOptions;
use crate::audio::decode;
use crate::task::Samples;
use crate::wrapper::Job;

/// Where the recording `name` lies: in the repository, or beside it where recordings lie that it must not publish.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("INFERKIT_SHARED").map_or_else(|| repository.join("../shared"), PathBuf::from);
    let places = [
        repository.join("examples/demo"),
        repository.join("tests/golden/canary/audio"),
        shared.join("demo"),
        shared.join("golden/canary/audio"),
        shared.join("golden/pyannote/audio"),
    ];
    places.iter().map(|place| place.join(name)).find(|path| path.is_file())
}

/// The samples of a sound file.
pub(super) fn read(path: &Path) -> Samples {
    let file = File::open(path).unwrap();
    decode(file, &DecodeOptions::default(), &Job::new()).unwrap().samples
}
