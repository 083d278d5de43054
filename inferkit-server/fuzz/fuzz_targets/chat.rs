//! Any bytes read as the body of a chat request.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| inferkit_server::fuzzing::chat(input));
