//! Whole files: each kind against a formula, and what strangers may send.

mod filters;
mod hostile;
mod kinds;
mod reference;
mod written;

use std::io::Cursor;
use std::path::Path;

use super::DecodeOptions;
use super::Recording;
use super::decode;
use crate::error::Result;
use crate::job::Job;

/// A file of `tests/golden/audio`.
fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/audio");
    std::fs::read(folder.join(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

fn decoded(bytes: impl Into<Vec<u8>>, options: &DecodeOptions) -> Result<Recording> {
    decode(Cursor::new(bytes.into()), options, &Job::new())
}

/// Reads `bytes`, which must not work, and returns code and text of the error.
fn refused(bytes: impl Into<Vec<u8>>) -> (&'static str, String) {
    let error = decoded(bytes, &DecodeOptions::default()).expect_err("the file was accepted");
    (error.code(), error.to_string())
}
