//! Pickles read as data: the objects of a program that is never run.
//!
//! ```text
//! bytes ─▶ cursor ─▶ machine (stack, marks, memo) ─▶ nodes, each once ─▶ value: a place among them
//! ```
//!
//! Objects that a pickle mentions again are one node with several places that point to it, so that a few bytes cannot
//! unfold into many objects. Nothing here recurses.

mod call;
mod cursor;
mod error;
mod global;
mod machine;
mod node;
mod opcode;
#[cfg(test)]
mod tests;
mod value;

pub(super) use error::Fault;
pub(super) use error::PickleError;
pub(super) use value::Pickle;
pub(super) use value::TensorParts;
pub(crate) use value::Value;
