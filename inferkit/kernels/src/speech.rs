//! Kernels of speech models on time-major sequences `[t, c]`.
//!
//! A sequence keeps its frames as rows from the spectrogram to the end. Then a pointwise convolution is a
//! [`gemm`](crate::gemm), an ordinary one is a product with overlapping rows ([`Conv1d`], [`Conv2d`]), and a depthwise one is
//! vectorised over channels ([`DepthwiseConv1d`], [`DepthwiseConv2d`]). Attention sees a whole sequence at once
//! ([`KeyValues`]), a Conformer's with a term for the distance ([`RelativeAttention`]).
//!
//! **Invariant:** each output frame is one chain of operations over the taps or steps before it, the same for any number of
//! threads.

mod attention;
mod conv;
mod conv2d;
mod depthwise;
mod depthwise2d;
mod lstm;
mod maps;
mod relative;
mod single_channel;
mod taps;
mod winograd;

pub use attention::KeyValues;
pub use conv::Conv1d;
pub use conv2d::Conv2d;
pub use depthwise::DepthwiseConv1d;
pub use depthwise2d::DepthwiseConv2d;
pub use lstm::{Direction, Lstm, LstmState};
pub use maps::{FeatureMaps, Window};
pub use relative::{RelativeAttention, RelativeInputs};
pub use winograd::{Finish, WinogradConv2d};

#[cfg(test)]
mod tests;
