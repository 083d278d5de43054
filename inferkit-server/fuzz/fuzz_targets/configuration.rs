//! Any bytes read as a configuration file and an environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| inferkit_server::fuzzing::configuration(input));
