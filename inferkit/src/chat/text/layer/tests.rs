use std::path::PathBuf;

use serde_json::Value;
use time::macros::datetime;

use super::*;
use crate::task::Message;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/llm")).join(path)
}

fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

const MODELS: [&str; 10] = [
    "llama-tied",
    "llama3-rope-untied",
    "qwen2-f16",
    "qwen2-sliding",
    "qwen3-tied",
    "qwen3-untied-bf16-sharded",
    "qwen3-yarn",
    "qwen3-moe",
    "qwen3-moe-mixed",
    "qwen3-v5-layout",
];

#[test]
fn every_model_folder_gives_the_references_stop_ids_and_vocabulary() {
    for model in MODELS {
        let layer = TextLayer::from_folder(&golden("models").join(model)).unwrap();
        let expected = golden_json(&format!("models/{model}/expected.json"));
        let mut stop_ids = ids(&expected["stop_ids"]);
        stop_ids.sort_unstable();
        assert_eq!(layer.stop_ids(), stop_ids, "{model}");
        assert_eq!(
            layer.vocabulary() as u64,
            expected["tokenizer_size"].as_u64().unwrap(),
            "{model}"
        );
    }
}
