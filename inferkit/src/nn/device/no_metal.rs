//! Metal in a build without it.

use super::Unusable;

/// Says how to get a build with Metal.
pub(super) fn open() -> Result<candle_core::Device, Unusable> {
    Err(Unusable(
        "this build has no Metal; on a Mac, use one made with the feature metal".to_owned(),
    ))
}
