use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::chat::text::answer::parser::Parser;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/llm")).join(path)
}

fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

fn layer(name: &str) -> Arc<TextLayer> {
    Arc::new(TextLayer::from_folder(&golden("tokenizers").join(name)).unwrap())
}

fn qwen() -> Arc<TextLayer> {
    static QWEN: LazyLock<Arc<TextLayer>> = LazyLock::new(|| layer("qwen"));
    Arc::clone(&QWEN)
}

/// Text alone: neither thinking nor calls are looked for.
fn text_options(skip_special_tokens: bool) -> AnswerOptions {
    AnswerOptions {
        stop: StopRules {
            skip_special_tokens,
            ..StopRules::default()
        },
        thinking: false,
        think_opened: false,
        tool_calls: false,
        include_reasoning: true,
    }
}

fn content(deltas: &[Delta]) -> String {
    deltas
        .iter()
        .map(|delta| {
            if let Delta::Content(text) = delta {
                text.as_str()
            } else {
                ""
            }
        })
        .collect()
}

/// The text after each id, and after the end.
fn pieces(layer: &Arc<TextLayer>, ids: &Value, skip_special_tokens: bool) -> Vec<String> {
    let ids: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
    let mut decoder = AnswerDecoder::new(Arc::clone(layer), &text_options(skip_special_tokens));
    let mut pieces: Vec<String> = ids.into_iter().map(|id| content(&decoder.push(id).deltas)).collect();
    pieces.push(content(&decoder.finish(FinishReason::Stop).0));
    pieces
}

#[test]
fn each_token_releases_what_the_reference_releases() {
    for name in ["qwen", "llama3"] {
        let layer = layer(name);
        let expected = golden_json(&format!("tokenizers/{name}/expected.json"));
        let cases = expected["cases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| (case, &case["ids_no_added_specials"]));
        let random = expected["random_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| (case, &case["ids"]));
        for (case, ids) in cases.chain(random) {
            for (skip, key) in [(false, "pieces"), (true, "pieces_skip_special")] {
                let expected: Vec<String> = serde_json::from_value(case[key].clone()).unwrap();
                assert_eq!(pieces(&layer, ids, skip), expected, "{name} {key} of {ids}");
            }
        }
    }
}

/// What the pieces of an answer add up to.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    reasoning: String,
    content: String,
    calls: Vec<(String, String)>,
}

fn parse<'a>(chunks: impl IntoIterator<Item = &'a str>, think_opened: bool) -> Answer {
    let mut parser = Parser::new(Thinking::new(think_opened), true, true);
    let mut deltas: Vec<Delta> = chunks.into_iter().flat_map(|chunk| parser.push(chunk)).collect();
    deltas.extend(parser.finish());
    let mut answer = Answer::default();
    for delta in deltas {
        match delta {
            Delta::Content(text) => answer.content.push_str(&text),
            Delta::Reasoning(text) => answer.reasoning.push_str(&text),
            Delta::ToolCall { index, id, name } => {
                assert_eq!((index, id.len()), (answer.calls.len(), 29));
                answer.calls.push((name, String::new()));
            }
            Delta::ToolArguments { index, arguments } => answer.calls[index].1.push_str(&arguments),
        }
    }
    answer
}

fn check(case: &Value, answer: &Answer) {
    let name = case["name"].as_str().unwrap();
    let expected = &case["expected"];
    assert_eq!(
        answer.reasoning,
        expected["reasoning_content"].as_str().unwrap_or_default(),
        "{name}: reasoning"
    );
    assert_eq!(answer.content, expected["content"].as_str().unwrap(), "{name}: content");
    let calls: Vec<Value> = answer
        .calls
        .iter()
        .map(|(name, arguments)| {
            serde_json::json!({"name": name, "arguments": serde_json::from_str::<Value>(arguments).unwrap()})
        })
        .collect();
    assert_eq!(Value::Array(calls), expected["tool_calls"], "{name}: calls");
}

fn cases() -> Vec<(Value, String, bool)> {
    let cases = golden_json("parsing/cases.json");
    let told = |case: &Value| {
        (
            case.clone(),
            case["raw"].as_str().unwrap().to_owned(),
            case["think_opened_by_prompt"].as_bool().unwrap(),
        )
    };
    cases.as_array().unwrap().iter().map(told).collect()
}

#[test]
fn every_golden_text_gives_the_expected_message_whole_by_chunks_and_by_characters() {
    for (case, raw, opened) in cases() {
        check(&case, &parse([raw.as_str()], opened));
        check(
            &case,
            &parse(
                case["chunks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|chunk| chunk.as_str().unwrap()),
                opened,
            ),
        );
        let characters: Vec<String> = raw.chars().map(String::from).collect();
        check(&case, &parse(characters.iter().map(String::as_str), opened));
    }
}

/// Texts that a model might write, sound and broken.
fn model_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<think>"),
        Just("</think>"),
        Just("<tool_call>"),
        Just("</tool_call>"),
        Just("\n"),
        Just(" "),
        Just("é"),
        Just("word"),
        Just("<"),
        Just("</tool"),
        Just(r#"{"name": "f", "arguments": {"a": "</tool_call>"}}"#),
        Just(r#"{"name": "f"}"#),
        Just(r#"{"name": 1}"#),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("[1]"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_of_any_text_gives_the_same_message(
        text in model_text(), opened: bool, sizes in prop::collection::vec(1..7_usize, 200),
    ) {
        let mut chunks: Vec<String> = Vec::new();
        let mut characters = text.chars().peekable();
        for size in sizes {
            if characters.peek().is_none() {
                break;
            }
            chunks.push(characters.by_ref().take(size).collect());
        }
        chunks.push(characters.collect());
        prop_assert_eq!(parse(chunks.iter().map(String::as_str), opened), parse([text.as_str()], opened));
    }

    #[test]
    fn without_thinking_and_calls_nothing_of_a_text_is_lost(text in model_text()) {
        let mut parser = Parser::new(Thinking::none(), false, true);
        let mut deltas = parser.push(&text);
        deltas.extend(parser.finish());
        prop_assert_eq!(content(&deltas), text);
    }
}

/// Decodes `text` as the qwen tokenizer cuts it.
fn decode(text: &str, options: &AnswerOptions, reason: FinishReason) -> (Vec<Step>, Vec<Delta>, FinishReason, usize) {
    let layer = qwen();
    let ids = layer.tokenizer().encode(text).unwrap();
    let mut decoder = AnswerDecoder::new(layer, options);
    let mut steps = Vec::new();
    for id in ids {
        steps.push(decoder.push(id));
        if steps.last().is_some_and(|step| step.stopped) {
            break;
        }
    }
    let (deltas, reason) = decoder.finish(reason);
    (steps, deltas, reason, decoder.reasoning_tokens())
}

fn all_content(steps: &[Step], rest: &[Delta]) -> String {
    steps.iter().map(|step| content(&step.deltas)).collect::<String>() + &content(rest)
}

#[test]
fn calls_turn_stop_into_tool_calls_and_length_wins() {
    let options = AnswerOptions {
        tool_calls: true,
        thinking: true,
        ..text_options(true)
    };
    let text = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
    assert_eq!(decode(text, &options, FinishReason::Stop).2, FinishReason::ToolCalls);
    assert_eq!(decode(text, &options, FinishReason::Length).2, FinishReason::Length);
    assert_eq!(decode("plain", &options, FinishReason::Stop).2, FinishReason::Stop);
}

#[test]
fn without_tools_a_call_is_text() {
    let text = "<tool_call>\n{\"name\": \"f\"}\n</tool_call>";
    let (steps, rest, reason, _) = decode(text, &text_options(true), FinishReason::Stop);
    assert_eq!(
        (all_content(&steps, &rest).as_str(), reason),
        (text, FinishReason::Stop)
    );
}

#[test]
fn a_stop_string_across_tokens_ends_the_answer_before_it() {
    let mut options = text_options(true);
    options.stop.strings = vec!["lo\nW".to_owned()];
    let (steps, rest, ..) = decode("Hello\nWorld", &options, FinishReason::Stop);
    assert_eq!(all_content(&steps, &rest), "Hel");
    assert!(steps.last().is_some_and(|step| step.stopped && !step.is_content));

    options.stop.include_stop_string = true;
    let (steps, rest, ..) = decode("Hello\nWorld", &options, FinishReason::Stop);
    assert_eq!(all_content(&steps, &rest), "Hello\nW");

    options.stop.min_tokens = 100;
    let (steps, rest, ..) = decode("Hello\nWorld", &options, FinishReason::Stop);
    assert_eq!(
        all_content(&steps, &rest),
        "Hello\nWorld",
        "nothing ends an answer before min_tokens"
    );
}

#[test]
fn thinking_is_counted_and_returned_only_where_wanted() {
    let options = AnswerOptions {
        thinking: true,
        include_reasoning: false,
        ..text_options(true)
    };
    let (steps, rest, _, reasoning) = decode("<think>\nab\n</think>\n\nHi", &options, FinishReason::Stop);
    let deltas: Vec<Delta> = steps.iter().flat_map(|step| step.deltas.clone()).chain(rest).collect();
    assert_eq!(content(&deltas), "Hi");
    assert!(
        deltas.iter().all(|delta| matches!(delta, Delta::Content(_))),
        "{deltas:?}"
    );
    assert_eq!(
        reasoning,
        steps.len() - 3,
        "all but the blank line and the two letters of the answer"
    );
    let counted: Vec<bool> = steps.iter().map(|step| step.is_content).collect();
    assert!(counted.ends_with(&[false, true, true]), "{counted:?}");
}

#[test]
fn control_tokens_are_no_content() {
    let (steps, rest, ..) = decode("Hi<|im_end|>", &text_options(true), FinishReason::Stop);
    assert_eq!(all_content(&steps, &rest), "Hi");
    assert!(
        steps
            .last()
            .is_some_and(|step| !step.is_content && step.deltas.is_empty())
    );
    let (steps, rest, ..) = decode("Hi<|im_end|>", &text_options(false), FinishReason::Stop);
    assert_eq!(all_content(&steps, &rest), "Hi<|im_end|>");
}

#[test]
fn an_id_without_token_adds_nothing() {
    let mut decoder = AnswerDecoder::new(qwen(), &text_options(true));
    assert_eq!(
        decoder.push(u32::MAX),
        Step {
            deltas: Vec::new(),
            is_content: false,
            stopped: false
        }
    );
}
