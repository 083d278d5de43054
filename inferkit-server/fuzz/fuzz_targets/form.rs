//! Any bytes read as a form with a file in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| inferkit_server::fuzzing::form(input));
