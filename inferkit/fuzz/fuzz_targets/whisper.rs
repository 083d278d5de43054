//! Any bytes read as a Whisper's configuration files and tokenizer.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer's own hook ends the process at every panic, also at those which the library contains. One that
        // gets out still ends it, at the border of the target.
        std::panic::set_hook(Box::new(|_| {}));
    },
    |files: &[u8]| inferkit::fuzzing::whisper(files)
);
