//! Configurations and files that are wrong, and steps that break their promises: clear errors, no panics.

use serde_json::Value;
use serde_json::json;

use super::harness::Sequence;
use super::harness::goldens;
use super::harness::load;
use super::harness::options;
use super::harness::push;
use crate::chat::decoder::Decoder;
use crate::chat::decoder::DecoderConfig;
use crate::chat::decoder::DecoderSource;
use crate::chat::files::ModelFiles;
use crate::chat::runner::Runner;
use crate::chat::runner::StepBatch;
use crate::error::Error;
use crate::formats::gguf::GgufWriter;
use crate::formats::gguf::Value as Keyed;
use crate::nn::DtypePreference;
use crate::nn::RopeScaling;
use crate::wrapper::Job;

fn published(folder: &str) -> Value {
    let path = goldens().join("models").join(folder).join("config.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The configuration of `folder` with some keys changed.
fn changed(folder: &str, changes: &Value) -> Result<DecoderConfig, Error> {
    let mut config = published(folder);
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    DecoderConfig::from_json(config.to_string().as_bytes(), true)
}

#[test]
fn numbers_that_cannot_be_are_errors_that_name_the_key() {
    let huge = 1_u64 << 60;
    for (key, value) in [
        ("hidden_size", json!(0)),
        ("hidden_size", json!(huge)),
        ("hidden_size", json!(-64)),
        ("hidden_size", json!("64")),
        ("num_hidden_layers", json!(huge)),
        ("num_attention_heads", json!(0)),
        ("num_key_value_heads", json!(0)),
        ("head_dim", json!(huge)),
        ("intermediate_size", json!(1.5)),
        ("vocab_size", json!(huge)),
        ("max_position_embeddings", json!(0)),
        ("rms_norm_eps", json!(-1.0)),
        ("rope_theta", json!(0.5)),
        ("num_experts", json!(0)),
        ("num_experts_per_tok", json!(huge)),
        ("decoder_sparse_step", json!(0)),
        ("mlp_only_layers", json!(3)),
        ("tie_word_embeddings", json!("yes")),
    ] {
        let error = changed("qwen3-moe", &json!({ key: value })).unwrap_err();
        assert_eq!(error.code(), "bad_model", "{key} = {value}: {error}");
        assert!(error.to_string().contains(key), "{key} = {value}: {error}");
    }
}

#[test]
fn numbers_that_contradict_each_other_are_errors() {
    for (folder, changes, text) in [
        ("qwen3-moe", json!({"num_key_value_heads": 3}), "4 heads cannot share 3"),
        ("qwen3-moe", json!({"head_dim": 15}), "cannot be turned in pairs"),
        ("qwen3-moe", json!({"num_experts_per_tok": 7}), "7 of 6 experts"),
        (
            "llama-tied",
            json!({"num_attention_heads": 3}),
            "does not split into 3 heads",
        ),
        (
            "qwen2-sliding",
            json!({"layer_types": ["full_attention"]}),
            "1 of 3 layers",
        ),
    ] {
        let error = changed(folder, &changes).unwrap_err();
        assert!(error.to_string().contains(text), "{changes}: {error}");
    }
}

#[test]
fn kinds_that_are_not_supported_are_named() {
    for (changes, text) in [
        (
            json!({"architectures": ["GemmaForCausalLM"]}),
            "architectures \"GemmaForCausalLM\"",
        ),
        (
            json!({"architectures": null, "model_type": "mamba"}),
            "model_type \"mamba\"",
        ),
        (json!({"hidden_act": "gelu"}), "hidden_act \"gelu\""),
        (
            json!({"rope_scaling": {"rope_type": "longrope"}}),
            "rope_type \"longrope\"",
        ),
        (
            json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}),
            "rope_type \"dynamic\"",
        ),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
        (
            json!({"quantization_config": {"quant_method": "awq"}}),
            "quantization_config",
        ),
        (
            json!({"layer_types": ["full_attention", "linear_attention"]}),
            "layer_types \"linear_attention\"",
        ),
    ] {
        let error = changed("qwen3-tied", &changes).unwrap_err();
        assert_eq!(error.code(), "unsupported_model", "{changes}: {error}");
        assert!(error.to_string().contains(text), "{changes}: {error}");
    }
}

#[test]
fn broken_scalings_are_errors_that_name_the_key() {
    for (scaling, text) in [
        (json!("yarn"), "rope_scaling is no object"),
        (json!({"rope_type": "yarn"}), "rope_scaling.factor is missing"),
        (json!({"rope_type": "yarn", "factor": -1.0}), "factor is -1"),
        (
            json!({"rope_type": "linear", "factor": "big"}),
            "rope_scaling.factor is not a number",
        ),
        (
            json!({"rope_type": "llama3", "factor": 8.0}),
            "low_freq_factor is missing",
        ),
    ] {
        let error = changed("qwen3-tied", &json!({ "rope_scaling": scaling })).unwrap_err();
        assert!(error.to_string().contains(text), "{scaling}: {error}");
    }
}

#[test]
fn a_configuration_that_is_no_json_object_is_an_error() {
    for text in ["", "[]", "{\"hidden_size\": ", "nul", &"[".repeat(100_000)] {
        assert_eq!(
            DecoderConfig::from_json(text.as_bytes(), false).unwrap_err().code(),
            "bad_model"
        );
    }
}

#[test]
fn what_a_configuration_leaves_out_has_the_reference_s_default() {
    let absent = json!({"num_key_value_heads": null, "rope_theta": null, "tie_word_embeddings": null});
    let config = changed("llama-tied", &absent).unwrap();
    assert_eq!(
        (config.kv_heads, config.rope.theta, config.tied_output),
        (config.heads, 10_000.0, false)
    );
    let config = changed(
        "qwen3-tied",
        &json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
    )
    .unwrap();
    assert_eq!(config.rope.scaling, RopeScaling::Linear { factor: 2.0 });
    let windows = |changes| -> Vec<_> {
        let config = changed("qwen2-sliding", &changes).unwrap();
        config.layers.iter().map(|layer| layer.window).collect()
    };
    assert_eq!(windows(json!({})), [None, Some(16), Some(16)]);
    assert_eq!(windows(json!({"use_sliding_window": false})), [None; 3]);
    let types = json!({"layer_types": ["sliding_attention", "full_attention", "full_attention"]});
    assert_eq!(windows(types), [Some(16), None, None]);
}

/// Loads the weights of `folder` under a changed configuration.
fn load_changed(folder: &str, changes: &Value) -> Result<Decoder, Error> {
    let original = goldens().join("models").join(folder);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(
        original.join("model.safetensors"),
        copy.path().join("model.safetensors"),
    )
    .unwrap();
    let mut config = published(folder);
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    load(copy.path(), DtypePreference::Auto)
}

#[test]
fn tensors_that_do_not_fit_the_configuration_are_named_with_both_shapes() {
    for (folder, changes, texts) in [
        (
            "llama-tied",
            json!({"vocab_size": 385}),
            ["model.embed_tokens.weight", "[384, 64]", "[385, 64]"],
        ),
        (
            "llama-tied",
            json!({"intermediate_size": 97}),
            ["layers.0.mlp.gate_proj.weight", "[96, 64]", "[97, 64]"],
        ),
        (
            "llama-tied",
            json!({"num_key_value_heads": 4}),
            ["self_attn.k_proj.weight", "[32, 64]", "[64, 64]"],
        ),
        (
            "qwen3-tied",
            json!({"head_dim": 64}),
            ["self_attn.q_proj.weight", "[128, 64]", "[256, 64]"],
        ),
        (
            "qwen3-moe",
            json!({"num_experts": 7}),
            ["mlp.gate.weight", "[6, 48]", "[7, 48]"],
        ),
        (
            "qwen3-moe",
            json!({"num_experts": 4096}),
            ["mlp.gate.weight", "[6, 48]", "[4096, 48]"],
        ),
    ] {
        let error = load_changed(folder, &changes).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        for text in texts {
            assert!(error.to_string().contains(text), "{changes}: {error}");
        }
    }
}

#[test]
fn a_tensor_that_is_missing_is_named() {
    let error = load_changed("llama-tied", &json!({"num_hidden_layers": 1000})).unwrap_err();
    assert!(
        error.to_string().contains("model.layers.2.input_layernorm.weight"),
        "{error}"
    );
    let error = load_changed("llama-tied", &json!({"attention_bias": true})).unwrap_err();
    assert!(error.to_string().contains("self_attn.q_proj.bias"), "{error}");
}

#[test]
fn a_configuration_of_megabytes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), vec![b' '; 2 << 20]).unwrap();
    let error = DecoderSource::open(&ModelFiles::find(folder.path()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("no configuration is that long"), "{error}");
}

/// A GGUF whose keys are right and whose only tensor is the embedding, with some keys changed.
fn gguf_error(changes: &[(&str, Keyed)], rope_freqs: Option<usize>) -> Error {
    let mut keys = vec![
        ("general.architecture", Keyed::Text("llama".to_owned())),
        ("llama.block_count", Keyed::U32(1)),
        ("llama.context_length", Keyed::U32(64)),
        ("llama.embedding_length", Keyed::U32(32)),
        ("llama.feed_forward_length", Keyed::U32(64)),
        ("llama.attention.head_count", Keyed::U32(2)),
    ];
    for (key, value) in changes {
        keys.retain(|(known, _)| known != key);
        keys.push((key, value.clone()));
    }
    let mut writer = GgufWriter::new().tensor("token_embd.weight", &[32, 8], 0, &[0; 32 * 8 * 4]);
    for (key, value) in keys {
        writer = writer.key(key, value);
    }
    if let Some(count) = rope_freqs {
        writer = writer.tensor("rope_freqs.weight", &[count as u64], 0, &vec![0; count * 4]);
    }
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    std::fs::write(file.path(), writer.bytes()).unwrap();
    load(file.path(), DtypePreference::Auto).unwrap_err()
}

/// Opens a GGUF file with each of the keys, and compares the error's code and a part of its text.
fn check_keys(code: &str, cases: Vec<(&'static str, Keyed, &str)>) {
    for (key, value, message) in cases {
        let error = gguf_error(&[(key, value)], None);
        assert_eq!(error.code(), code, "{key}: {error}");
        assert!(error.to_string().contains(message), "{key}: {error}");
    }
}

fn text(text: &str) -> Keyed {
    Keyed::Text(text.to_owned())
}

#[test]
fn keys_of_a_gguf_that_is_of_another_kind_are_errors_that_name_them() {
    let cases = vec![
        ("general.architecture", text("gemma"), "general.architecture \"gemma\""),
        (
            "llama.rope.dimension_count",
            Keyed::U32(8),
            "llama.rope.dimension_count",
        ),
        ("llama.expert_count", Keyed::U32(8), "llama.expert_count"),
        (
            "llama.rope.scaling.type",
            text("longrope"),
            "llama.rope.scaling.type \"longrope\"",
        ),
    ];
    check_keys("unsupported_model", cases);
}

#[test]
fn keys_of_a_gguf_that_cannot_be_are_errors_that_name_them() {
    let cases = vec![
        ("general.architecture", Keyed::U32(1), "general.architecture"),
        (
            "llama.block_count",
            Keyed::U32(u32::MAX),
            "llama.block_count is 4294967295",
        ),
        ("llama.block_count", text("many"), "llama.block_count"),
        ("llama.embedding_length", Keyed::U64(1 << 60), "llama.embedding_length"),
        (
            "llama.attention.head_count",
            Keyed::U32(0),
            "llama.attention.head_count is 0",
        ),
        (
            "llama.attention.head_count",
            Keyed::U32(3),
            "does not split into 3 heads",
        ),
        (
            "llama.rope.scaling.type",
            text("yarn"),
            "llama.rope.scaling.factor is missing",
        ),
        (
            "llama.rope.freq_base",
            Keyed::F32(f32::NAN),
            "llama.rope.freq_base is NaN",
        ),
        (
            "llama.feed_forward_length",
            Keyed::U32(0),
            "llama.feed_forward_length is 0",
        ),
    ];
    check_keys("bad_model", cases);
}

#[test]
fn tensors_of_a_gguf_that_are_missing_or_wrong_are_named() {
    let error = gguf_error(&[], None);
    assert!(error.to_string().contains("blk.0.attn_norm.weight"), "{error}");
    let error = gguf_error(&[("llama.embedding_length", Keyed::U32(64))], None);
    assert!(
        error
            .to_string()
            .contains("tensor token_embd.weight: shape [8, 32] in the file, [8, 64]"),
        "{error}"
    );
    for count in [7, 8] {
        let error = gguf_error(&[], Some(count));
        assert!(
            error.to_string().contains("rope_freqs.weight"),
            "{count} divisors of zero: {error}"
        );
    }
}

#[test]
fn a_step_that_breaks_a_promise_is_an_error_and_leaves_the_decoder_working() {
    let mut decoder = load(&goldens().join("models/llama-tied"), DtypePreference::Auto).unwrap();
    let mut good = StepBatch::default();
    push(&mut good, &mut Sequence::alone(), &[5, 6, 7]);
    let mut expect = |break_it: &dyn Fn(&mut StepBatch), text: &str| {
        let mut batch = good.clone();
        break_it(&mut batch);
        let error = decoder.step(&batch, &mut Vec::new()).unwrap_err();
        assert_eq!(error.code(), "internal_error");
        assert!(error.to_string().contains(text), "{text}: {error}");
    };
    expect(&|batch| batch.positions.truncate(2), "differ in number");
    expect(&|batch| batch.tokens[1] = 384, "not in the vocabulary");
    expect(&|batch| batch.slot_mapping[0] = 31, "block 0");
    expect(&|batch| batch.slot_mapping[0] = u32::MAX, "outside the cache");
    expect(&|batch| batch.logit_rows.push(3), "row of logits");
    expect(&|batch| batch.sequences[0].tokens = 1..3, "follow one another");
    expect(&|batch| batch.sequences[0].tokens = 0..9, "follow one another");
    expect(&|batch| batch.sequences[0].context_len = 2, "shorter than its tokens");
    expect(&|batch| batch.sequences[0].context_len = 9999, "too long");
    expect(
        &|batch| batch.sequences[0].block_table = 0..99,
        "longer than its blocks",
    );
    expect(&|batch| batch.block_tables[0] = 0, "block that is not there");
    expect(&|batch| batch.block_tables[0] = 999, "block that is not there");
    expect(&|batch| batch.positions[2] = 7, "positions");
    expect(&|batch| batch.sequences.clear(), "belongs to no sequence");
    let mut logits = Vec::new();
    decoder.step(&good, &mut logits).unwrap();
    assert_eq!(logits.len(), 3 * 384);
}

#[test]
fn a_load_that_fails_leaves_its_job_usable() {
    let source = DecoderSource::open(&ModelFiles::find(&goldens().join("models/llama-tied")).unwrap()).unwrap();
    let job = Job::new();
    let mut options = options(DtypePreference::Auto);
    options.cache.blocks = 0;
    assert!(Decoder::load(&source, &options, &job).is_err());
    options.cache.blocks = 4;
    assert!(Decoder::load(&source, &options, &job).is_ok());
}
