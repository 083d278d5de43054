//! Any bytes read as a YAML configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::yaml(file));
