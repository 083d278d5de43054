//! The decoder: sizes from its tensors, choices from `transf_decoder` and `head`.

use super::Section;
use super::Shapes;
use super::count;
use super::shape;
use crate::error::Error;
use crate::error::Result;
use crate::nn::Activation;

/// A transformer decoder with cross-attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::speech::canary) struct DecoderConfig {
    /// Layers.
    pub(in crate::speech::canary) layers: usize,
    /// Width of a state.
    pub(in crate::speech::canary) width: usize,
    /// Heads of attention.
    pub(in crate::speech::canary) heads: usize,
    /// Width inside of a feed-forward block.
    pub(in crate::speech::canary) inner: usize,
    /// Rows of embedding and head; more than there are tokens.
    pub(in crate::speech::canary) vocabulary: usize,
    /// Longest sequence, prompt included.
    pub(in crate::speech::canary) max_positions: usize,
    /// Inside of a feed-forward block.
    pub(in crate::speech::canary) activation: Activation,
    /// Whether states are normalised before a block rather than after it.
    pub(in crate::speech::canary) norm_first: bool,
    /// Whether the last layer's states are normalised.
    pub(in crate::speech::canary) final_norm: bool,
}

impl DecoderConfig {
    /// Reads `transf_decoder`, `transf_encoder` and `head` of the root.
    pub(super) fn read(root: &Section<'_>, shapes: Shapes<'_>) -> Result<Self> {
        let section = root.section("transf_decoder");
        let config = section.section("config_dict");
        let between = root.section("transf_encoder");
        if between.count("num_layers")?.is_some_and(|layers| layers > 0) {
            return Err(between.unsupported("num_layers", "0"));
        }
        let head = root.section("head");
        if head.count("num_layers")?.is_some_and(|layers| layers != 1) {
            return Err(head.unsupported("num_layers", "1"));
        }
        head.expect_flag("log_softmax", true)?;
        config.expect_flag("learn_positional_encodings", false)?;
        if config.count("num_token_types")?.is_some_and(|types| types > 0) {
            return Err(config.unsupported("num_token_types", "0"));
        }
        let [vocabulary, width] = shape(shapes, "transf_decoder._embedding.token_embedding.weight")?;
        let [max_positions, _] = shape(shapes, "transf_decoder._embedding.position_embedding.pos_enc")?;
        let [inner, _] = shape(
            shapes,
            "transf_decoder._decoder.layers.0.third_sub_layer.dense_in.weight",
        )?;
        let layers = count(shapes, "transf_decoder._decoder.layers.*.layer_norm_1.weight");
        config.expect_size("num_layers", layers)?;
        config.expect_size("hidden_size", width)?;
        config.expect_size("inner_size", inner)?;
        config.expect_size("max_sequence_length", max_positions)?;
        let heads = config.count("num_attention_heads")?.unwrap_or(1);
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(Error::bad_model(format!(
                "decoder: {heads} heads do not divide a width of {width}; download the model again"
            )));
        }
        let norm_first = config.flag("pre_ln")?.unwrap_or(false);
        Ok(Self {
            layers,
            width,
            heads,
            inner,
            vocabulary,
            max_positions,
            activation: match config.text("hidden_act") {
                Some("relu") | None => Activation::Relu,
                Some("gelu") => Activation::Gelu,
                Some(_) => return Err(config.unsupported("hidden_act", "relu or gelu")),
            },
            norm_first,
            final_norm: norm_first && section.flag("pre_ln_final_layer_norm")?.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use serde_json::json;

    fn shapes(name: &str) -> Option<Vec<usize>> {
        let shape: &[usize] = match name {
            "transf_decoder._embedding.token_embedding.weight" => &[1768, 48],
            "transf_decoder._embedding.position_embedding.pos_enc" => &[1024, 48],
            "transf_decoder._decoder.layers.0.third_sub_layer.dense_in.weight" => &[192, 48],
            "transf_decoder._decoder.layers.0.layer_norm_1.weight"
            | "transf_decoder._decoder.layers.1.layer_norm_1.weight" => &[48],
            _ => return None,
        };
        Some(shape.to_vec())
    }

    fn read(tree: &Value) -> Result<DecoderConfig> {
        DecoderConfig::read(&Section::root("c.yaml", tree), &shapes)
    }

    /// A tree with these choices of the decoder.
    fn of(choices: &Value) -> Value {
        json!({ "transf_decoder": { "config_dict": choices } })
    }

    #[test]
    fn sizes_come_from_the_tensors_and_defaults_are_those_of_the_original() {
        let config = read(&json!({})).unwrap();
        assert_eq!((config.layers, config.width, config.inner), (2, 48, 192));
        assert_eq!((config.vocabulary, config.max_positions, config.heads), (1768, 1024, 1));
        assert_eq!((config.activation, config.norm_first), (Activation::Relu, false));
        assert!(
            !config.final_norm,
            "states that are normalised after a block are so in the end"
        );
        let config = read(&of(
            &json!({"pre_ln": true, "hidden_act": "gelu", "num_attention_heads": 8}),
        ))
        .unwrap();
        assert_eq!((config.heads, config.activation), (8, Activation::Gelu));
        assert!(config.norm_first && config.final_norm);
    }

    #[test]
    fn unsupported_choices_are_errors_that_name_the_key() {
        for (tree, text) in [
            (
                json!({"transf_encoder": {"num_layers": 2}}),
                "transf_encoder.num_layers is 2",
            ),
            (json!({"head": {"num_layers": 2}}), "head.num_layers is 2"),
            (json!({"head": {"log_softmax": false}}), "head.log_softmax is false"),
            (
                of(&json!({"learn_positional_encodings": true})),
                "learn_positional_encodings",
            ),
            (of(&json!({"num_token_types": 2})), "config_dict.num_token_types is 2"),
            (
                of(&json!({"hidden_act": "swish"})),
                "config_dict.hidden_act is \"swish\"",
            ),
        ] {
            let error = read(&tree).unwrap_err();
            assert_eq!(error.code(), "unsupported_model", "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn sizes_that_are_not_the_tensors_are_errors_that_name_the_key() {
        for (choices, text) in [
            (json!({"num_layers": 3}), "config_dict.num_layers is 3"),
            (json!({"hidden_size": 64}), "config_dict.hidden_size is 64"),
            (json!({"inner_size": 64}), "config_dict.inner_size is 64"),
            (
                json!({"max_sequence_length": 512}),
                "config_dict.max_sequence_length is 512",
            ),
            (json!({"num_attention_heads": 7}), "7 heads do not divide a width of 48"),
            (json!({"num_attention_heads": 0}), "0 heads do not divide"),
            (
                json!({"num_attention_heads": "many"}),
                "config_dict.num_attention_heads is \"many\"",
            ),
            (json!({"pre_ln": 1}), "config_dict.pre_ln is 1"),
        ] {
            let error = read(&of(&choices)).unwrap_err();
            assert_eq!(error.code(), "bad_model", "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        let error = DecoderConfig::read(&Section::root("c.yaml", &json!({})), &|_| None).unwrap_err();
        assert!(
            error.to_string().contains("token_embedding.weight is missing"),
            "{error}"
        );
    }
}
