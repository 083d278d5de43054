//! Every folder of `models/`, as published: safetensors of f32, f16 and bf16.

use serde_json::Value;

use super::harness::Expected;
use super::harness::cut;
use super::harness::follow;
use super::harness::goldens;
use super::harness::ids;
use super::harness::largest_difference;
use super::harness::load;
use super::harness::relative_rms;
use crate::chat::decoder::DecoderConfig;
use crate::nn::DtypePreference;

/// Asked for in the goldens' README; the reference's own noise is below 1e-4.
const TOLERANCE: f32 = 1e-3;

/// What logits may differ by, in their standard deviation. Each layer rounds its stream to 8 bits in bf16 and to 11 in f16:
/// at most 1.7 and 0.24 % were found on the processor, 3.7 % in bf16 on an H100.
const HALF_PRECISION: [(&str, DtypePreference, f64); 2] = [
    ("qwen3-untied-bf16-sharded", DtypePreference::Bf16, 0.05),
    ("qwen2-f16", DtypePreference::F16, 0.005),
];

#[test]
fn in_half_precision_logits_are_near_the_reference_s() {
    for (folder, dtype, most) in HALF_PRECISION {
        let path = goldens().join("models").join(folder);
        let expected = Expected::read(&path);
        let mut decoder = load(&path, dtype).unwrap();
        for prompt in expected.prompts(&expected.value) {
            let found = follow(&mut decoder, &prompt);
            let difference = relative_rms(&found.logits, &prompt.logits);
            assert!(difference < most, "{folder}, {}: {difference}", prompt.name);
        }
    }
}

fn agrees(folder: &str) {
    let path = goldens().join("models").join(folder);
    let expected = Expected::read(&path);
    let stop_ids = ids(&expected.value["stop_ids"]);
    let mut decoder = load(&path, DtypePreference::of_goldens()).unwrap();
    for prompt in expected.prompts(&expected.value) {
        let found = follow(&mut decoder, &prompt);
        let difference = largest_difference(&found.logits, &prompt.logits);
        assert!(
            difference < TOLERANCE,
            "{folder}, {}: logits differ by {difference}",
            prompt.name
        );
        assert_eq!(
            found.greedy_ignoring_eos, prompt.greedy_ignoring_eos,
            "{folder}, {}",
            prompt.name
        );
        assert_eq!(
            cut(&found.greedy_ignoring_eos, &stop_ids),
            prompt.greedy,
            "{folder}, {}",
            prompt.name
        );
    }
}

#[test]
fn llama_with_a_tied_output_agrees_with_the_reference() {
    agrees("llama-tied");
}

#[test]
fn llama_with_llama3_rope_and_an_output_of_its_own_agrees_with_the_reference() {
    agrees("llama3-rope-untied");
}

#[test]
fn qwen2_in_f16_with_biases_agrees_with_the_reference() {
    agrees("qwen2-f16");
}

#[test]
fn qwen2_with_a_sliding_window_on_some_layers_agrees_with_the_reference() {
    agrees("qwen2-sliding");
}

#[test]
fn qwen3_with_head_norms_agrees_with_the_reference() {
    agrees("qwen3-tied");
}

#[test]
fn qwen3_in_sharded_bf16_agrees_with_the_reference() {
    agrees("qwen3-untied-bf16-sharded");
}

#[test]
fn qwen3_with_yarn_agrees_with_the_reference() {
    agrees("qwen3-yarn");
}

#[test]
fn qwen3_in_the_layout_of_transformers_5_agrees_with_the_reference() {
    agrees("qwen3-v5-layout");
}

#[test]
fn a_mixture_in_all_layers_agrees_with_the_reference() {
    agrees("qwen3-moe");
}

#[test]
fn a_mixture_in_some_layers_without_normalised_weights_agrees_with_the_reference() {
    agrees("qwen3-moe-mixed");
}

#[test]
fn a_mixture_saved_by_transformers_5_counts_its_experts_under_another_name() {
    let path = goldens().join("models/qwen3-moe/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys = config.as_object_mut().unwrap();
    let count = keys.remove("num_experts").unwrap();
    let missing = DecoderConfig::from_json(serde_json::to_string(keys).unwrap().as_bytes(), true).unwrap_err();
    assert!(missing.to_string().contains("num_experts is missing"), "{missing}");
    keys.insert("num_local_experts".to_owned(), count.clone());
    let read = DecoderConfig::from_json(config.to_string().as_bytes(), true).unwrap();
    assert_eq!(Some(read.experts.unwrap().count as u64), count.as_u64());
}

/// 16-bit arithmetic has the tolerances that the README gives for the reference itself.
#[test]
fn sixteen_bit_arithmetic_stays_as_close_as_the_reference_does() {
    let kinds = [(DtypePreference::Bf16, 0.1, 1.0), (DtypePreference::F16, 0.015, 0.2)];
    for (dtype, tolerance, decided) in kinds {
        for folder in ["llama-tied", "qwen3-tied", "qwen3-moe"] {
            let path = goldens().join("models").join(folder);
            let expected = Expected::read(&path);
            let mut decoder = load(&path, dtype).unwrap();
            let mut far = Vec::new();
            for prompt in expected.prompts(&expected.value) {
                let found = follow(&mut decoder, &prompt);
                let rms = relative_rms(&found.logits, &prompt.logits);
                if rms.is_nan() || rms > tolerance {
                    far.push(format!("{}: {rms}", prompt.name));
                }
                let sure = prompt.margins.iter().take_while(|margin| **margin >= decided).count();
                let (found, wanted) = (&found.greedy_ignoring_eos[..sure], &prompt.greedy_ignoring_eos[..sure]);
                assert_eq!(found, wanted, "{folder}, {dtype}");
            }
            // A near tie in a router picks another expert and moves everything: one prompt may be far.
            let allowed = usize::from(folder.contains("moe"));
            assert!(
                far.len() <= allowed,
                "{folder}, {dtype}: relative RMS above {tolerance}: {far:?}"
            );
        }
    }
}
