//! Functions a model may call, as they arrive.

use inferkit::RequestFault;
use inferkit::Result;
use inferkit::task::Tool;
use poem_openapi::Object;
use poem_openapi::types::Any;
use serde::Deserialize;
use serde_json::Value;

use super::messages::cut;
use super::messages::fault;
use super::string_or::StringOr;

/// Most functions in one request.
const MAX_TOOLS: usize = 128;

/// A function that the model may call.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all, rename = "Tool")]
pub(crate) struct ToolBody {
    /// `function`.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// The function.
    pub(crate) function: Option<FunctionBody>,
}

/// A function's name, purpose and arguments.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all, rename = "FunctionDefinition")]
#[expect(
    dead_code,
    reason = "`strict` is named so that it is known; without constrained decoding it changes nothing"
)]
pub(crate) struct FunctionBody {
    /// `[A-Za-z0-9_-]{1,64}`.
    pub(crate) name: String,
    /// What it does, for the model.
    pub(crate) description: Option<String>,
    /// JSON schema of its arguments.
    pub(crate) parameters: Option<Any<Value>>,
    #[oai(skip)]
    strict: Option<bool>,
}

/// A tool choice that is more than a word.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all)]
pub(crate) struct ToolChoice {
    /// `function` or `allowed_tools`; both need constrained decoding, which this version does not offer.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub(crate) kind: String,
}

/// The form of the answer.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all)]
pub(crate) struct ResponseFormat {
    /// `text`. The others need constrained decoding, which this version does not offer.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub(crate) kind: String,
}

/// Checks the functions of a request; an empty list when the caller wants none called.
pub(super) fn tools(
    bodies: Option<Vec<ToolBody>>,
    choice: Option<&StringOr<ToolChoice>>,
    parallel: Option<bool>,
) -> Result<Vec<Tool>> {
    let bodies = bodies.unwrap_or_default();
    if bodies.len() > MAX_TOOLS {
        let message = format!("tools holds {} entries; give at most {MAX_TOOLS}", bodies.len());
        return Err(fault(RequestFault::InvalidValue, "tools".to_owned(), message));
    }
    let tools = bodies
        .into_iter()
        .enumerate()
        .map(|(place, body)| tool(place, body))
        .collect::<Result<Vec<_>>>()?;
    let wanted = wants_calls(choice)?;
    if wanted && !tools.is_empty() && parallel == Some(false) {
        return Err(fault(
            RequestFault::UnsupportedValue,
            "parallel_tool_calls".to_owned(),
            "limiting the number of calls needs constrained decoding, which is not in this version; leave it out"
                .to_owned(),
        ));
    }
    Ok(if wanted { tools } else { Vec::new() })
}

fn wants_calls(choice: Option<&StringOr<ToolChoice>>) -> Result<bool> {
    let word = match choice {
        None => return Ok(true),
        Some(StringOr::Text(word)) => word,
        Some(StringOr::Other(choice)) => &choice.kind,
    };
    match word.as_str() {
        "auto" => Ok(true),
        "none" => Ok(false),
        "required" | "function" | "allowed_tools" => Err(fault(
            RequestFault::UnsupportedValue,
            "tool_choice".to_owned(),
            format!("tool_choice {word} needs constrained decoding, which is not in this version; use auto or none"),
        )),
        _ => Err(fault(
            RequestFault::InvalidValue,
            "tool_choice".to_owned(),
            format!("tool_choice {:?} is unknown; use auto or none", cut(word)),
        )),
    }
}

fn tool(place: usize, body: ToolBody) -> Result<Tool> {
    if body.kind != "function" {
        return Err(fault(
            RequestFault::UnsupportedValue,
            format!("tools[{place}].type"),
            format!(
                "tools of the type {:?} are not supported; use function",
                cut(&body.kind)
            ),
        ));
    }
    let Some(function) = body.function else {
        let message = "a tool of the type function needs the field function".to_owned();
        return Err(fault(
            RequestFault::InvalidValue,
            format!("tools[{place}].function"),
            message,
        ));
    };
    let allowed = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == '-';
    if !(1..=64).contains(&function.name.len()) || !function.name.chars().all(allowed) {
        return Err(fault(
            RequestFault::InvalidValue,
            format!("tools[{place}].function.name"),
            format!(
                "{:?} is no function name; use 1 to 64 of A-Z a-z 0-9 _ -",
                cut(&function.name)
            ),
        ));
    }
    let mut tool = Tool::new(function.name);
    tool.description = function.description;
    tool.parameters = function.parameters.map(|Any(schema)| schema);
    Ok(tool)
}

/// Refuses every form of answer but text.
pub(super) fn check_format(format: Option<&ResponseFormat>) -> Result<()> {
    match format.map(|format| format.kind.as_str()) {
        None | Some("text") => Ok(()),
        Some(kind @ ("json_object" | "json_schema")) => Err(fault(
            RequestFault::UnsupportedValue,
            "response_format".to_owned(),
            format!("response_format {kind} needs constrained decoding, which is not in this version; use text"),
        )),
        Some(kind) => Err(fault(
            RequestFault::InvalidValue,
            "response_format.type".to_owned(),
            format!("response_format {:?} is unknown; use text", cut(kind)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weather() -> Vec<ToolBody> {
        serde_json::from_value(json!([{"type": "function", "function": {"name": "weather"}}])).unwrap()
    }

    #[test]
    fn no_functions_reach_the_model_when_none_shall_be_called() {
        let choice = StringOr::Text("none".to_owned());
        assert!(tools(Some(weather()), Some(&choice), None).unwrap().is_empty());
        assert_eq!(tools(Some(weather()), None, None).unwrap(), [Tool::new("weather")]);
    }

    #[test]
    fn what_needs_constrained_decoding_is_refused_and_said_so() {
        let forced = StringOr::Text("required".to_owned());
        let error = tools(Some(weather()), Some(&forced), None).unwrap_err();
        assert_eq!(
            (error.code(), error.param()),
            ("unsupported_value", Some("tool_choice"))
        );
        let error = tools(Some(weather()), None, Some(false)).unwrap_err();
        assert_eq!(error.param(), Some("parallel_tool_calls"));
        let json = ResponseFormat {
            kind: "json_object".to_owned(),
        };
        assert_eq!(check_format(Some(&json)).unwrap_err().code(), "unsupported_value");
    }

    #[test]
    fn a_name_that_is_no_function_name_is_refused_with_its_place() {
        let bodies = serde_json::from_value(json!([{"type": "function", "function": {"name": "a b"}}])).unwrap();
        let error = tools(Some(bodies), None, None).unwrap_err();
        assert_eq!(error.param(), Some("tools[0].function.name"));
    }
}
