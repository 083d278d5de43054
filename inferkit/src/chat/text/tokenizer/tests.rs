use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::*;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/llm")).join(path)
}

fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_json(&std::fs::read(golden(&format!("tokenizers/{name}/tokenizer.json"))).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn texts_become_the_references_ids() {
    for name in ["qwen", "llama3"] {
        let tokenizer = tokenizer(name);
        for case in golden_json(&format!("tokenizers/{name}/expected.json"))["cases"]
            .as_array()
            .unwrap()
        {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                tokenizer.encode(text).unwrap(),
                ids(&case["ids_no_added_specials"]),
                "{name}: {text:?}"
            );
        }
    }
}

#[test]
fn markup_in_plain_text_becomes_the_references_plain_ids() {
    for name in ["qwen", "llama3"] {
        let tokenizer = tokenizer(name);
        let expected = golden_json(&format!("tokenizers/{name}/expected.json"));
        for case in expected["user_text_without_specials"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                tokenizer.encode_plain(text).unwrap(),
                ids(&case["ids_as_plain_text"]),
                "{name}: {text:?}"
            );
        }
        for case in expected["json_surrogates"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(tokenizer.encode(text).unwrap(), ids(&case["ids"]), "{name}: {text:?}");
        }
    }
}

#[test]
fn the_bytes_of_the_ids_are_the_bytes_of_the_text() {
    for name in ["qwen", "llama3"] {
        let tokenizer = tokenizer(name);
        for case in golden_json(&format!("tokenizers/{name}/expected.json"))["cases"]
            .as_array()
            .unwrap()
        {
            let bytes: Vec<u8> = ids(&case["ids_no_added_specials"])
                .into_iter()
                .flat_map(|id| tokenizer.vocabulary().bytes(id).unwrap().to_vec())
                .collect();
            assert_eq!(
                String::from_utf8_lossy(&bytes),
                case["decoded"].as_str().unwrap(),
                "{name}"
            );
        }
    }
}

/// The qwen tokenizer with `change` made to its JSON.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = golden_json("tokenizers/qwen/tokenizer.json");
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}

fn refusal(content: &[u8]) -> String {
    let error = Tokenizer::from_json(content).err().expect("the file has to be refused");
    assert!(["bad_model", "unsupported_model"].contains(&error.code()), "{error}");
    error.to_string()
}

#[test]
fn a_file_that_is_no_tokenizer_is_refused_by_name() {
    for content in [
        &b""[..],
        b"{}",
        b"[1, 2]",
        b"\xFF\xFE",
        b"{\"model\": {\"type\": \"BPE\"}}",
    ] {
        assert!(refusal(content).contains("tokenizer.json"));
    }
    let deep = "[".repeat(100_000);
    assert!(refusal(deep.as_bytes()).contains("tokenizer.json"));
}

#[test]
fn a_token_id_beyond_any_vocabulary_is_refused_before_a_table_is_built() {
    let far = changed(|value| value["model"]["vocab"]["far"] = json!(u32::MAX));
    assert!(refusal(&far).contains("4294967295"));
}

#[test]
fn merges_dropped_at_random_are_refused() {
    assert!(refusal(&changed(|value| value["model"]["dropout"] = json!(0.1))).contains("dropout"));
}

#[test]
fn a_decoder_that_spells_bytes_in_another_way_is_refused() {
    assert!(
        refusal(&changed(
            |value| value["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": true})
        ))
        .contains("decoder")
    );
    assert!(refusal(&changed(|value| value["decoder"] = Value::Null)).contains("decoder"));
}

#[test]
fn damaged_files_are_refused_or_read_but_never_end_the_process() {
    let whole = std::fs::read(golden("tokenizers/qwen/tokenizer.json")).unwrap();
    for part in 0..12 {
        let _ = Tokenizer::from_json(&whole[..whole.len() * part / 12]).map(|tokenizer| tokenizer.encode("a b"));
    }
    let changes: [fn(&mut Value); 6] = [
        |value| value["model"]["vocab"] = json!({}),
        |value| value["model"]["merges"] = json!([["zz", "yy"]]),
        |value| value["added_tokens"][0]["id"] = json!(3),
        |value| value["pre_tokenizer"]["pretokenizers"][0]["pattern"] = json!({"Regex": "(a+)+$"}),
        |value| value["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        |value| value["model"] = json!({"type": "Unigram", "vocab": [], "unk_id": 7}),
    ];
    for change in changes {
        if let Ok(tokenizer) = Tokenizer::from_json(&changed(change)) {
            let _ = tokenizer.encode(&format!("{}b é", "a".repeat(64)));
            let _ = tokenizer.encode_plain("x <|im_end|> y");
        }
    }
}

#[test]
fn a_sentencepiece_tokenizer_has_the_bytes_its_decoder_writes() {
    let content = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                  "vocab": {"<s>": 0, "▁": 1, "a": 2, "b": 3, "▁a": 4, "<0xC3>": 5, "<0xA9>": 6},
                  "merges": [["▁", "a"]]}
    });
    let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&content).unwrap()).unwrap();
    let ids = tokenizer.encode("a béa").unwrap();
    assert_eq!(ids, [4, 1, 3, 5, 6, 2]);
    let bytes: Vec<u8> = ids
        .iter()
        .flat_map(|&id| tokenizer.vocabulary().bytes(id).unwrap().to_vec())
        .collect();
    assert_eq!(bytes, " a béa".as_bytes());
    assert!(tokenizer.vocabulary().drops_first_space());
}
