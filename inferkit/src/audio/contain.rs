//! Keeps a panic inside a decoder from ending the thread that called it.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use super::fault;
use crate::error::Result;

/// Runs `work` on a file of a stranger; a panic in it becomes an error about that file.
///
/// The crates behind it (`symphonia`, `ropus`: above 100,000 lines of bit readers) count in places that a damaged file
/// reaches: the fuzzer finds overflowing products in symphonia 0.6.1's readers of RIFF and Microsoft ADPCM, which are
/// panics wherever arithmetic is checked. All that they hold is made for one file and dropped with it, so going on is
/// sound.
///
/// # Errors
/// [`crate::Error::InvalidRequest`] when `work` panics, else what `work` returns.
pub(super) fn contain<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::warn!(reason, "a recording broke its decoder");
        Err(fault::invalid(
            "the recording is damaged in a way that breaks its decoder; encode it again",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_about_the_file() {
        let error = contain(|| -> Result<()> { panic!("index 7") }).unwrap_err();
        assert_eq!((error.code(), error.param()), ("invalid_audio", Some("file")));
    }
}
