//! Apple's GPU.

use super::Unusable;

/// Opens the system's GPU.
pub(super) fn open() -> Result<candle_core::Device, Unusable> {
    candle_core::Device::new_metal(0).map_err(|error| Unusable(format!("Metal answers {error}; update macOS")))
}
