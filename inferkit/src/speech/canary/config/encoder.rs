//! The encoder: sizes from its tensors, choices from `encoder`.

use super::Section;
use super::Shapes;
use super::count;
use super::shape;
use crate::error::Error;
use crate::error::Result;

/// An encoder of the kind `FastConformer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::speech::canary) struct EncoderConfig {
    /// Mel bins of a feature frame.
    pub(in crate::speech::canary) bins: usize,
    /// Convolutions that halve time and frequency.
    pub(in crate::speech::canary) halvings: usize,
    /// Channels of those convolutions.
    pub(in crate::speech::canary) channels: usize,
    /// Layers.
    pub(in crate::speech::canary) layers: usize,
    /// Width of a state.
    pub(in crate::speech::canary) width: usize,
    /// Heads of attention.
    pub(in crate::speech::canary) heads: usize,
    /// Width inside of a feed-forward block.
    pub(in crate::speech::canary) inner: usize,
    /// Taps of the depthwise convolutions.
    pub(in crate::speech::canary) taps: usize,
    /// Whether linear layers and convolutions of the layers have biases.
    pub(in crate::speech::canary) biases: bool,
    /// Whether the subsampled features are multiplied by √width.
    pub(in crate::speech::canary) scaled: bool,
    /// Frames that a frame sees before and after itself; all if none.
    pub(in crate::speech::canary) sight: [Option<usize>; 2],
}

impl EncoderConfig {
    /// Reads `encoder`.
    pub(in crate::speech::canary) fn read(section: &Section<'_>, shapes: Shapes<'_>) -> Result<Self> {
        expect_supported(section)?;
        let [channels, _, _, _] = shape(shapes, "encoder.pre_encode.conv.0.weight")?;
        let [width, _] = shape(shapes, "encoder.pre_encode.out.weight")?;
        let [inner, _] = shape(shapes, "encoder.layers.0.feed_forward1.linear1.weight")?;
        let [_, _, taps] = shape(shapes, "encoder.layers.0.conv.depthwise_conv.weight")?;
        let [heads, head_width] = shape(shapes, "encoder.layers.0.self_attn.pos_bias_u")?;
        let layers = count(shapes, "encoder.layers.*.norm_out.weight");
        let [_, bins, _] = shape(shapes, super::features::FILTERBANK)?;
        if heads * head_width != width || taps % 2 == 0 {
            return Err(Error::bad_model(format!(
                "encoder: {heads} heads of {head_width}, {taps} taps and a width of {width} do not fit one another; \
                 download the model again"
            )));
        }
        section.expect_size("n_layers", layers)?;
        section.expect_size("d_model", width)?;
        section.expect_size("n_heads", heads)?;
        section.expect_size("conv_kernel_size", taps)?;
        section.expect_size("feat_in", bins)?;
        let factor = section.count("subsampling_factor")?.unwrap_or(4);
        if !matches!(factor, 2 | 4 | 8) {
            return Err(section.unsupported("subsampling_factor", "2, 4 or 8"));
        }
        Ok(Self {
            bins,
            halvings: factor.trailing_zeros() as usize,
            channels,
            layers,
            width,
            heads,
            inner,
            taps,
            biases: section.flag("use_bias")?.unwrap_or(true),
            scaled: section.flag("xscaling")?.unwrap_or(true),
            sight: sight(section)?,
        })
    }

    /// Frames that `frames` feature frames become.
    pub(in crate::speech::canary) fn subsampled(&self, frames: usize) -> usize {
        (0..self.halvings).fold(frames, |frames, _| frames.div_ceil(2))
    }

    /// Feature frames of one encoder frame.
    pub(in crate::speech::canary) const fn factor(&self) -> usize {
        1 << self.halvings
    }
}

/// Choices of which only one is computed here.
fn expect_supported(section: &Section<'_>) -> Result<()> {
    section.expect_text("subsampling", "dw_striding")?;
    section.expect_text("self_attention_model", "rel_pos")?;
    section.expect_text("conv_norm_type", "batch_norm")?;
    section.expect_flag("causal_downsampling", false)?;
    for key in ["reduction", "conv_context_size"] {
        if section.value(key).is_some() {
            return Err(section.unsupported(key, "null"));
        }
    }
    if section.integer("feat_out")?.is_some_and(|width| width > 0) {
        return Err(section.unsupported("feat_out", "-1"));
    }
    section.expect_text("att_context_style", "regular")
}

fn sight(section: &Section<'_>) -> Result<[Option<usize>; 2]> {
    let Some(value) = section.value("att_context_size") else {
        return Ok([None, None]);
    };
    let sides: Option<Vec<i64>> = value
        .as_array()
        .and_then(|sides| sides.iter().map(serde_json::Value::as_i64).collect());
    match sides.as_deref() {
        // -1 stands for no limit.
        Some(&[left, right]) => Ok([left, right].map(|side| usize::try_from(side).ok())),
        _ => Err(section.unsupported("att_context_size", "a pair of numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shapes(name: &str) -> Option<Vec<usize>> {
        let shape: &[usize] = match name {
            "encoder.pre_encode.conv.0.weight" => &[16, 1, 3, 3],
            "encoder.pre_encode.out.weight" => &[48, 256],
            "encoder.layers.0.feed_forward1.linear1.weight" => &[192, 48],
            "encoder.layers.0.conv.depthwise_conv.weight" => &[48, 1, 9],
            "encoder.layers.0.self_attn.pos_bias_u" => &[8, 6],
            "encoder.layers.0.norm_out.weight" | "encoder.layers.1.norm_out.weight" => &[48],
            "preprocessor.featurizer.fb" => &[1, 128, 257],
            _ => return None,
        };
        Some(shape.to_vec())
    }

    fn read(encoder: &serde_json::Value) -> Result<EncoderConfig> {
        let tree = json!({ "encoder": encoder });
        EncoderConfig::read(&Section::root("c.yaml", &tree).section("encoder"), &shapes)
    }

    #[test]
    fn sizes_come_from_the_tensors_and_defaults_are_those_of_the_original() {
        let config = read(&json!({"subsampling_factor": 8, "att_context_size": [-1, 7]})).unwrap();
        assert_eq!((config.layers, config.width, config.heads, config.taps), (2, 48, 8, 9));
        assert!(config.biases && config.scaled);
        assert_eq!(config.sight, [None, Some(7)]);
        assert_eq!(config.factor(), 8);
        assert_eq!([1, 8, 9, 371].map(|frames| config.subsampled(frames)), [1, 1, 2, 47]);
    }

    #[test]
    fn frames_become_as_many_as_the_original_counts() {
        let config = read(&json!({"subsampling_factor": 8})).unwrap();
        let golden = crate::speech::canary::testing::golden_json("algorithms.json");
        let cases = golden["subsampled_length"].as_array().unwrap();
        assert_eq!(cases.len(), 48);
        for case in cases {
            let [frames, expected] = [0, 1].map(|at| usize::try_from(case[at].as_u64().unwrap()).unwrap());
            assert_eq!(config.subsampled(frames), expected, "{frames} frames");
        }
    }

    #[test]
    fn a_size_that_is_not_the_tensors_and_a_choice_that_is_not_computed_are_errors_with_the_key() {
        for (encoder, text) in [
            (json!({"d_model": 64, "subsampling_factor": 8}), "encoder.d_model is 64"),
            (json!({"subsampling": "vggnet"}), "encoder.subsampling is \"vggnet\""),
            (json!({"conv_norm_type": "layer_norm"}), "encoder.conv_norm_type"),
            (json!({"subsampling_factor": 16}), "encoder.subsampling_factor is 16"),
            (
                json!({"att_context_size": [[70, 13], [70, 6]]}),
                "encoder.att_context_size",
            ),
            (json!({"reduction": "pooling"}), "encoder.reduction"),
        ] {
            let error = read(&encoder).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
