//! Any bytes read as a safetensors file, and as an index of shards.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::safetensors(file));
