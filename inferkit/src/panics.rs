//! What a panic said, and how one is kept where it happened.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::error::Error;
use crate::error::Result;

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned())
}

/// Runs `work`; a panic in it becomes the error that `told` makes of what it said.
///
/// Everything that `work` can leave half changed has to be dropped or never read again after such an error.
///
/// # Errors
/// What `work` returns, and what `told` returns when it panics.
pub(crate) fn contain<T>(work: impl FnOnce() -> Result<T>, told: impl FnOnce(&str) -> Error) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(told(&panic_text(panic.as_ref()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contained(work: impl FnOnce() -> Result<u8>) -> Result<u8> {
        contain(work, |text| Error::bad_model(format!("it said {text:?}")))
    }

    #[test]
    fn a_panic_becomes_the_error_that_tells_its_text() {
        let plain = contained(|| panic!("index 7")).unwrap_err();
        assert_eq!(plain.to_string(), "it said \"index 7\"");
        let formatted = contained(|| panic!("index {}", 8)).unwrap_err();
        assert_eq!(formatted.to_string(), "it said \"index 8\"");
        let silent = contained(|| std::panic::panic_any(9)).unwrap_err();
        assert_eq!(silent.to_string(), "it said \"no reason given\"");
    }

    #[test]
    fn what_does_not_panic_passes() {
        assert_eq!(contained(|| Ok(5)).unwrap(), 5);
        assert_eq!(
            contained(|| Err(Error::internal("x"))).unwrap_err().code(),
            "internal_error"
        );
    }
}
