//! A decoder's looks from the keys of a GGUF file. Names as in llama.cpp's `gguf-py/gguf/constants.py`.

use super::Biases;
use super::DecoderConfig;
use super::ExpertConfig;
use super::LayerConfig;
use super::above;
use super::damaged;
use super::unsupported;
use super::within;
use crate::error::Error;
use crate::error::Result;
use crate::formats::gguf::GgmlType;
use crate::formats::gguf::Gguf;
use crate::nn::RopeConfig;
use crate::nn::RopeScaling;
use crate::nn::Routing;

const FILE: &str = "GGUF";

impl DecoderConfig {
    /// Reads the keys of an opened file; what they leave open, its tensors tell.
    ///
    /// # Errors
    /// [`Error::BadModel`] that names the key: broken, or of a kind that is not supported.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let architecture = gguf.metadata().text("general.architecture")?.unwrap_or_default();
        if !["llama", "qwen2", "qwen3", "qwen3moe"].contains(&architecture) {
            return Err(unsupported(FILE, "general.architecture", architecture));
        }
        Keys { gguf, architecture }.decoder()
    }
}

/// The keys that begin with the architecture's name.
#[derive(Clone, Copy)]
struct Keys<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn decoder(self) -> Result<DecoderConfig> {
        let hidden = self.need("embedding_length", super::WIDEST)?;
        let heads = self.need("attention.head_count", super::MOST_HEADS)?;
        let head_dim = match self.count("attention.key_length", super::WIDEST_HEAD)? {
            Some(head_dim) => head_dim,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                return Err(damaged(
                    FILE,
                    &format!("embedding_length {hidden} does not split into {heads} heads"),
                ));
            }
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.count(key, super::WIDEST_HEAD)?.filter(|other| *other != head_dim) {
                let found = format!("{other} with heads of {head_dim}");
                return Err(unsupported(FILE, &self.key(key), &found));
            }
        }
        let experts = self.experts()?;
        let layer = LayerConfig {
            window: None,
            sparse: experts.is_some(),
        };
        let positions = self.need("context_length", super::LONGEST)?;
        DecoderConfig {
            architecture: self.architecture.to_owned(),
            vocabulary: self.vocabulary()?,
            hidden,
            heads,
            kv_heads: self
                .count("attention.head_count_kv", super::MOST_HEADS)?
                .unwrap_or(heads),
            head_dim,
            intermediate: self.need("feed_forward_length", super::WIDEST_MLP)?,
            norm_epsilon: self.epsilon()?,
            max_positions: positions,
            rope: self.rope(positions, head_dim)?,
            tied_output: !self.gguf.contains("output.weight"),
            biases: Biases {
                query_key_value: self.gguf.contains("blk.0.attn_q.bias"),
                attention_output: self.gguf.contains("blk.0.attn_output.bias"),
                mlp: self.gguf.contains("blk.0.ffn_down.bias"),
            },
            head_norms: matches!(self.architecture, "qwen3" | "qwen3moe"),
            experts,
            layers: vec![layer; self.need("block_count", super::MOST_LAYERS)?],
            interleaved: self.architecture == "llama",
        }
        .consistent(FILE)
    }

    fn vocabulary(self) -> Result<usize> {
        let embedding = self.gguf.need("token_embd.weight")?;
        let rows = embedding.shape.first().copied().unwrap_or(0);
        within(FILE, "rows of token_embd.weight", rows, super::MOST_TOKENS)
    }

    fn epsilon(self) -> Result<f32> {
        let epsilon = self.number("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6);
        #[expect(clippy::cast_possible_truncation, reason = "norms compute in f32")]
        Ok(above(FILE, "attention.layer_norm_rms_epsilon", epsilon, 0.0)?.min(1.0) as f32)
    }

    fn experts(self) -> Result<Option<ExpertConfig>> {
        if self.architecture != "qwen3moe" {
            let count = self.gguf.metadata().usize(&self.key("expert_count"))?.unwrap_or(0);
            return match count {
                0 => Ok(None),
                _ => Err(unsupported(FILE, &self.key("expert_count"), &count.to_string())),
            };
        }
        Ok(Some(ExpertConfig {
            count: self.need("expert_count", super::MOST_EXPERTS)?,
            intermediate: self.need("expert_feed_forward_length", super::WIDEST_MLP)?,
            routing: Routing {
                per_token: self.need("expert_used_count", super::MOST_EXPERTS)?,
                normalise: self
                    .gguf
                    .metadata()
                    .bool(&self.key("expert_weights_norm"))?
                    .unwrap_or(true),
            },
        }))
    }

    fn rope(self, positions: usize, head_dim: usize) -> Result<RopeConfig> {
        let theta = self.number("rope.freq_base")?.unwrap_or(10_000.0);
        let divisors = self.divisors(head_dim)?;
        let kind = self
            .gguf
            .metadata()
            .text(&self.key("rope.scaling.type"))?
            .unwrap_or("none");
        let scaling = match (kind, divisors) {
            ("none", Some(divisors)) => RopeScaling::Divisors(divisors),
            ("none", None) => self.unnamed_scaling()?,
            ("linear", None) => RopeScaling::Linear { factor: self.factor()? },
            ("yarn", None) => self.yarn(positions)?,
            ("linear" | "yarn", Some(_)) => {
                return Err(unsupported(
                    FILE,
                    &self.key("rope.scaling.type"),
                    &format!("{kind} with rope_freqs.weight"),
                ));
            }
            (other, _) => return Err(unsupported(FILE, &self.key("rope.scaling.type"), other)),
        };
        Ok(RopeConfig {
            theta: above(FILE, &self.key("rope.freq_base"), theta, 1.0)?,
            scaling,
        })
    }

    /// Older files give a factor and no type, which means linear.
    fn unnamed_scaling(self) -> Result<RopeScaling> {
        Ok(match self.number("rope.scale_linear")? {
            Some(factor) if (factor - 1.0).abs() > f64::EPSILON => RopeScaling::Linear {
                factor: above(FILE, &self.key("rope.scale_linear"), factor, 0.0)?,
            },
            _ => RopeScaling::None,
        })
    }

    fn yarn(self, positions: usize) -> Result<RopeScaling> {
        let factor = self.factor()?;
        let original = self
            .number("rope.scaling.original_context_length")?
            .unwrap_or(positions as f64);
        let louder = self.number("rope.scaling.attn_factor")?.unwrap_or(1.0);
        let magnitude = louder * RopeScaling::yarn_magnitude(factor, 1.0);
        let beta = |key: &str, usual: f64| above(FILE, &self.key(key), self.number(key)?.unwrap_or(usual), 0.0);
        Ok(RopeScaling::Yarn {
            factor,
            original_positions: above(FILE, &self.key("rope.scaling.original_context_length"), original, 0.0)?,
            beta_fast: beta("rope.scaling.yarn_beta_fast", 32.0)?,
            beta_slow: beta("rope.scaling.yarn_beta_slow", 1.0)?,
            truncate: true,
            magnitude: above(FILE, &self.key("rope.scaling.attn_factor"), magnitude, 0.0)?,
        })
    }

    fn factor(self) -> Result<f64> {
        let key = self.key("rope.scaling.factor");
        let factor = self.number("rope.scaling.factor")?;
        above(
            FILE,
            &key,
            factor.ok_or_else(|| damaged(FILE, &format!("{key} is missing")))?,
            0.0,
        )
    }

    /// `rope_freqs.weight`: how Llama 3.1 and later stretch each pair.
    fn divisors(self, head_dim: usize) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.gguf.tensor("rope_freqs.weight")? else {
            return Ok(None);
        };
        let divisors: Vec<f32> = tensor
            .bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let right = tensor.kind == GgmlType::F32 && tensor.shape == [head_dim / 2];
        if !right || divisors.iter().any(|divisor| !divisor.is_finite() || *divisor <= 0.0) {
            return Err(Error::bad_model(format!(
                "tensor rope_freqs.weight: {:?} {} are not {} positive f32 numbers; download the model again",
                tensor.shape,
                tensor.kind,
                head_dim / 2
            )));
        }
        Ok(Some(divisors))
    }

    fn key(self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn count(self, key: &str, most: usize) -> Result<Option<usize>> {
        let key = self.key(key);
        self.gguf
            .metadata()
            .usize(&key)?
            .map(|count| within(FILE, &key, count, most))
            .transpose()
    }

    fn need(self, key: &str, most: usize) -> Result<usize> {
        self.count(key, most)?
            .ok_or_else(|| damaged(FILE, &format!("{} is missing", self.key(key))))
    }

    fn number(self, key: &str) -> Result<Option<f64>> {
        Ok(self.gguf.metadata().f32(&self.key(key))?.map(f64::from))
    }
}
