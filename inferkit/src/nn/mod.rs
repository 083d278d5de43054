//! Layers that model families share, and all that differs by device.
//!
//! ```text
//! preference ─▶ device            which device and number type a model gets
//! formats' tensors ─▶ weight ─▶ linear, embedding, norm, layer_norm, conv, depthwise ─▶ mlp, moe
//! checkpoint ─▶ weights, loader   the same, by path: in f32, or in a number type that was chosen
//! sequences: a batch without padding     gate, relative_attention, subsampling: what encoders of speech are made of
//! conv2d, batch_norm, instance_norm, recurrent: what networks of sound are made of
//! rope: angles of positions       paged: keys and values in blocks, attention over them
//! kernels, packed, spare          the processor's side of all of these, by inferkit-kernels
//! ```
//!
//! On the processor layers compute with the project's own kernels, in f32 or with products that round to bf16; on GPUs, and
//! for number types that the kernels lack, with candle's. A layer takes candle tensors of shape `[t, width]` and returns the
//! same; it does not know which model it belongs to, nor what its weights were stored as.
//!
//! **Invariant:** device differences end here; a model never asks which device it is on.

mod activation;
mod batch_norm;
mod conv;
mod conv2d;
mod depthwise;
mod device;
mod embedding;
mod fault;
mod gate;
mod images;
mod instance_norm;
mod kernels;
mod layer_norm;
mod linear;
pub(crate) mod loader;
mod log_softmax;
mod mlp;
mod moe;
mod norm;
mod packed;
mod paged;
mod preference;
mod recurrent;
mod relative_attention;
mod rope;
mod sequences;
mod spare;
mod subsampling;
mod threads;
mod weight;
mod weights;

pub use preference::CacheDtypePreference;
pub use preference::DevicePreference;
pub use preference::DtypePreference;
pub use threads::Threads;

pub(crate) use activation::Activation;
pub(crate) use batch_norm::BatchNorm;
pub(crate) use batch_norm::BatchNormValues;
pub(crate) use conv::Conv1d;
pub(crate) use conv2d::Conv2d;
pub(crate) use conv2d::Conv2dMoves;
pub(crate) use depthwise::DepthwiseConv;
pub(crate) use depthwise::FoldedNorm;
pub(crate) use device::Device;
pub(crate) use embedding::Embedding;
pub(crate) use fault::device_fault;
pub(crate) use gate::Glu;
pub(crate) use images::Images;
pub(crate) use instance_norm::InstanceNorm;
pub(crate) use instance_norm::PooledWindows;
pub(crate) use instance_norm::Rescale;
pub(crate) use kernels::Kernels;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
pub(crate) use log_softmax::log_softmax;
pub(crate) use mlp::Mlp;
pub(crate) use moe::Mixture;
pub(crate) use moe::Routing;
pub(crate) use norm::RmsNorm;
pub(crate) use packed::products;
pub(crate) use paged::AttentionPlan;
pub(crate) use paged::CacheShape;
pub(crate) use paged::CacheType;
pub(crate) use paged::PagedCache;
pub(crate) use paged::SequencePlan;
pub(crate) use recurrent::Bilstm;
pub(crate) use recurrent::LstmWeights;
pub(crate) use relative_attention::RelativeAttention;
pub(crate) use relative_attention::relative_positions;
pub(crate) use rope::RopeConfig;
pub(crate) use rope::RopeScaling;
pub(crate) use rope::RotaryTable;
pub(crate) use rope::Rotation;
pub(crate) use sequences::Sequences;
pub(crate) use spare::consume;
pub(crate) use spare::reuse;
pub(crate) use subsampling::DepthwiseReduction;
pub(crate) use subsampling::Spread;
pub(crate) use weight::Encoding;
pub(crate) use weight::Placement;
pub(crate) use weight::StoredTensor;
pub(crate) use weight::Weight;
pub(crate) use weights::Weights;
