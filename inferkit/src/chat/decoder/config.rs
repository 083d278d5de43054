//! What a decoder looks like, read from `config.json` or from a GGUF's keys.
//!
//! Every number is checked here against what can be, so that sizes computed from it neither overflow nor ask for
//! memory that the tensors do not justify; tensors are checked against it when they are read.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod gguf;
mod json;

use crate::error::Error;
use crate::error::Result;
use crate::nn::RopeConfig;
use crate::nn::Routing;

/// Largest values that are taken for real. The largest published models stay below a quarter of each.
const MOST_LAYERS: usize = 1024;
const MOST_HEADS: usize = 1024;
const WIDEST_HEAD: usize = 1024;
const WIDEST: usize = 1 << 17;
const WIDEST_MLP: usize = 1 << 20;
const MOST_TOKENS: usize = 1 << 22;
const MOST_EXPERTS: usize = 4096;
const LONGEST: usize = 1 << 26;

/// What a decoder looks like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecoderConfig {
    /// The family, as the file spells it.
    pub(crate) architecture: String,
    /// Rows of the embedding; may be more than the tokenizer has tokens.
    pub(crate) vocabulary: usize,
    /// Width of the stream between layers.
    pub(crate) hidden: usize,
    /// Heads of queries.
    pub(crate) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Numbers a head has; even.
    pub(crate) head_dim: usize,
    /// Width of a dense feed-forward block.
    pub(crate) intermediate: usize,
    /// Added to the mean square in each norm.
    pub(crate) norm_epsilon: f32,
    /// Longest sequence the model is made for, in tokens.
    pub(crate) max_positions: usize,
    /// Rotary positions.
    pub(crate) rope: RopeConfig,
    /// Whether the output multiplies by the embedding.
    pub(crate) tied_output: bool,
    /// Which linear layers add a bias.
    pub(crate) biases: Biases,
    /// Whether each head of queries and keys is normalised before it is turned (Qwen3).
    pub(crate) head_norms: bool,
    /// The experts of sparse layers.
    pub(crate) experts: Option<ExpertConfig>,
    /// What differs from layer to layer.
    pub(crate) layers: Vec<LayerConfig>,
    /// Whether the rows of queries and keys are stored for interleaved rotation (GGUF of `llama`).
    pub(crate) interleaved: bool,
}

/// Which linear layers add a bias.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Biases {
    /// Queries, keys and values.
    pub(crate) query_key_value: bool,
    /// The output of attention.
    pub(crate) attention_output: bool,
    /// The feed-forward block.
    pub(crate) mlp: bool,
}

/// The experts of a sparse layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpertConfig {
    /// Number of experts.
    pub(crate) count: usize,
    /// Width of each.
    pub(crate) intermediate: usize,
    /// How they are chosen.
    pub(crate) routing: Routing,
}

/// What differs from layer to layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LayerConfig {
    /// Tokens that attention sees, if not all.
    pub(crate) window: Option<usize>,
    /// Whether the feed-forward block is a mixture of experts.
    pub(crate) sparse: bool,
}

impl DecoderConfig {
    /// Fails when numbers that are possible alone contradict each other.
    fn consistent(self, file: &str) -> Result<Self> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            let fault = format!("{} heads cannot share {} key/value heads", self.heads, self.kv_heads);
            return Err(damaged(file, &fault));
        }
        if !self.head_dim.is_multiple_of(2) {
            let fault = format!("heads of {} numbers cannot be turned in pairs", self.head_dim);
            return Err(damaged(file, &fault));
        }
        if let Some(ExpertConfig { count, routing, .. }) = self.experts
            && routing.per_token > count
        {
            let fault = format!("a token cannot go to {} of {count} experts", routing.per_token);
            return Err(damaged(file, &fault));
        }
        Ok(self)
    }

    /// Width of all query heads together.
    pub(crate) const fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key or value heads together.
    pub(crate) const fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The value of `key` if it lies in 1..=`most`.
fn within(file: &str, key: &str, value: usize, most: usize) -> Result<usize> {
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(damaged(file, &format!("{key} is {value}; 1 to {most} is possible")))
}

/// The value of `key` if it is a finite number above `least` and at most 10¹².
fn above(file: &str, key: &str, value: f64, least: f64) -> Result<f64> {
    if value > least && value <= 1e12 {
        return Ok(value);
    }
    Err(damaged(
        file,
        &format!("{key} is {value}; a number above {least} is possible"),
    ))
}

fn damaged(file: &str, fault: &str) -> Error {
    Error::bad_model(format!(
        "{file}: {fault}; the file is damaged or of another kind of model, download it again"
    ))
}

fn unsupported(file: &str, key: &str, value: &str) -> Error {
    Error::unsupported_model(format!(
        "{file}: {key} {value:?} is not supported; chat models run as llama, qwen2, qwen3 or qwen3_moe"
    ))
}
