//! Kernels of speech models on time-major sequences `[t, c]`.
//!
//! A sequence keeps its frames as rows from the spectrogram to the end. Then a pointwise convolution is a
//! [`gemm`](crate::gemm), an ordinary one is a product with overlapping rows ([`Conv1d`]), and a depthwise one is
//! vectorised over channels ([`DepthwiseConv1d`]).
//!
//! **Invariant:** each output frame is one chain of operations over the taps or steps before it, the same for any number of
//! threads.

mod conv;
mod depthwise;
mod lstm;

pub use conv::Conv1d;
pub use depthwise::DepthwiseConv1d;
pub use lstm::{Direction, Lstm, LstmState};

#[cfg(test)]
mod tests;
