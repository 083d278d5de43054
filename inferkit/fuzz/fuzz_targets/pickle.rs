//! Any bytes read as the pickle of a PyTorch checkpoint.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::pickle(file));
