//! Recordings that tests listen to.

use std::fs::File;
use std::path::Path;

use crate::audio::DecodeOptions;
use crate::audio::decode;
use crate::task::Samples;
use crate::wrapper::Job;

/// The samples of a sound file.
pub(in crate::speech::whisper) fn read(path: &Path) -> Samples {
    let file = File::open(path).unwrap();
    decode(file, &DecodeOptions::default(), &Job::new()).unwrap().samples
}
