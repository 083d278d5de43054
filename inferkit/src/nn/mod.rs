//! Layers that model families share, and all that differs by device.
//!
//! **Invariant:** device differences end here; a model never asks which device it is on.

mod device;

pub use device::DevicePreference;
pub use device::DtypePreference;
