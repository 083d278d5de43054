//! What a registry tells its observers.

use crate::registry::ModelStatus;
use crate::registry::Operation;

/// A change in a registry, told once to every observer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A model's status has changed.
    Model(Box<ModelStatus>),
    /// An operation began, moved on or ended.
    Operation(Box<Operation>),
}
