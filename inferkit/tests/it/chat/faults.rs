//! What is refused, and how: broken files, too little memory, requests out of bounds.

use inferkit::DevicePreference;
use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::ModelWrapper;

use super::*;

fn qwen3_model(change: impl FnOnce(&mut QwenOptions)) -> QwenModel {
    let mut options = QwenOptions::default();
    change(&mut options);
    model(goldens().join("models/qwen3-tied"), options)
}

async fn load_error(model: &QwenModel) -> Error {
    model
        .load(&LoadOptions::default(), &Job::new())
        .await
        .expect_err("the load should fail")
}

/// A copy of the golden folder, to be broken.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(goldens().join("models/qwen3-tied").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_folder_without_a_model_is_not_downloaded_and_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path(), QwenOptions::default());
    assert!(!model.files().await.unwrap().complete);
    assert_eq!(load_error(&model).await.code(), "not_downloaded");
    let error = model
        .download(&DownloadOptions::default(), &Job::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "file_not_found");
}

#[tokio::test]
async fn files_that_are_there_need_no_download() {
    let model = qwen3_model(|_| {});
    let files = model.files().await.unwrap();
    assert!(files.complete && files.bytes_present() > 100_000, "{files:?}");
    model.download(&DownloadOptions::default(), &Job::new()).await.unwrap();
}

#[tokio::test]
async fn a_broken_file_is_named_with_its_part() {
    let cases: [(&str, &[u8], &str); 4] = [
        (
            "model.safetensors",
            b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
            "model.safetensors",
        ),
        ("config.json", b"{", "config.json"),
        ("tokenizer.json", b"[]", "tokenizer"),
        ("generation_config.json", br#"{"temperature": "hot"}"#, "temperature"),
    ];
    for (name, content, part) in cases {
        let folder = copy();
        std::fs::write(folder.path().join(name), content).unwrap();
        let error = load_error(&model(folder.path(), QwenOptions::default())).await;
        assert_eq!(error.code(), "bad_model", "{name}: {error}");
        assert!(error.to_string().contains(part), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_tokenizer_of_another_model_is_found_out() {
    let folder = copy();
    let big = goldens().join("tokenizers/qwen/tokenizer.json");
    std::fs::copy(big, folder.path().join("tokenizer.json")).unwrap();
    let error = load_error(&model(folder.path(), QwenOptions::default())).await;
    assert!(error.to_string().contains("and the embedding 384 rows"), "{error}");
}

#[tokio::test]
async fn too_little_memory_is_refused_before_anything_is_read() {
    let error = load_error(&qwen3_model(|options| options.memory_budget = Some(1000))).await;
    assert_eq!(error.code(), "insufficient_memory");
    assert!(error.to_string().contains("the memory budget is 1000 bytes"), "{error}");

    let mut forced = LoadOptions::default();
    forced.force = true;
    let model = qwen3_model(|options| options.memory_budget = Some(1000));
    assert!(model.load(&forced, &Job::new()).await.unwrap().chat.is_some());
}

#[tokio::test]
async fn a_device_that_is_not_there_and_a_cancelled_job_end_the_load() {
    let error = load_error(&qwen3_model(|options| options.device = DevicePreference::Cuda(97))).await;
    assert_eq!((error.code(), error.param()), ("unsupported_value", Some("device")));

    let job = Job::new();
    job.cancel();
    let error = qwen3_model(|_| {})
        .load(&LoadOptions::default(), &job)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "cancelled");
}

#[tokio::test]
async fn requests_out_of_bounds_are_refused_before_they_are_queued() {
    let lease = qwen3().await;
    let mut request = question();
    request.sampling.temperature = Some(3.0);
    let error = stream(&lease, request).await.err().unwrap();
    assert_eq!((error.code(), error.param()), ("invalid_value", Some("temperature")));

    let error = stream(&lease, ChatRequest::new(Vec::new())).await.err().unwrap();
    assert_eq!((error.code(), error.param()), ("invalid_value", Some("messages")));

    let long = ChatRequest::new(vec![Message::user("long ".repeat(600))]);
    let error = stream(&lease, long).await.err().unwrap();
    assert_eq!(
        (error.code(), error.param()),
        ("context_length_exceeded", Some("messages"))
    );
    let message = error.to_string();
    assert!(
        message.starts_with("This model's maximum context length is 512 tokens; the prompt is too long with "),
        "{message}"
    );
    assert!(message.ends_with(" tokens (context_length_exceeded)."), "{message}");
}

#[tokio::test]
async fn a_shorter_context_and_a_full_line_are_as_configured() {
    let model = qwen3_model(|options| {
        options.max_model_len = Some(100);
        options.max_queued = Some(0);
    });
    let lease = registered(model).await.ensure_loaded().await.unwrap();
    assert_eq!(lease.chat().unwrap().limits().max_model_len, 100);
    // Nobody reads, so that none of them ends.
    let mut readers = Vec::new();
    let error = loop {
        let mut request = question();
        request.stop.ignore_eos = true;
        match stream(&lease, request).await {
            Ok(reader) => readers.push(reader),
            Err(error) => break error,
        }
        assert!(readers.len() < 200, "the line never fills");
    };
    let Error::Unavailable { retry_after, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((error.code(), retry_after.is_some()), ("queue_full", true));
}
