//! A request as the values that a chat template reads.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::guard::Guard;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::ChatRequest;
use crate::task::Message;
use crate::task::Role;
use crate::task::Tool;
use crate::task::ToolCall;

/// Deepest nesting of a caller's JSON; the same as `serde_json` reads.
const MAX_DEPTH: usize = 128;

/// What the model's files add to every conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TemplateTokens {
    /// Special tokens by the name that templates know, such as `bos_token`.
    pub(super) named: Vec<(String, String)>,
    /// Whether the template wants the reasoning under the key `thinking` (gpt-oss).
    pub(super) reads_thinking: bool,
}

/// Refuses what no template can take, before one is rendered.
///
/// # Errors
/// [`Error::InvalidRequest`] for an empty conversation or JSON nested too deeply.
pub(super) fn check(request: &ChatRequest) -> Result<()> {
    if request.messages.is_empty() {
        return Err(Error::invalid(
            RequestFault::InvalidValue,
            "messages",
            "there are no messages; give at least one",
        ));
    }
    let parameters = request.tools.iter().filter_map(|tool| tool.parameters.as_ref());
    if parameters
        .chain(request.template_kwargs.values())
        .any(|value| is_deeper_than(value, MAX_DEPTH))
    {
        return Err(Error::invalid(
            RequestFault::InvalidValue,
            None,
            format!("a value is nested more than {MAX_DEPTH} levels deep; give a flatter one"),
        ));
    }
    Ok(())
}

/// The context of a template: the request's own texts pass through `guard`.
///
/// `tools` is absent when there are none, since templates ask `is defined`. A caller's template
/// values come first, so that none of them can replace the conversation.
pub(super) fn context(request: &ChatRequest, tokens: &TemplateTokens, guard: &Guard<'_>) -> Value {
    let mut context = Map::new();
    context.insert("add_generation_prompt".to_owned(), Value::Bool(true));
    for (key, value) in &request.template_kwargs {
        context.insert(key.clone(), marked(value, guard));
    }
    context.remove("tools");
    for (name, token) in &tokens.named {
        context.insert(name.clone(), Value::from(token.as_str()));
    }
    let messages = request
        .messages
        .iter()
        .map(|message| message_value(message, tokens, guard))
        .collect();
    context.insert("messages".to_owned(), Value::Array(messages));
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| tool_value(tool, guard)).collect();
        context.insert("tools".to_owned(), Value::Array(tools));
    }
    Value::Object(context)
}

fn message_value(message: &Message, tokens: &TemplateTokens, guard: &Guard<'_>) -> Value {
    let said = |text: &str| match message.role {
        Role::Assistant => guard.words(text).into_owned(),
        Role::System | Role::User | Role::Tool => guard.data(text).into_owned(),
    };
    let mut value = Map::new();
    value.insert("role".to_owned(), Value::from(message.role.as_str()));
    value.insert(
        "content".to_owned(),
        message.content.as_deref().map_or(Value::Null, |text| said(text).into()),
    );
    if let Some(reasoning) = message.reasoning.as_deref() {
        value.insert("reasoning_content".to_owned(), said(reasoning).into());
        if tokens.reads_thinking {
            value.insert("thinking".to_owned(), said(reasoning).into());
        }
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| call_value(call, guard)).collect();
        value.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    for (key, text) in [("tool_call_id", &message.tool_call_id), ("name", &message.name)] {
        if let Some(text) = text {
            value.insert(key.to_owned(), guard.data(text).into_owned().into());
        }
    }
    Value::Object(value)
}

/// A call; its arguments as an object where they are JSON, because templates JSON-encode them.
fn call_value(call: &ToolCall, guard: &Guard<'_>) -> Value {
    let arguments = match serde_json::from_str::<Value>(&call.arguments) {
        Ok(object @ Value::Object(_)) => marked(&object, guard),
        Ok(_) | Err(_) => guard.data(&call.arguments).into_owned().into(),
    };
    json!({
        "id": guard.data(&call.id),
        "type": "function",
        "function": { "name": guard.data(&call.name), "arguments": arguments },
    })
}

fn tool_value(tool: &Tool, guard: &Guard<'_>) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), guard.data(&tool.name).into_owned().into());
    if let Some(description) = &tool.description {
        function.insert("description".to_owned(), guard.data(description).into_owned().into());
    }
    if let Some(parameters) = &tool.parameters {
        function.insert("parameters".to_owned(), marked(parameters, guard));
    }
    json!({ "type": "function", "function": function })
}

/// A caller's value with its keys and texts marked. [`check`] has bounded its depth.
fn marked(value: &Value, guard: &Guard<'_>) -> Value {
    match value {
        Value::String(text) => guard.data(text).into_owned().into(),
        Value::Array(items) => items.iter().map(|item| marked(item, guard)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| (guard.data(key).into_owned(), marked(field, guard)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Every text in `value`, keys included.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                found.extend(fields.keys().map(String::as_str));
                open.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

fn is_deeper_than(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth == 0 || items.iter().any(|item| is_deeper_than(item, depth - 1)),
        Value::Object(fields) => depth == 0 || fields.values().any(|field| is_deeper_than(field, depth - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
