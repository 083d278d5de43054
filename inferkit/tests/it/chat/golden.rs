//! Greedy answers equal those of the reference, token by token, from each kind of file.

use std::path::Path;

use inferkit::QwenOptions;
use inferkit::UnloadOptions;
use inferkit::task::FinishReason;
use serde_json::Value;

use super::*;

/// The reference's run after the chat prompt.
struct Expected {
    prompt_tokens: usize,
    /// Tokens of the answer, the one that ends it left out.
    tokens: usize,
    logprobs: Vec<f64>,
    reason: FinishReason,
}

fn expected(file: &str, pointer: &str) -> Expected {
    let text = std::fs::read(goldens().join(file)).unwrap();
    let value: Value = serde_json::from_slice(&text).unwrap();
    let prompts = value.pointer(pointer).unwrap().as_array().unwrap();
    let chat = prompts.iter().find(|prompt| prompt["name"] == "chat").unwrap();
    let is_stop = chat["greedy"]["finish_reason"] == "stop";
    let ids = chat["greedy"]["ids"].as_array().unwrap().len();
    Expected {
        prompt_tokens: chat["ids"].as_array().unwrap().len(),
        tokens: ids - usize::from(is_stop),
        logprobs: serde_json::from_value(chat["greedy"]["logprobs"].clone()).unwrap(),
        reason: if is_stop {
            FinishReason::Stop
        } else {
            FinishReason::Length
        },
    }
}

/// Asks the golden question, and compares each token's log-probability: equal logits along the whole
/// answer mean equal tokens. Returns the text.
async fn check(path: &Path, expected: &Expected) -> String {
    let handle = registered(model(path, QwenOptions::default())).await;
    let lease = handle.ensure_loaded().await.unwrap();
    let Some(tolerance) = tolerance(&lease.device, &lease.dtype) else {
        eprintln!(
            "skipped: {} is computed in {} on {}",
            path.display(),
            lease.dtype,
            lease.device
        );
        return String::new();
    };
    let mut request = question().with_max_tokens(48);
    request.logprobs = Some(1);
    let answer = ask(&lease, request).await;

    let name = path.display();
    assert_eq!(answer.prompt_tokens, expected.prompt_tokens, "{name}");
    assert_eq!(answer.reason, Some(expected.reason), "{name}");
    let is_stop = usize::from(expected.reason == FinishReason::Stop);
    assert_eq!(
        answer.usage,
        Usage::new(expected.prompt_tokens, expected.tokens + is_stop),
        "{name}"
    );
    assert_eq!(answer.logprobs.len(), expected.tokens, "{name}");
    for (place, (found, wanted)) in answer.logprobs.iter().zip(&expected.logprobs).enumerate() {
        let difference = (f64::from(found.token.logprob) - wanted).abs();
        assert!(difference < tolerance, "{name}: token {place} is off by {difference}");
        assert_eq!(found.token, found.top[0], "{name}: greedy takes the best");
    }
    let bytes: Vec<u8> = answer
        .logprobs
        .iter()
        .flat_map(|token| token.token.bytes.clone())
        .collect();
    assert_eq!(answer.text, String::from_utf8_lossy(&bytes), "{name}");
    answer.text
}

/// The reference's noise against f64 is below 1e-4; 1e-3 is asked of an f32 engine (goldens' README), which that of the
/// processor is whatever the weights are. Other devices compute in the type of the file, of 11 or of 8 bits; with 8, texts of
/// weights that mean nothing go another way, and only logits can be compared (`in_half_precision_logits_are_near…`).
fn tolerance(device: &str, dtype: &str) -> Option<f64> {
    match (device, dtype) {
        ("cpu", _) | (_, "f32") => Some(1e-3),
        (_, "f16") => Some(1e-2),
        _ => None,
    }
}

#[tokio::test]
async fn a_published_folder_answers_as_the_reference() {
    let folder = goldens().join("models/qwen3-tied");
    let text = check(&folder, &expected("models/qwen3-tied/expected.json", "/prompts")).await;
    assert!(text.starts_with("y de\u{FFFD}\n\n"), "{text:?}");
}

#[tokio::test]
async fn each_family_answers_as_the_reference() {
    for name in ["qwen2-f16", "qwen3-moe", "qwen3-untied-bf16-sharded"] {
        let expected = expected(&format!("models/{name}/expected.json"), "/prompts");
        check(&goldens().join("models").join(name), &expected).await;
    }
}

#[tokio::test]
async fn a_gguf_file_answers_as_the_reference() {
    let expected = expected("gguf/expected.json", "/qwen3-F32/prompts");
    check(&goldens().join("gguf/qwen3-F32.gguf"), &expected).await;
}

#[tokio::test]
async fn a_folder_with_one_gguf_is_that_model() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(goldens().join("gguf/qwen3-F32.gguf"), folder.path().join("only.gguf")).unwrap();
    check(folder.path(), &expected("gguf/expected.json", "/qwen3-F32/prompts")).await;
}

#[tokio::test]
async fn unloading_frees_the_model_and_loading_brings_it_back() {
    let handle = registered(model(goldens().join("models/qwen3-tied"), QwenOptions::default())).await;
    let lease = handle.ensure_loaded().await.unwrap();
    let before = ask(&lease, question().with_max_tokens(5)).await;
    let weights = Arc::downgrade(lease.chat().unwrap());
    // `auto` takes a GPU where the build has one.
    let on_gpu = cfg!(any(feature = "cuda", feature = "metal")) && lease.device != "cpu";
    assert!(on_gpu || lease.device == "cpu", "{}", lease.device);
    assert_eq!(lease.dtype, "f32");
    assert_eq!(lease.max_model_len, Some(512));
    assert!(lease.memory.weights_bytes > 0 && lease.memory.cache_bytes > 0);
    drop(lease);

    let operation = handle.unload(UnloadOptions::default()).unwrap();
    assert_eq!(
        handle
            .wait(&operation.id)
            .await
            .unwrap()
            .error
            .map(|error| error.to_string()),
        None
    );
    assert!(weights.upgrade().is_none(), "something keeps the model");

    let lease = handle.ensure_loaded().await.unwrap();
    assert_eq!(ask(&lease, question().with_max_tokens(5)).await, before);
}
