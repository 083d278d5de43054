//! What is read, what is filled in, and what is refused.

use serde_json::Value;
use serde_json::json;

use super::*;

/// A configuration as published, of small sizes.
pub(in crate::speech::whisper) fn published() -> Value {
    json!({
        "model_type": "whisper", "vocab_size": 60, "d_model": 32, "num_mel_bins": 80,
        "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "max_source_positions": 1500,
        "decoder_layers": 3, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "max_target_positions": 448,
        "activation_function": "gelu", "suppress_tokens": [1, 2], "begin_suppress_tokens": [3],
    })
}

fn read_with(key: &str, value: Value) -> Result<WhisperConfig> {
    let mut model = published();
    model[key] = value;
    WhisperConfig::from_json(model.to_string().as_bytes(), None, None)
}

#[test]
fn what_the_generation_file_says_comes_first_and_the_rest_is_filled_in() {
    let model = published().to_string();
    let alone = WhisperConfig::from_json(model.as_bytes(), None, None).unwrap();
    assert_eq!(
        (alone.suppressed.as_slice(), alone.is_multilingual),
        (&[1, 2][..], false)
    );
    assert_eq!(alone.alignment_heads, [(1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!((alone.max_initial_timestamp, alone.median_filter_width), (50, 7));

    let generation = json!({"suppress_tokens": [9], "is_multilingual": true, "alignment_heads": [[2, 1]]}).to_string();
    let both = WhisperConfig::from_json(model.as_bytes(), Some(generation.as_bytes()), None).unwrap();
    assert_eq!((both.suppressed.as_slice(), both.is_multilingual), (&[9][..], true));
    assert_eq!((both.alignment_heads, both.suppressed_first), (vec![(2, 1)], vec![3]));
}

#[test]
fn sizes_that_cannot_be_are_refused_by_name() {
    for (key, value, text) in [
        ("d_model", json!(0), "d_model is 0"),
        ("vocab_size", json!(1_u64 << 40), "vocab_size is 1099511627776"),
        ("decoder_attention_heads", json!(3), "do not make whole heads"),
        ("max_source_positions", json!(750), "windows of 30 s have 1500"),
        ("max_target_positions", json!(2), "max_target_positions is 2"),
        ("activation_function", json!("relu"), "activation_function"),
        ("scale_embedding", json!(true), "scale_embedding"),
        ("model_type", json!("bart"), "does not run"),
        ("suppress_tokens", json!([60]), "names token 60"),
        ("median_filter_width", json!(4), "must be odd"),
        ("encoder_layers", json!("four"), "config.json"),
        ("suppress_tokens", json!([-1]), "config.json"),
    ] {
        let error = read_with(key, value).unwrap_err();
        assert!(error.to_string().contains(text), "{key}: {error}");
    }
}

#[test]
fn heads_that_are_not_there_are_refused() {
    let generation = json!({"alignment_heads": [[3, 0]]}).to_string();
    let error = WhisperConfig::from_json(published().to_string().as_bytes(), Some(generation.as_bytes()), None);
    assert!(error.unwrap_err().to_string().contains("head 0 of layer 3"));
}

#[test]
fn a_front_end_of_other_measures_is_refused() {
    let sound = json!({"feature_size": 128}).to_string();
    let error = WhisperConfig::from_json(published().to_string().as_bytes(), None, Some(sound.as_bytes()));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("feature_size is 128; this model needs 80")
    );
}

#[test]
fn a_folder_without_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = WhisperConfig::from_folder(folder.path()).unwrap_err();
    assert!(error.to_string().contains("holds no config.json"), "{error}");
}
