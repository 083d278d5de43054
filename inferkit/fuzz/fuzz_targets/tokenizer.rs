//! Any bytes read as a tokenizer.json and as a chat template.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::tokenizer(file));
