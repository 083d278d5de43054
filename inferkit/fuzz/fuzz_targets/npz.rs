//! Any bytes read as an `.npz` archive of arrays.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::npz(file));
