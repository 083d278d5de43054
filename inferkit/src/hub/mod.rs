//! Where model files come from: the Hugging Face hub or a path, and the token that opens gates.
//!
//! **Invariant:** only this module talks to the network.

mod source;

pub use source::Source;
