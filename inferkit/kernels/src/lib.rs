//! CPU kernels on plain slices: the one home of SIMD in inferkit.
//!
//! ```text
//! pool      one set of worker threads, a value that callers hand down
//! isa       what this processor can do, found once, overridable

//! ```
//!
//! **Invariant:** this crate knows slices and shapes, no tensors and no models.
//!
//! **Invariant:** a result depends on its inputs and on the [`Isa`] only: never on the number of threads, on how rows
//! are batched, or on how often a kernel was called before.

#![allow(
    unsafe_code,
    reason = "SIMD intrinsics and shared output buffers; the workspace keeps them in this crate"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "quants are narrowed on purpose, and lengths are checked where data enters the crate"
)]

mod denormals;
mod isa;
mod pool;

pub use isa::{Isa, IsaError, Tier};
pub use pool::Pool;
