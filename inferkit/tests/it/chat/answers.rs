//! Many requests at once, readers that leave, and what ends an answer.

use std::num::NonZeroUsize;

use futures_util::future::join_all;
use inferkit::task::QueueDepth;

use super::*;

/// Requests of all lengths, some drawn by chance from a seed.
fn requests() -> Vec<ChatRequest> {
    let texts = [
        "one",
        "",
        "a longer question that fills more than a block of the cache, and then some",
        "🙂",
    ];
    let sampling = |seed| Sampling::default().with_temperature(0.9).with_seed(seed);
    let pairs = texts
        .iter()
        .flat_map(|text| [(text, Sampling::greedy()), (text, sampling(text.len() as u64))]);
    pairs
        .map(|(text, sampling)| {
            ChatRequest::new(vec![Message::user(format!("{text}?"))])
                .with_sampling(sampling)
                .with_max_tokens(40)
        })
        .collect()
}

#[tokio::test]
async fn eight_requests_at_once_get_what_each_gets_alone() {
    let lease = qwen3().await;
    let mut alone = Vec::new();
    for request in requests() {
        alone.push(ask(&lease, request).await);
    }
    let together = join_all(requests().into_iter().map(|request| ask(&lease, request))).await;
    assert_eq!(together, alone);
}

#[tokio::test]
async fn a_reader_that_leaves_in_the_middle_frees_the_engine() {
    let lease = qwen3().await;
    let mut request = question();
    request.stop.ignore_eos = true;
    let mut events = stream(&lease, request).await.unwrap();
    events.next().await;
    events.next().await;
    assert_eq!(lease.chat().unwrap().queue(), QueueDepth::new(1, 0));
    drop(events);
    while lease.chat().unwrap().queue() != QueueDepth::default() {
        tokio::task::yield_now().await;
    }
    // The whole context is there for the next one.
    let mut request = question();
    request.stop.ignore_eos = true;
    let answer = ask(&lease, request).await;
    assert_eq!(answer.reason, Some(FinishReason::Length));
    assert_eq!(answer.usage.prompt_tokens + answer.usage.completion_tokens, 512);
}

#[tokio::test]
async fn choices_differ_by_their_number_and_are_told_apart() {
    let lease = qwen3().await;
    let mut request = question().with_max_tokens(12);
    request.sampling = Sampling::default().with_temperature(1.5).with_seed(7);
    request.stop.ignore_eos = true;
    request.choices = NonZeroUsize::new(3).unwrap();
    let mut texts = vec![String::new(); 3];
    let mut events = stream(&lease, request).await.unwrap();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ChatEvent::Delta {
                choice,
                delta: Delta::Content(text),
                ..
            } => texts[choice] += &text,
            ChatEvent::Done { usage, .. } => assert_eq!(usage.completion_tokens, 36),
            _ => {}
        }
    }
    assert_ne!(texts[0], texts[1]);
    assert_ne!(texts[1], texts[2]);
}

#[tokio::test]
async fn a_stop_token_ends_the_answer_and_belongs_to_it_only_if_wanted() {
    let lease = qwen3().await;
    let mut request = question().with_max_tokens(48);
    // The fourth token of the golden answer.
    request.stop.token_ids = vec![362];
    let answer = ask(&lease, request.clone()).await;
    assert_eq!(
        (answer.reason, answer.usage.completion_tokens),
        (Some(FinishReason::Stop), 4)
    );
    let without = answer.text;

    request.stop.include_stop_string = true;
    let with = ask(&lease, request.clone()).await.text;
    assert!(
        with.starts_with(&without) && with.len() > without.len(),
        "{without:?}, {with:?}"
    );

    request.stop.min_tokens = 5;
    let answer = ask(&lease, request).await;
    assert!(
        answer.usage.completion_tokens > 4,
        "before min_tokens nothing ends the answer"
    );
}

#[tokio::test]
async fn a_stop_string_ends_the_answer_before_it() {
    let lease = qwen3().await;
    let mut request = question().with_max_tokens(48);
    request.stop.strings = vec!["e".to_owned()];
    let answer = ask(&lease, request).await;
    assert_eq!((answer.text.as_str(), answer.reason), ("y d", Some(FinishReason::Stop)));
}

#[tokio::test]
async fn a_model_tells_its_longest_context_before_it_is_loaded_and_its_line_after() {
    for (path, is_there) in [
        ("models/qwen3-tied", true),
        ("gguf/qwen3-Q8_0.gguf", true),
        ("nowhere", false),
    ] {
        let handle = registered(model(goldens().join(path), QwenOptions::default())).await;
        let before = handle.status();
        assert_eq!(before.queued_requests, None, "{path}");
        if !is_there {
            assert_eq!(before.max_model_len, None, "without files nothing is known");
            continue;
        }
        handle.ensure_loaded().await.unwrap();
        let after = handle.status();
        assert!(before.max_model_len.is_some(), "{path}");
        assert_eq!(before.max_model_len, after.max_model_len, "{path}");
        assert_eq!(after.queued_requests, Some(0), "{path}");
    }
    let mut options = QwenOptions::default();
    options.max_model_len = Some(48);
    let handle = registered(model(goldens().join("models/qwen3-tied"), options)).await;
    assert_eq!(handle.status().max_model_len, Some(48));
}
