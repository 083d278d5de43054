//! Whose voice it is: a vector for each local speaker of a window.
//!
//! ```text
//! samples ─fbank─▶ features [t, m], centred over the window ─network, mask of each speaker─▶ vectors [s, d]
//! ```
//!
//! | network | mask |
//! |---|---|
//! | WeSpeaker's ResNet | weighs the frames that the trunk gives: one pass of the trunk serves all speakers of a window |
//! | CAM++ | chooses the features that the network sees: a pass for each speaker, since the network looks over time |

mod campplus;
mod embedder;
mod mask;
mod pooling;
mod resnet;

pub(super) use embedder::Embedder;
pub(super) use embedder::EmbedderBuffers;
pub(super) use embedder::MaskedWindow;
pub(super) use mask::MaskRule;
