//! The thin server around `inferkit`: HTTP, configuration, logs and the command line.
//!
//! It sees only what `inferkit`'s `lib.rs` shows: an embedder can build the same server from the same
//! parts.

pub mod body;
pub mod config;
pub mod error;
pub mod life;
pub mod middleware;
pub mod routes;
pub mod sse;
