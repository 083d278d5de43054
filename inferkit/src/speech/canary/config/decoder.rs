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
