//! Messages of a conversation as they arrive, and their way into the library's.

use std::collections::HashSet;

use inferkit::Error;
use inferkit::RequestFault;
use inferkit::Result;
use inferkit::task::Message;
use inferkit::task::Role;
use inferkit::task::ToolCall;
use poem_openapi::Object;
use serde::Deserialize;

use super::string_or::StringOr;

/// Most messages in one conversation.
const MAX_MESSAGES: usize = 2048;

/// Most parts in one message.
const MAX_PARTS: usize = 64;

/// One turn of a conversation.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all, rename = "ChatMessage")]
pub(crate) struct MessageBody {
    /// `system`, `developer` (the same), `user`, `assistant` or `tool`.
    pub(crate) role: String,
    /// A text, or 1 to 64 parts of text. May be absent for an assistant that calls functions.
    pub(crate) content: Option<StringOr<Vec<ContentPart>>>,
    /// A name for the speaker.
    pub(crate) name: Option<String>,
    /// The functions an assistant called.
    pub(crate) tool_calls: Option<Vec<ToolCallBody>>,
    /// The call that a tool message answers.
    pub(crate) tool_call_id: Option<String>,
    /// An assistant's thinking in an earlier turn.
    pub(crate) reasoning_content: Option<String>,
    /// Another name of `reasoning_content`.
    pub(crate) reasoning: Option<String>,
    /// An assistant's refusal in an earlier turn.
    pub(crate) refusal: Option<String>,
}

/// A part of a message.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all)]
pub(crate) struct ContentPart {
    /// `text`, or `refusal` in a message of an assistant.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// The text of a `text` part.
    pub(crate) text: Option<String>,
    /// The text of a `refusal` part.
    pub(crate) refusal: Option<String>,
}

/// A function call of an assistant in an earlier turn.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all)]
pub(crate) struct ToolCallBody {
    /// The call's id.
    pub(crate) id: String,
    /// `function`.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub(crate) kind: Option<String>,
    /// The function and its arguments.
    pub(crate) function: FunctionCallBody,
}

/// A function and the arguments of a call.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all)]
pub(crate) struct FunctionCallBody {
    /// The function.
    pub(crate) name: String,
    /// Its arguments as JSON text.
    pub(crate) arguments: String,
}

/// Checks a conversation and turns it into the library's messages.
pub(super) fn conversation(messages: Vec<MessageBody>) -> Result<Vec<Message>> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return Err(fault(
            RequestFault::InvalidValue,
            "messages".to_owned(),
            format!("messages holds {} entries; give 1 to {MAX_MESSAGES}", messages.len()),
        ));
    }
    let mut calls = HashSet::new();
    messages
        .into_iter()
        .enumerate()
        .map(|(place, body)| message(place, body, &mut calls))
        .collect()
}

fn message(place: usize, body: MessageBody, calls: &mut HashSet<String>) -> Result<Message> {
    let role = role(place, &body.role)?;
    let mut message = Message::new(role, String::new());
    message.content = body
        .content
        .map(|content| text(place, role, content))
        .transpose()?
        .or(body.refusal);
    message.reasoning = body.reasoning_content.or(body.reasoning);
    message.name = body.name;
    for (index, call) in body.tool_calls.unwrap_or_default().into_iter().enumerate() {
        if role != Role::Assistant {
            return Err(fault(
                RequestFault::InvalidValue,
                format!("messages[{place}].tool_calls"),
                "tool_calls belong to messages of the role assistant".to_owned(),
            ));
        }
        if call.kind.as_deref().is_some_and(|kind| kind != "function") {
            return Err(fault(
                RequestFault::UnsupportedValue,
                format!("messages[{place}].tool_calls[{index}].type"),
                "only calls of the type function are known".to_owned(),
            ));
        }
        calls.insert(call.id.clone());
        message
            .tool_calls
            .push(ToolCall::new(call.id, call.function.name, call.function.arguments));
    }
    if role == Role::Tool {
        message.tool_call_id = Some(answered_call(place, body.tool_call_id, calls)?);
    }
    if !message.tool_calls.is_empty() {
        // Many templates add the content to a text without looking; an absent one is an empty one.
        message.content.get_or_insert_default();
    }
    if message.content.is_none() {
        return Err(fault(
            RequestFault::InvalidValue,
            format!("messages[{place}].content"),
            format!("a message of the role {} needs content", body.role),
        ));
    }
    Ok(message)
}

fn role(place: usize, name: &str) -> Result<Role> {
    match name {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        "function" => Err(fault(
            RequestFault::UnsupportedValue,
            format!("messages[{place}].role"),
            "the role function is superseded; use tool with tool_call_id".to_owned(),
        )),
        _ => Err(fault(
            RequestFault::InvalidValue,
            format!("messages[{place}].role"),
            format!(
                "role {:?} is unknown; use system, developer, user, assistant or tool",
                cut(name)
            ),
        )),
    }
}

fn text(place: usize, role: Role, content: StringOr<Vec<ContentPart>>) -> Result<String> {
    let parts = match content {
        StringOr::Text(text) => return Ok(text),
        StringOr::Other(parts) => parts,
    };
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(fault(
            RequestFault::InvalidValue,
            format!("messages[{place}].content"),
            format!("content holds {} parts; give 1 to {MAX_PARTS}", parts.len()),
        ));
    }
    let mut whole = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        let piece = match part.kind.as_str() {
            "text" => part.text,
            "refusal" if role == Role::Assistant => part.refusal,
            kind => {
                return Err(fault(
                    RequestFault::UnsupportedValue,
                    format!("messages[{place}].content[{index}].type"),
                    format!("content of the type {:?} is not supported; send text", cut(kind)),
                ));
            }
        };
        let Some(piece) = piece else {
            return Err(fault(
                RequestFault::InvalidValue,
                format!("messages[{place}].content[{index}].{}", part.kind),
                format!("a part of the type {0} needs the field {0}", part.kind),
            ));
        };
        whole.push_str(&piece);
    }
    Ok(whole)
}

fn answered_call(place: usize, id: Option<String>, calls: &HashSet<String>) -> Result<String> {
    match id {
        Some(id) if calls.contains(&id) => Ok(id),
        found => Err(fault(
            RequestFault::InvalidValue,
            format!("messages[{place}].tool_call_id"),
            match found {
                Some(id) => format!(
                    "tool_call_id {:?} names no call of an earlier assistant message",
                    cut(&id)
                ),
                None => "a message of the role tool needs tool_call_id".to_owned(),
            },
        )),
    }
}

/// A value as it may stand in a message: at most 200 characters of it.
pub(super) fn cut(value: &str) -> String {
    value.chars().take(200).collect()
}

/// A mistake in the field `param`.
pub(super) fn fault(code: RequestFault, param: String, message: String) -> Error {
    Error::InvalidRequest {
        code,
        param: Some(param),
        message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn read(messages: Value) -> Result<Vec<Message>> {
        conversation(serde_json::from_value(messages).unwrap())
    }

    fn param_of(messages: Value) -> String {
        read(messages).unwrap_err().param().unwrap().to_owned()
    }

    #[test]
    fn parts_of_text_are_joined_and_a_developer_counts_as_system() {
        let messages = read(json!([
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello, "}, {"type": "text", "text": "you"}]},
        ]))
        .unwrap();
        assert_eq!(messages, [Message::system("Be brief."), Message::user("Hello, you")]);
    }

    #[test]
    fn a_fault_is_told_with_the_place_of_the_field() {
        assert_eq!(param_of(json!([])), "messages");
        assert_eq!(param_of(json!([{"role": "robot", "content": "x"}])), "messages[0].role");
        assert_eq!(param_of(json!([{"role": "user"}])), "messages[0].content");
        let image = json!([{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "image_url"}]}]);
        assert_eq!(param_of(image), "messages[1].content[0].type");
    }

    #[test]
    fn a_tool_message_answers_an_earlier_call() {
        let call = json!({"role": "assistant", "content": null, "tool_calls":
            [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let answer = json!({"role": "tool", "tool_call_id": "c1", "content": "4"});
        let messages = read(json!([call, answer])).unwrap();
        assert_eq!(messages[0].content.as_deref(), Some(""), "templates may rely on a text");
        assert_eq!(messages[1].tool_call_id.as_deref(), Some("c1"));
        assert_eq!(param_of(json!([answer])), "messages[0].tool_call_id");
    }
}
