//! What a model's files say about drawing and ending: `generation_config.json` and its like.

use serde_json::Value;

use crate::error::Error;
use crate::error::Result;
use crate::task::Sampling;

/// Texts of tokens that end a turn, for GGUF files, which name one end token and often mean more.
///
/// Source: the end-of-generation texts of llama.cpp (`llama-vocab.cpp`) for the families run here.
pub(super) const END_TEXTS: [&str; 8] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|eom_id|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<|return|>",
];

/// The model's own sampling values.
///
/// # Errors
/// [`Error::BadModel`] for a value outside its range.
pub(super) fn defaults(config: &Value) -> Result<Sampling> {
    Ok(Sampling {
        temperature: number(config, "temperature", |value| (0.0..=100.0).contains(&value))?,
        top_p: number(config, "top_p", |value| value > 0.0 && value <= 1.0)?,
        min_p: number(config, "min_p", |value| (0.0..=1.0).contains(&value))?,
        repetition_penalty: number(config, "repetition_penalty", |value| value > 0.0 && value <= 100.0)?,
        top_k: match config.get("top_k").filter(|value| !value.is_null()) {
            None => None,
            Some(value) => Some(
                value
                    .as_u64()
                    .and_then(|value| usize::try_from(value).ok())
                    .ok_or_else(|| {
                        Error::bad_model(format!("generation_config.json: top_k is {value}; a count is expected"))
                    })?,
            ),
        },
        ..Sampling::default()
    })
}

fn number(config: &Value, key: &str, is_valid: impl Fn(f64) -> bool) -> Result<Option<f32>> {
    let Some(value) = config.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_f64().filter(|&value| is_valid(value)) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the range is checked; the nearest f32 is meant"
        )]
        Some(value) => Ok(Some(value as f32)),
        None => Err(Error::bad_model(format!(
            "generation_config.json: {key} is {value}, outside its range"
        ))),
    }
}

/// `eos_token_id` of a configuration: one id or a list.
///
/// # Errors
/// [`Error::BadModel`] for anything else.
pub(super) fn end_ids(config: &Value, file: &str) -> Result<Vec<u32>> {
    let id = |value: &Value| {
        value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| Error::bad_model(format!("{file}: eos_token_id holds {value}; token ids are expected")))
    };
    match config.get("eos_token_id") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(ids)) => ids.iter().map(id).collect(),
        Some(single) => Ok(vec![id(single)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_models_values_become_defaults_and_null_means_silent() {
        let config = json!({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": null, "do_sample": true});
        let expected = Sampling {
            temperature: Some(0.6),
            top_k: Some(20),
            top_p: Some(0.95),
            ..Sampling::default()
        };
        assert_eq!(defaults(&config).unwrap(), expected);
    }

    #[test]
    fn a_value_outside_its_range_names_the_file() {
        for config in [
            json!({"top_p": 1.5}),
            json!({"temperature": "hot"}),
            json!({"top_k": -1}),
        ] {
            let error = defaults(&config).unwrap_err();
            assert!(error.to_string().contains("generation_config.json"), "{error}");
        }
    }

    #[test]
    fn end_ids_are_one_or_many() {
        assert_eq!(end_ids(&json!({"eos_token_id": [3, 4]}), "x").unwrap(), [3, 4]);
        assert_eq!(end_ids(&json!({"eos_token_id": 5}), "x").unwrap(), [5]);
        assert_eq!(end_ids(&json!({}), "x").unwrap(), [0; 0]);
        assert!(end_ids(&json!({"eos_token_id": "</s>"}), "config.json").is_err());
    }
}
