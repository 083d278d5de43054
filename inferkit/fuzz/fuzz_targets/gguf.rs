//! Any bytes read as a GGUF file.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::gguf(file));
