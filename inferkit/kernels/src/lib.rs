//! CPU kernels on plain slices: the one home of SIMD in inferkit.
//!
//! ```text
//! pool      one set of worker threads, a value that callers hand down
//! isa       what this processor can do, found once, overridable
//! simd      one trait of vector operations, a type for each register width
//! weights   weights of any format, packed for a product
//! gemm      products with everything that is done to their result
//! attention over a paged cache of keys and values
//! ops       norms, rotary positions, softmax, gates
//! speech    convolutions over time, LSTM
//! ```
//!
//! **Invariant:** this crate knows slices and shapes, no tensors and no models.
//!
//! **Invariant:** a result depends on its inputs and on the [`Isa`] only: never on the number of threads, on how rows
//! are batched, or on how often a kernel was called before.

#![expect(
    unsafe_code,
    reason = "SIMD intrinsics and shared output buffers; the workspace keeps them in this crate"
)]
#![expect(
    unsafe_op_in_unsafe_fn,
    clippy::inline_always,
    clippy::cast_ptr_alignment,
    reason = "a vector kernel is one unsafe operation after another: its contract stands once, in the doc of its module; \
              generic kernels reach their instructions only when they are inlined; loads are unaligned unless they say so"
)]
#![expect(
    clippy::doc_markdown,
    clippy::needless_range_loop,
    clippy::float_cmp,
    reason = "formats and instructions are written as their makers write them; loops over registers have constant bounds; \
              comparisons of floats mean their bits"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "quants are narrowed on purpose, and lengths are checked where data enters the crate"
)]

mod aligned;
mod attention;
mod denormals;
mod gemm;
mod isa;
pub mod ops;
mod pages;
mod pool;
mod rows;
mod scratch;
mod simd;
pub mod speech;
#[cfg(test)]
mod testing;
mod weights;

pub use attention::{AttentionOptions, BLOCK_TOKENS, CacheElement, CacheShape, KvCache, Mask, Sequence, attention};
pub use gemm::{
    Activation, Epilogue, GatedExperts, Input, Precision, Product, Renormalize, Residual, Routes, gemm, gemm_gated,
    gemm_grouped, gemm_grouped_gated,
};
pub use isa::{Isa, IsaError, Tier};
pub use pool::Pool;
pub use rows::{Rows, RowsMut};
pub use weights::{Format, PackError, PackedWeight};
