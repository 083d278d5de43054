//! A decoder's looks from `config.json`, in the layout of transformers 4 and of transformers 5.

use serde_json::Map;
use serde_json::Value;

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
use crate::nn::RopeConfig;
use crate::nn::RopeScaling;
use crate::nn::Routing;

const FILE: &str = "config.json";

/// Named in errors about rotary positions, whichever layout holds them.
const ROPE_TYPE: &str = "rope_scaling.rope_type";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Qwen3Moe,
}

impl DecoderConfig {
    /// Reads the text of a `config.json`. `has_output` says whether the checkpoint has an output matrix of its
    /// own, for configurations that do not say.
    ///
    /// # Errors
    /// [`Error::BadModel`] that names the key: broken, or of a kind that is not supported.
    pub(crate) fn from_json(text: &[u8], has_output: bool) -> Result<Self> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| damaged(FILE, &format!("no JSON at line {}", error.line())).with_source(error))?;
        let Value::Object(object) = value else {
            return Err(damaged(FILE, "no JSON object"));
        };
        Keys {
            object: &object,
            prefix: "",
        }
        .decoder(has_output)
    }
}

/// An object of the file, whose keys are asked for; null counts as absent.
#[derive(Clone, Copy)]
struct Keys<'a> {
    object: &'a Map<String, Value>,
    prefix: &'static str,
}

impl<'a> Keys<'a> {
    fn decoder(self, has_output: bool) -> Result<DecoderConfig> {
        let family = self.family()?;
        if self.get("quantization_config").is_some() {
            let message = "config.json: quantization_config is not supported; use the unquantized checkpoint or a GGUF";
            return Err(Error::unsupported_model(message));
        }
        if let Some(activation) = self.text("hidden_act")?.filter(|activation| *activation != "silu") {
            return Err(unsupported(FILE, "hidden_act", activation));
        }
        let hidden = self.need("hidden_size", super::WIDEST)?;
        let heads = self.need("num_attention_heads", super::MOST_HEADS)?;
        let head_dim = match self.count("head_dim", super::WIDEST_HEAD)? {
            Some(head_dim) => head_dim,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                return Err(damaged(
                    FILE,
                    &format!("hidden_size {hidden} does not split into {heads} heads"),
                ));
            }
        };
        let attention_bias = self.flag("attention_bias")?.unwrap_or(false);
        let positions = self.need("max_position_embeddings", super::LONGEST)?;
        let experts = if family == Family::Qwen3Moe {
            Some(self.experts()?)
        } else {
            None
        };
        DecoderConfig {
            architecture: self.text("model_type")?.unwrap_or_default().to_owned(),
            vocabulary: self.need("vocab_size", super::MOST_TOKENS)?,
            hidden,
            heads,
            kv_heads: self.count("num_key_value_heads", super::MOST_HEADS)?.unwrap_or(heads),
            head_dim,
            intermediate: self.need("intermediate_size", super::WIDEST_MLP)?,
            norm_epsilon: self.epsilon()?,
            max_positions: positions.max(self.stretched_positions()?),
            rope: self.rope(positions)?,
            tied_output: self.flag("tie_word_embeddings")?.unwrap_or(!has_output),
            biases: Biases {
                query_key_value: attention_bias || family == Family::Qwen2,
                attention_output: attention_bias && family != Family::Qwen2,
                mlp: family == Family::Llama && self.flag("mlp_bias")?.unwrap_or(false),
            },
            head_norms: matches!(family, Family::Qwen3 | Family::Qwen3Moe),
            experts,
            layers: self.layers(family)?,
            interleaved: false,
        }
        .consistent(FILE)
    }

    fn family(self) -> Result<Family> {
        let architecture = self
            .get("architectures")
            .and_then(|list| list.get(0))
            .and_then(Value::as_str);
        match (architecture, self.text("model_type")?) {
            (Some("LlamaForCausalLM"), _) | (None, Some("llama")) => Ok(Family::Llama),
            (Some("Qwen2ForCausalLM"), _) | (None, Some("qwen2")) => Ok(Family::Qwen2),
            (Some("Qwen3ForCausalLM"), _) | (None, Some("qwen3")) => Ok(Family::Qwen3),
            (Some("Qwen3MoeForCausalLM"), _) | (None, Some("qwen3_moe")) => Ok(Family::Qwen3Moe),
            (Some(other), _) => Err(unsupported(FILE, "architectures", other)),
            (None, Some(other)) => Err(unsupported(FILE, "model_type", other)),
            (None, None) => Err(damaged(FILE, "neither architectures nor model_type is given")),
        }
    }

    fn epsilon(self) -> Result<f32> {
        let epsilon = self.number("rms_norm_eps")?.unwrap_or(1e-6);
        #[expect(clippy::cast_possible_truncation, reason = "norms compute in f32")]
        Ok(above(FILE, "rms_norm_eps", epsilon, 0.0)?.min(1.0) as f32)
    }

    fn experts(self) -> Result<ExpertConfig> {
        // transformers 5.17 and later write the first name.
        let count = match self.count("num_local_experts", super::MOST_EXPERTS)? {
            Some(count) if self.get("num_experts").is_none() => count,
            _ => self.need("num_experts", super::MOST_EXPERTS)?,
        };
        Ok(ExpertConfig {
            count,
            intermediate: self.need("moe_intermediate_size", super::WIDEST_MLP)?,
            routing: Routing {
                per_token: self.need("num_experts_per_tok", super::MOST_EXPERTS)?,
                normalise: self.flag("norm_topk_prob")?.unwrap_or(false),
            },
        })
    }

    /// Which layers have a window and which are sparse, by the rules of transformers 5.23
    /// (`configuration_qwen2.py`, `modeling_qwen3_moe.py`).
    fn layers(self, family: Family) -> Result<Vec<LayerConfig>> {
        let count = self.need("num_hidden_layers", super::MOST_LAYERS)?;
        let sliding = family != Family::Llama && self.flag("use_sliding_window")?.unwrap_or(false);
        let window = if sliding {
            self.count("sliding_window", super::LONGEST)?
        } else {
            None
        };
        let windowed = self.windowed_layers(family, count, window.is_some())?;
        let step = self.count("decoder_sparse_step", super::MOST_LAYERS)?.unwrap_or(1);
        let dense = self.list("mlp_only_layers")?;
        let is_dense = |layer: usize| dense.iter().any(|dense| dense.as_u64() == Some(layer as u64));
        let layer = |(layer, windowed): (usize, bool)| LayerConfig {
            window: window.filter(|_| windowed),
            sparse: family == Family::Qwen3Moe && !is_dense(layer) && (layer + 1).is_multiple_of(step),
        };
        Ok(windowed.into_iter().enumerate().map(layer).collect())
    }

    fn windowed_layers(self, family: Family, count: usize, sliding: bool) -> Result<Vec<bool>> {
        let types = self.list("layer_types")?;
        if types.is_empty() || family == Family::Llama {
            let first = match family {
                Family::Qwen2 | Family::Qwen3 if sliding => self
                    .number("max_window_layers")?
                    .unwrap_or(28.0)
                    .clamp(0.0, count as f64),
                _ => 0.0,
            };
            return Ok((0..count).map(|layer| layer as f64 >= first).collect());
        }
        if types.len() != count {
            return Err(damaged(
                FILE,
                &format!("layer_types names {} of {count} layers", types.len()),
            ));
        }
        let is_windowed = |kind: &Value| match kind.as_str() {
            Some("full_attention") => Ok(false),
            Some("sliding_attention") => Ok(true),
            other => Err(unsupported(FILE, "layer_types", other.unwrap_or("of another type"))),
        };
        types.iter().map(is_windowed).collect()
    }

    /// The object that holds the rotary positions: `rope_parameters` of transformers 5, `rope_scaling` of 4.
    fn rope_keys(self) -> Result<Option<Keys<'a>>> {
        for (key, prefix) in [
            ("rope_parameters", "rope_parameters."),
            ("rope_scaling", "rope_scaling."),
        ] {
            match self.get(key) {
                Some(Value::Object(object)) => return Ok(Some(Keys { object, prefix })),
                Some(_) => return Err(damaged(FILE, &format!("{key} is no object"))),
                None => {}
            }
        }
        Ok(None)
    }

    fn rope(self, positions: usize) -> Result<RopeConfig> {
        let keys = self.rope_keys()?;
        let inner = keys.map(|keys| keys.number("rope_theta")).transpose()?.flatten();
        let theta = inner.or(self.number("rope_theta")?).unwrap_or(10_000.0);
        let rotated = keys
            .map(|keys| keys.number("partial_rotary_factor"))
            .transpose()?
            .flatten();
        if rotated
            .or(self.number("partial_rotary_factor")?)
            .is_some_and(|part| part < 1.0)
        {
            return Err(unsupported(FILE, "partial_rotary_factor", "below 1"));
        }
        let scaling = keys.map_or(Ok(RopeScaling::None), |keys| keys.scaling(positions))?;
        Ok(RopeConfig {
            theta: above(FILE, "rope_theta", theta, 1.0)?,
            scaling,
        })
    }

    fn rope_type(self) -> Result<&'a str> {
        let kind = match self.text("rope_type")? {
            Some(kind) => Some(kind),
            None => self.text("type")?,
        };
        Ok(kind.unwrap_or("default"))
    }

    fn scaling(self, positions: usize) -> Result<RopeScaling> {
        match self.rope_type()? {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear {
                factor: self.positive("factor")?,
            }),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: self.positive("factor")?,
                low_frequency_factor: self.positive("low_freq_factor")?,
                high_frequency_factor: self.positive("high_freq_factor")?,
                original_positions: self.positive("original_max_position_embeddings")?,
            }),
            "yarn" => self.yarn(positions),
            other => Err(unsupported(FILE, ROPE_TYPE, other)),
        }
    }

    fn yarn(self, positions: usize) -> Result<RopeScaling> {
        let factor = self.positive("factor")?;
        let magnitude = match (
            self.number("attention_factor")?,
            self.number("mscale")?,
            self.number("mscale_all_dim")?,
        ) {
            (Some(factor), _, _) => factor,
            (None, Some(slope), Some(all)) if slope != 0.0 && all != 0.0 => {
                RopeScaling::yarn_magnitude(factor, slope) / RopeScaling::yarn_magnitude(factor, all)
            }
            _ => RopeScaling::yarn_magnitude(factor, 1.0),
        };
        let original = self
            .number("original_max_position_embeddings")?
            .unwrap_or(positions as f64);
        Ok(RopeScaling::Yarn {
            factor,
            original_positions: above(FILE, "original_max_position_embeddings", original, 0.0)?,
            beta_fast: above(FILE, "beta_fast", self.number("beta_fast")?.unwrap_or(32.0), 0.0)?,
            beta_slow: above(FILE, "beta_slow", self.number("beta_slow")?.unwrap_or(1.0), 0.0)?,
            truncate: self.flag("truncate")?.unwrap_or(true),
            magnitude: above(FILE, "attention_factor", magnitude, 0.0)?,
        })
    }

    /// The context that YaRN stretches to. Published Qwen3 configurations keep the shorter
    /// `max_position_embeddings` when a user adds `rope_scaling`.
    fn stretched_positions(self) -> Result<usize> {
        let Some(keys) = self.rope_keys()? else { return Ok(0) };
        let original = keys.count("original_max_position_embeddings", super::LONGEST)?;
        match (keys.rope_type()?, original, keys.number("factor")?) {
            ("yarn", Some(original), Some(factor)) => {
                let stretched = (original as f64 * factor).clamp(0.0, super::LONGEST as f64);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
                Ok(stretched as usize)
            }
            _ => Ok(0),
        }
    }

    fn get(self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn wrong(self, key: &str, wanted: &str) -> Error {
        damaged(FILE, &format!("{}{key} is not {wanted}", self.prefix))
    }

    fn count(self, key: &str, most: usize) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or_else(|| self.wrong(key, "a count"))?;
        within(FILE, key, count, most).map(Some)
    }

    fn need(self, key: &str, most: usize) -> Result<usize> {
        self.count(key, most)?
            .ok_or_else(|| damaged(FILE, &format!("{key} is missing")))
    }

    fn number(self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| value.as_f64().ok_or_else(|| self.wrong(key, "a number")))
            .transpose()
    }

    fn positive(self, key: &str) -> Result<f64> {
        let value = self
            .number(key)?
            .ok_or_else(|| damaged(FILE, &format!("{}{key} is missing", self.prefix)))?;
        above(FILE, key, value, 0.0)
    }

    fn flag(self, key: &str) -> Result<Option<bool>> {
        self.get(key)
            .map(|value| value.as_bool().ok_or_else(|| self.wrong(key, "true or false")))
            .transpose()
    }

    fn text(self, key: &str) -> Result<Option<&'a str>> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a text")))
            .transpose()
    }

    fn list(self, key: &str) -> Result<&'a [Value]> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.wrong(key, "a list")),
        }
    }
}
