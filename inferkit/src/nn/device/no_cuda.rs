//! CUDA in a build without it.

use super::Unusable;

/// Says how to get a build with CUDA.
pub(super) fn open(_index: usize) -> Result<candle_core::Device, Unusable> {
    Err(Unusable(
        "this build has no CUDA; use one made with the feature cuda".to_owned(),
    ))
}
