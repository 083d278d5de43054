//! What a failing tensor operation means to the caller.

use crate::error::Error;
use crate::error::UnavailableFault;

/// Turns an error of the tensor library into one of ours.
///
/// Memory that ran out may be tried again once something else was unloaded; everything else is a
/// broken invariant, since shapes and types are checked when a model is loaded.
pub(crate) fn device_fault(error: candle_core::Error) -> Error {
    let text = error.to_string().to_lowercase();
    let fault = if text.contains("out of memory") || text.contains("out_of_memory") {
        Error::unavailable(
            UnavailableFault::InsufficientMemory,
            "the device's memory ran out; unload another model or give this one a smaller cache",
        )
    } else {
        Error::internal("a tensor operation failed; the log holds the cause, please report it")
    };
    fault.with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_may_be_tried_again_and_a_wrong_shape_may_not() {
        let memory = device_fault(candle_core::Error::Msg("CUDA_ERROR_OUT_OF_MEMORY".to_owned()));
        assert_eq!((memory.code(), memory.is_retryable()), ("insufficient_memory", true));

        let shape = device_fault(candle_core::Error::Msg("shape mismatch".to_owned()));
        assert_eq!((shape.code(), shape.is_retryable()), ("internal_error", false));
    }
}
