use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::chat::text::conversation;
use crate::chat::text::conversation::TemplateTokens;
use crate::chat::text::guard::Guard;
use crate::chat::text::tokenizer::Markup;
use crate::task::ChatRequest;
use crate::task::Message;
use crate::task::Role;
use crate::task::Tool;
use crate::task::ToolCall;

/// What `strftime_now` sees in the goldens.
const NOW: OffsetDateTime = datetime!(2025-01-15 12:30:00 UTC);

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join("tests/golden/llm/templates").join(path)).unwrap()).unwrap()
}

/// The source of a golden's template: ours from the repository, a published one from where
/// `scripts/fetch-templates.sh` puts it.
fn source(name: &str) -> Option<String> {
    let file = format!("{name}.jinja");
    let places = ["tests/golden/llm/templates", ".cache/templates"];
    let found = places
        .iter()
        .map(|place| root().join(place).join(&file))
        .find(|path| path.exists());
    found.map(|path| std::fs::read_to_string(path).unwrap())
}

/// Every golden with its template's source; says which are left out.
fn goldens() -> Vec<(String, String, Value)> {
    let names = golden_json("features.json");
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in names.as_object().unwrap().keys() {
        match source(name) {
            Some(source) => found.push((name.clone(), source, golden_json(&format!("{name}.expected.json")))),
            None => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        crate::testing::skip(&format!(
            "templates {missing:?} are not here; scripts/fetch-templates.sh fetches them"
        ));
    }
    assert!(found.len() >= 2, "the project's own templates are always here");
    found
}

/// A golden conversation as the template's context, with what a server does before rendering.
fn context(conversation: &Value, golden: &Value, source: &str) -> Value {
    let mut context = conversation["kwargs"].clone();
    context["messages"] = conversation["messages"].clone();
    if !conversation["tools"].is_null() {
        context["tools"] = conversation["tools"].clone();
    }
    for (name, token) in golden["special_tokens"].as_object().unwrap() {
        context[name] = token.clone();
    }
    if reads_thinking(source) {
        for message in context["messages"].as_array_mut().unwrap() {
            if let Some(reasoning) = message.get("reasoning_content").cloned() {
                message["thinking"] = reasoning;
            }
        }
    }
    context
}

fn reads_thinking(source: &str) -> bool {
    source.contains("thinking") && !source.contains("reasoning_content")
}

#[test]
fn every_golden_conversation_is_rendered_or_refused_as_by_the_reference() {
    let conversations = golden_json("conversations.json");
    let (mut equal, mut different) = (0, Vec::new());
    for (name, source, golden) in goldens() {
        let template = Template::new(&source, &name).unwrap();
        for (case, expected) in golden["prompts"].as_object().unwrap() {
            let context = context(&conversations[case], &golden, &source);
            let rendered = template.render(&context, 100_000, NOW);
            let is_equal = match (expected.get("prompt").and_then(Value::as_str), &rendered) {
                (Some(prompt), Ok(text)) => prompt == text,
                (Some(_), Err(_)) => false,
                (None, rendered) => match expected["error"].as_str() {
                    Some(raised) => rendered
                        .as_ref()
                        .is_err_and(|error| error.code() == "invalid_value" && error.to_string().contains(raised)),
                    // The reference fails without saying why; an engine may fail or render.
                    None => true,
                },
            };
            if is_equal {
                equal += 1;
            } else {
                different.push((
                    name.clone(),
                    case.clone(),
                    format!("{rendered:?}\n  expected {expected}"),
                ));
            }
        }
    }
    eprintln!("{equal} renderings equal the reference's, {} differ", different.len());
    assert!(different.is_empty(), "{equal} equal, these differ: {different:#?}");
}

/// A golden conversation as a request; `None` where no request can say it.
fn request(conversation: &Value) -> Option<ChatRequest> {
    let text = |value: &Value| match value {
        Value::Array(parts) => Some(
            parts
                .iter()
                .map(|part| part["text"].as_str().unwrap_or_default())
                .collect(),
        ),
        value => value.as_str().map(str::to_owned),
    };
    let mut messages = Vec::new();
    for value in conversation["messages"].as_array().unwrap() {
        let role = match value["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            _ => return None,
        };
        let mut message = Message::new(role, "");
        message.content = text(&value["content"]);
        message.reasoning = value.get("reasoning_content").and_then(text);
        message.tool_call_id = value.get("tool_call_id").and_then(text);
        message.name = value.get("name").and_then(text);
        for call in value.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let arguments = match &call["function"]["arguments"] {
                Value::String(text) => text.clone(),
                object => object.to_string(),
            };
            let name = call["function"]["name"].as_str().unwrap();
            message
                .tool_calls
                .push(ToolCall::new(call["id"].as_str().unwrap(), name, arguments));
        }
        messages.push(message);
    }
    if messages.is_empty() {
        return None;
    }
    let mut request = ChatRequest::new(messages);
    for tool in conversation["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        let mut tool = Tool::new(function["name"].as_str().unwrap());
        tool.description = function.get("description").and_then(text);
        tool.parameters = function.get("parameters").cloned();
        request.tools.push(tool);
    }
    request.template_kwargs = conversation["kwargs"].as_object().unwrap().clone();
    Some(request)
}

/// The markup of the models the templates belong to.
fn markup() -> Markup {
    let control = [
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|begin_of_text|>",
        "<|python_tag|>",
        "<|start|>",
        "<|end|>",
        "<|message|>",
        "<|channel|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
        "<|observation|>",
        "[INST]",
        "[/INST]",
        "[TOOL_CALLS]",
        "<｜User｜>",
        "<｜tool▁calls▁begin｜>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<bos>",
        "</s>",
        "<|repo_name|>",
        "<|object_ref_start|>",
    ];
    let tags = [
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
    ];
    let control = control.iter().map(|text| tokenizers::AddedToken::from(*text, true));
    let added: Vec<_> = control
        .chain(tags.iter().map(|text| tokenizers::AddedToken::from(*text, false)))
        .collect();
    Markup::new(added.iter())
}

#[test]
fn marks_change_no_rendering_but_for_the_tokens_they_cut() {
    let conversations = golden_json("conversations.json");
    let markup = markup();
    let mut compared = 0;
    for (name, source, golden) in goldens() {
        let template = Template::new(&source, &name).unwrap();
        let named = golden["special_tokens"].as_object().unwrap();
        let named = named
            .iter()
            .map(|(name, token)| (name.clone(), token.as_str().unwrap().to_owned()))
            .collect();
        let tokens = TemplateTokens {
            named,
            reads_thinking: reads_thinking(&source),
        };
        for (case, conversation) in conversations.as_object().unwrap() {
            let Some(request) = request(conversation) else { continue };
            let plain = conversation::context(&request, &tokens, &Guard::off(&markup));
            let guard = Guard::new(&markup, conversation::texts(&plain).into_iter()).unwrap();
            let marked = conversation::context(&request, &tokens, &guard);
            let plain = template.render(&plain, 100_000, NOW);
            let marked = template
                .render(&marked, 100_000, NOW)
                .map(|rendered| guard.read(&rendered).text);
            assert_eq!(plain.is_ok(), marked.is_ok(), "{name} / {case}");
            if let (Ok(plain), Ok(marked)) = (plain, marked) {
                assert_eq!(plain, marked, "{name} / {case}");
                compared += 1;
            }
        }
    }
    eprintln!("{compared} guarded renderings equal the plain ones");
}

#[test]
fn values_are_written_as_the_reference_writes_them() {
    for case in golden_json("tojson.json").as_array().unwrap() {
        for (source, key) in [
            ("{{ v | tojson }}", "tojson"),
            ("{{ v | tojson(indent=4) }}", "tojson_indent_4"),
            ("{{ v }}", "printed"),
        ] {
            let template = Template::new(source, "test").unwrap();
            let written = template.render(&json!({"v": case["value"]}), 1000, NOW).unwrap();
            assert_eq!(written, case[key].as_str().unwrap(), "{source} of {}", case["value"]);
        }
    }
}

fn render(source: &str) -> Result<String> {
    Template::new(source, "chat_template.jinja")?.render(
        &json!({"messages": [{"role": "user", "content": "hi"}]}),
        2,
        NOW,
    )
}

#[test]
fn tojson_takes_pythons_options() {
    assert_eq!(
        render("{{ {'b': 'é', 'a': [1]} | tojson(sort_keys=true, ensure_ascii=true) }}").unwrap(),
        r#"{"a": [1], "b": "\u00e9"}"#
    );
    assert_eq!(
        render("{{ {'b': [1, 2]} | tojson(separators=(',', ':')) }}").unwrap(),
        r#"{"b":[1,2]}"#
    );
    assert_eq!(
        render("{{ '🙂' | tojson(ensure_ascii=true) }}").unwrap(),
        r#""\ud83d\ude42""#
    );
}

#[test]
fn generation_blocks_are_plain_blocks() {
    assert_eq!(render("a{% generation %} b {%- endgeneration -%} c").unwrap(), "a bc");
}

#[test]
fn an_exception_of_the_template_is_the_callers_mistake_with_its_text() {
    let error = render("{{ raise_exception('no system messages') }}").unwrap_err();
    assert_eq!((error.code(), error.param()), ("invalid_value", Some("messages")));
    assert!(error.to_string().ends_with("no system messages"), "{error}");
    let error = render("{% macro m() %}{{ raise_exception('deep') }}{% endmacro %}{{ m() }}").unwrap_err();
    assert!(error.to_string().ends_with("deep"), "{error}");
}

#[test]
fn a_template_that_does_not_parse_or_uses_what_is_not_there_is_a_broken_model() {
    for source in [
        "{% if %}",
        "{{ 'a' | no_such_filter }}",
        "{{ no_such_function() }}",
        "{% include 'x' %}",
    ] {
        assert_eq!(render(source).unwrap_err().code(), "bad_model", "{source}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_the_callers_mistake() {
    assert_eq!(
        render("{{ messages[0].content + 1 }}").unwrap_err().code(),
        "invalid_value"
    );
    assert_eq!(
        render("{{ messages[7].content.x }}").unwrap_err().code(),
        "invalid_value"
    );
}

#[test]
fn runaway_templates_end_with_an_error() {
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let doubling =
        "{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
    let long =
        "{% for a in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}";
    let deep = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    let (range, still) = ("{{ range(9999999) }}", "{{ range(1, 5, 0) }}");
    let (text, list) = ("{{ 'ab' * 9999999999 }}", "{{ [1] * 9999999999 }}");
    for source in [endless, doubling, long, deep, range, still, text, list] {
        let error = render(source).unwrap_err();
        assert_eq!(error.code(), "bad_model", "{source}: {error}");
    }
    let huge = " ".repeat(MAX_SOURCE_BYTES + 1);
    assert!(render(&huge).unwrap_err().to_string().contains("1048576"));
    let nested = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(render(&format!("{{{{ {nested} }}}}")).unwrap_err().code(), "bad_model");
}

#[test]
fn a_conversation_too_deep_for_a_template_that_follows_it_is_the_callers_mistake() {
    let source = "{% macro m(x) %}{% for y in x %}{{ m(y) }}{% endfor %}{% endmacro %}{{ m(messages) }}";
    let template = Template::new(source, "test").unwrap();
    let nested = |levels: usize| (0..levels).fold(json!([]), |inner, _| json!([inner]));
    template.render(&json!({"messages": nested(5)}), 100, NOW).unwrap();
    let error = template
        .render(&json!({"messages": nested(100)}), 100, NOW)
        .unwrap_err();
    assert_eq!(error.code(), "invalid_value", "{error}");
}

#[test]
fn the_reversed_empty_list_does_not_end_the_thread() {
    let template = Template::new("{% for m in messages[::-1] %}x{% endfor %}", "test").unwrap();
    let _ = template.render(&json!({"messages": []}), 0, NOW);
}

#[test]
fn the_fetch_script_names_every_published_template() {
    let script = root().join("scripts/fetch-templates.sh");
    let script = std::fs::read_to_string(Path::new(&script)).unwrap();
    for name in golden_json("features.json")
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !name.starts_with("own-"))
    {
        assert!(script.contains(&format!("{name}.jinja")), "{name}");
    }
}
