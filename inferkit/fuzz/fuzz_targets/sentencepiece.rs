//! Any bytes read as a SentencePiece model, which then cuts and joins texts.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| inferkit::fuzzing::sentencepiece(file));
