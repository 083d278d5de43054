//! Any bytes read as a recording.
#![no_main]

// The fuzzer's panic hook would end the process on a panic that the reader contains: decoders of other crates have
// them, and a file that reaches one is refused. A panic that leaves the reader still ends the run.
libfuzzer_sys::fuzz_target!(
    init: drop(std::panic::take_hook()),
    |file: &[u8]| inferkit::fuzzing::audio(file)
);
