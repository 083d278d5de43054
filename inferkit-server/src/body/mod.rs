//! Request bodies: read with a limit, parsed strictly, refused by field.
//!
//! ```text
//! hyper body ─ limit: counted, timed, drained ─▶ bytes ─ node: depth, finite numbers ─▶ Node
//!     ─ decode: serde with paths, duplicates, unknown names ─▶ T ─ extract: Body<T> ─▶ handler
//! ```
//!
//! poem-openapi's own `Json<T>` reads without a limit and names types instead of fields; what replaces
//! it keeps its schema.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod decode;
mod extract;
mod fault;
mod fields;
mod form;
mod limit;
mod node;

pub use extract::Body;
pub use extract::OptionalBody;
#[cfg(any(fuzzing, test))]
pub(crate) use extract::decoded;
pub use fields::Fields;
pub(crate) use fields::not_one_of;
pub use form::Form;
#[cfg(any(fuzzing, test))]
pub(crate) use form::read as read_form;
pub(crate) use limit::BodyFault;
pub(crate) use limit::BodyLimit;
pub(crate) use limit::FaultFlag;
