//! What this process needs of its machine, what of it is there, and what to do about the rest.
//!
//! Looks at files and asks the driver's own library; loads nothing, opens no connection and changes nothing but
//! for one empty file that it makes and removes to see whether the models directory can be written.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod dependency;
mod inspect;
mod libraries;

pub use dependency::Dependency;
pub use dependency::DependencyKind;
pub use dependency::DependencyStatus;
pub use inspect::InspectOptions;
pub use inspect::inspect;
