//! Layers that model families share, and all that differs by device.
//!
//! ```text
//! preference ─▶ device            which device and number type a model gets
//! formats' tensors ─▶ weight ─▶ linear, embedding, norm, layer_norm, conv, depthwise ─▶ mlp, moe
//! checkpoint ─▶ weights           the same, by path: weights.at("encoder").linear("out", …)
//! sequences: a batch without padding     gate, relative_attention, subsampling: what encoders of speech are made of
//! rope: angles of positions       paged: keys and values in blocks, attention over them
//! kernels, packed                 the processor's side of all of these, by inferkit-kernels
//! ```
//!
//! On the processor layers compute with the project's own kernels; on GPUs, and for number types that the kernels lack,
//! with candle's. A layer takes candle tensors of shape `[t, width]` and returns the same; it does not know which model it
//! belongs to, nor what its weights were stored as.
//!
//! **Invariant:** device differences end here; a model never asks which device it is on.

mod activation;
mod conv;
mod depthwise;
#[allow(dead_code, reason = "models open devices, and they sit above this floor")]
mod device;
mod embedding;
mod fault;
mod gate;
mod kernels;
mod layer_norm;
mod linear;
mod mlp;
mod moe;
mod norm;
mod packed;
mod paged;
mod preference;
mod relative_attention;
mod rope;
mod sequences;
mod subsampling;
mod weight;
#[allow(
    dead_code,
    reason = "speech and diarization models load by it, and they sit above this floor"
)]
mod weights;

pub use preference::DevicePreference;
pub use preference::DtypePreference;

pub(crate) use activation::Activation;
pub(crate) use conv::Conv1d;
pub(crate) use depthwise::DepthwiseConv;
pub(crate) use depthwise::FoldedNorm;
pub(crate) use device::Device;
pub(crate) use embedding::Embedding;
pub(crate) use fault::device_fault;
pub(crate) use gate::Glu;
pub(crate) use kernels::Kernels;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
pub(crate) use mlp::Mlp;
pub(crate) use moe::Mixture;
pub(crate) use moe::Routing;
pub(crate) use norm::RmsNorm;
pub(crate) use paged::AttentionPlan;
pub(crate) use paged::CacheShape;
pub(crate) use paged::PagedCache;
pub(crate) use paged::SequencePlan;
pub(crate) use relative_attention::RelativeAttention;
pub(crate) use relative_attention::relative_positions;
pub(crate) use rope::RopeConfig;
pub(crate) use rope::RopeScaling;
pub(crate) use rope::RotaryTable;
pub(crate) use rope::Rotation;
pub(crate) use sequences::Sequences;
pub(crate) use subsampling::DepthwiseReduction;
pub(crate) use subsampling::Spread;
pub(crate) use weight::Encoding;
pub(crate) use weight::Placement;
pub(crate) use weight::StoredTensor;
pub(crate) use weight::Weight;
#[allow(
    unused_imports,
    reason = "speech and diarization models load by them, and they sit above this floor"
)]
pub(crate) use weights::Bias;
#[allow(
    unused_imports,
    reason = "speech and diarization models load by them, and they sit above this floor"
)]
pub(crate) use weights::Weights;
