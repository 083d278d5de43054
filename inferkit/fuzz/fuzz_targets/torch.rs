//! Any bytes read as a PyTorch checkpoint.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::torch(file));
