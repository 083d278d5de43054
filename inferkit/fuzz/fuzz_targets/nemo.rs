//! Any bytes read as a `.nemo` archive.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::nemo(file));
