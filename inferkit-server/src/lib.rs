//! The thin server around `inferkit`: HTTP, configuration, logs and the command line.
//!
//! It sees only what `inferkit`'s `lib.rs` shows: an embedder can build the same server from the same
//! parts.

pub mod app;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod events;
pub mod families;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod life;
pub mod logs;
pub mod middleware;
pub mod openapi;
pub mod platform;
pub mod routes;
pub mod serve;
pub mod sse;

#[cfg(test)]
mod testing;
