//! Keeps a panic inside a foreign parser from ending the thread that called it.

use crate::error::Error;
use crate::error::Result;
use crate::panics;

/// Runs `work` on a model's own data; a panic in it becomes an error that names `what`.
///
/// The crates that read tokenizers and templates (`tokenizers`, `minijinja`) index and unwrap in places that a
/// damaged file can reach. They keep no state across calls that a panic could leave half changed,
/// so going on afterwards is sound.
///
/// # Errors
/// [`Error::BadModel`] when `work` panics, else what `work` returns.
pub(crate) fn contain<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    panics::contain(work, |reason| {
        Error::bad_model(format!("{what} breaks its reader ({reason}); download the model again"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_file() {
        let error = contain("tokenizer.json", || -> Result<()> { panic!("index 7") }).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        assert!(
            error.to_string().contains("tokenizer.json") && error.to_string().contains("index 7"),
            "{error}"
        );
    }
}
