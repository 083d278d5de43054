//! The one error body: what every answer with a status of 400 or more carries.
//!
//! ```text
//! handler, middleware, accept loop ─▶ ApiError ─▶ {"error":{message,type,param,code}} + headers
//! inferkit::Error ─ by variant and code ─▶ ApiError
//! ```
//!
//! **Invariant:** status, `type` and retry headers follow from the code alone, so that one code never
//! reaches a client in two shapes.

use std::borrow::Cow;
use std::time::Duration;

use inferkit::Error;
use inferkit::InternalFault;
use poem::Response;
use poem::error::ResponseError;
use poem::http::HeaderValue;
use poem::http::StatusCode;
use poem::http::header;
use serde::Serialize;

/// Longest message; what goes beyond is cut.
const MAX_MESSAGE_CHARS: usize = 1000;
/// Longest value of a caller that a message repeats.
const MAX_VALUE_CHARS: usize = 200;

/// An answer with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Its spelling on the wire.
    pub code: &'static str,
    /// One line for a person.
    pub message: String,
    /// The field at fault, as a path such as `messages[2].content`.
    pub param: Option<String>,
    status: StatusCode,
    retry_after: Option<Duration>,
    headers: Vec<(&'static str, Cow<'static, str>)>,
}

/// The error body as it is written and documented.
#[derive(Debug, Serialize, poem_openapi::Object)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong. All four fields are always present.
#[derive(Debug, Serialize, poem_openapi::Object)]
pub struct ErrorDetail {
    /// One line that names the offending value and what to do.
    pub message: String,
    /// The class of the error, such as `invalid_request_error`.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// The field at fault, as a path such as `messages[2].content[0].type`.
    #[oai(nullable)]
    pub param: Option<String>,
    /// The kind of error, stable across versions.
    #[oai(nullable)]
    pub code: Option<String>,
}

impl ApiError {
    /// An error of that code; the status follows from it.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message = one_line(&message.into(), MAX_MESSAGE_CHARS);
        Self {
            code,
            message,
            param: None,
            status: status_of(code),
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn with_param(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn with_retry_after(self, delay: Duration) -> Self {
        Self {
            retry_after: Some(delay),
            ..self
        }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A field with a value that is not allowed.
    pub fn invalid_value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("invalid_value", message).with_param(param)
    }

    /// A field that this server does not offer.
    pub fn unsupported_parameter(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("unsupported_parameter", message).with_param(param)
    }

    /// The failure of something that cannot fail; `detail` goes to the log and not to the caller.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(error.code = "internal_error", error.message = %detail, "internal error");
        Self::new(
            "internal_error",
            "something went wrong inside the server; its log says what, by the request id",
        )
    }

    /// The failure of a step of an answer; `detail` goes to the log and not to the caller.
    fn generation_failed(detail: impl std::fmt::Display) -> Self {
        tracing::error!(error.code = "generation_failed", error.message = %detail, "generation failed");
        Self::new(
            "generation_failed",
            "generation failed inside the model; the server's log says why, by the request id",
        )
    }

    /// The same for a load that an admin asked for: there, too little memory is the request's fault.
    #[must_use]
    pub fn for_load_action(self) -> Self {
        match self.code {
            "insufficient_memory" => Self {
                status: StatusCode::BAD_REQUEST,
                retry_after: None,
                ..self
            },
            _ => self,
        }
    }

    /// The same for an action on the hub's token: there, a refused token is the request's fault.
    #[must_use]
    pub fn for_token_action(self) -> Self {
        match self.code {
            "token_invalid" => Self {
                status: StatusCode::BAD_REQUEST,
                headers: Vec::new(),
                ..self
            },
            _ => self,
        }
    }

    /// The class of the error on the wire.
    pub fn kind(&self) -> &'static str {
        kind_of(self.status)
    }

    /// The body of the answer.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                message: self.message.clone(),
                kind: self.kind().to_owned(),
                param: self.param.clone(),
                code: Some(self.code.to_owned()),
            },
        }
    }

    /// The body of the answer as compact JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.body()).unwrap_or_default()
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
            .or_else(|| default_retry_after(self.code))
            .map(whole_seconds)
    }
}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(ErrorCode(self.code))
            .body(self.to_json());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in fixed_headers(self.code) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(*name, value);
            }
        }
        response
    }
}

/// The code of an error answer, for the access log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorCode(pub(crate) &'static str);

/// A value of the caller, fit for a message: on one line and cut.
pub fn shown(value: &str) -> String {
    one_line(value, MAX_VALUE_CHARS)
}

/// `text` without line breaks and other control characters, at most `max` characters long.
fn one_line(text: &str, max: usize) -> String {
    let mut line: String = text
        .chars()
        .take(max)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(max).is_some() {
        line.push('…');
    }
    line
}

/// `text` with each path of this machine cut to its last part: an answer never shows where files lie.
///
/// A path begins with `/` or `.`, or has two slashes or more; `owner/name` of the hub and addresses stay.
fn without_folders(text: &str) -> String {
    let words: Vec<_> = text.split(' ').map(without_folder).collect();
    words.join(" ")
}

fn without_folder(word: &str) -> &str {
    let start = word.trim_start_matches(['"', '\'', '(']);
    let is_path = start.starts_with(['/', '.']) || word.matches('/').count() > 1;
    if !is_path || word.contains("://") {
        return word;
    }
    let end = word.trim_end_matches('/');
    end.rsplit_once('/').map_or(word, |(_, last)| last)
}

/// Whole seconds in 1..=60, rounded up: clients refuse long delays and retry at once on 0.
fn whole_seconds(delay: Duration) -> u64 {
    let rounded_up = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    rounded_up.clamp(1, 60)
}

/// The status of a code.
fn status_of(code: &str) -> StatusCode {
    match code {
        "invalid_api_key" => StatusCode::UNAUTHORIZED,
        "insufficient_scope"
        | "host_not_allowed"
        | "cross_origin_forbidden"
        | "gated_no_token"
        | "gated_not_accepted" => StatusCode::FORBIDDEN,
        "model_not_found" | "operation_not_found" | "response_not_found" | "unknown_url" => StatusCode::NOT_FOUND,
        "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "request_timeout" => StatusCode::REQUEST_TIMEOUT,
        "operation_conflict" | "model_in_use" | "not_downloaded" | "token_from_environment" | "no_token" => {
            StatusCode::CONFLICT
        }
        "payload_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "unsupported_media_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "rate_limit_exceeded" | "queue_full" | "queue_timeout" => StatusCode::TOO_MANY_REQUESTS,
        "headers_too_large" => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "internal_error" | "generation_failed" => StatusCode::INTERNAL_SERVER_ERROR,
        "model_loading"
        | "model_not_loaded"
        | "model_failed"
        | "offline"
        | "insufficient_memory"
        | "storage_unwritable"
        | "server_shutting_down" => StatusCode::SERVICE_UNAVAILABLE,
        "request_deadline_exceeded" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The `type` of a status.
fn kind_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        409 => "conflict_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// Headers that always go with a code.
fn fixed_headers(code: &str) -> &'static [(&'static str, &'static str)] {
    match code {
        "invalid_api_key" => &[("www-authenticate", "Bearer realm=\"inferkit\"")],
        "gated_no_token"
        | "gated_not_accepted"
        | "operation_conflict"
        | "model_in_use"
        | "not_downloaded"
        | "token_from_environment"
        | "no_token"
        | "model_not_loaded"
        | "model_failed"
        | "offline"
        | "storage_unwritable"
        | "request_deadline_exceeded" => &[("x-should-retry", "false")],
        "request_timeout" | "payload_too_large" | "server_shutting_down" => &[("connection", "close")],
        "unsupported_media_type" => &[("accept-post", "application/json")],
        _ => &[],
    }
}

/// What `Retry-After` says when nothing better is known.
fn default_retry_after(code: &str) -> Option<Duration> {
    match code {
        "rate_limit_exceeded" | "queue_full" | "queue_timeout" | "model_loading" => Some(Duration::from_secs(1)),
        "insufficient_memory" | "server_shutting_down" => Some(Duration::from_secs(5)),
        _ => None,
    }
}

/// Maps the library's errors by their variant and code, for a request that needed a model.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::InvalidRequest { .. } => error.code(),
            Error::Hub { .. } if error.is_refusal() => error.code(),
            Error::BadModel { .. } | Error::Hub { .. } => "model_failed",
            Error::Unavailable { .. } => match error.code() {
                "busy" | "disk_full" | "cancelled" | "timeout" => "model_failed",
                code => code,
            },
            Error::Internal {
                code: InternalFault::GenerationFailed,
                ..
            } => return Self::generation_failed(describe(&error)),
            _ => return Self::internal(describe(&error)),
        };
        let mut answer = Self::new(code, without_folders(&error.to_string()));
        if code == "token_invalid" {
            answer = Self {
                status: StatusCode::FORBIDDEN,
                ..answer
            }
            .with_header("x-should-retry", "false");
        }
        if let Some(param) = error.param() {
            answer = answer.with_param(param);
        } else if code == "model_not_found" {
            answer = answer.with_param("model");
        }
        if let Error::Unavailable {
            retry_after: Some(delay),
            ..
        } = error
        {
            answer = answer.with_retry_after(delay);
        }
        answer
    }
}

/// An error with its causes, for the log.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use inferkit::HubFault;
    use inferkit::UnavailableFault;

    use super::*;

    fn json(error: &ApiError) -> serde_json::Value {
        serde_json::from_str(&error.to_json()).unwrap()
    }

    #[test]
    fn all_four_fields_are_present_even_when_null() {
        let error = ApiError::new("unknown_url", "there is nothing at /x");
        assert_eq!(
            json(&error),
            serde_json::json!({"error": {"message": "there is nothing at /x", "type": "invalid_request_error",
                "param": null, "code": "unknown_url"}})
        );
    }

    #[test]
    fn a_message_is_one_line_and_a_repeated_value_is_cut() {
        let error = ApiError::new("invalid_value", "first\nsecond\u{7}");
        assert_eq!(error.message, "first second ");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), MAX_VALUE_CHARS + 1);
    }

    #[test]
    fn retry_after_is_a_whole_number_from_one_to_sixty() {
        for (delay, expected) in [(0, "1"), (1_500, "2"), (900_000, "60")] {
            let error = ApiError::new("queue_full", "full").with_retry_after(Duration::from_millis(delay));
            assert_eq!(error.as_response().header("retry-after"), Some(expected));
        }
    }

    #[test]
    fn the_librarys_errors_keep_their_code_and_get_their_status() {
        let cases = [
            (Error::hub(HubFault::GatedNoToken, "gated"), "gated_no_token", 403),
            (Error::hub(HubFault::TokenInvalid, "refused"), "token_invalid", 403),
            (Error::hub(HubFault::Offline, "offline"), "offline", 503),
            (Error::hub(HubFault::Network, "reset"), "model_failed", 503),
            (Error::bad_model("header"), "model_failed", 503),
            (
                Error::unavailable(UnavailableFault::QueueFull, "full"),
                "queue_full",
                429,
            ),
            (
                Error::unavailable(UnavailableFault::ModelLoading, "loading"),
                "model_loading",
                503,
            ),
            (
                Error::unavailable(UnavailableFault::InsufficientMemory, "short"),
                "insufficient_memory",
                503,
            ),
            (Error::internal("/secret/path"), "internal_error", 500),
            (Error::generation_failed("/secret/path"), "generation_failed", 500),
        ];
        for (error, code, status) in cases {
            let answer = ApiError::from(error);
            assert_eq!((answer.code, answer.status().as_u16()), (code, status));
            assert!(
                !answer.message.contains("/secret"),
                "an internal message stays in the log"
            );
        }
    }

    #[test]
    fn an_answer_shows_no_folder_of_this_machine() {
        let cases = [
            (
                "/srv/models/demo does not hold all files",
                "demo does not hold all files",
            ),
            ("models/demo/qwen holds none", "qwen holds none"),
            (
                "a.gguf is missing from ./demo; put it there",
                "a.gguf is missing from demo; put it there",
            ),
            ("/m/two: a.gguf and b.gguf", "two: a.gguf and b.gguf"),
            (
                "Qwen/Qwen3-8B is gated: https://hub.example/a/b",
                "Qwen/Qwen3-8B is gated: https://hub.example/a/b",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(ApiError::from(Error::bad_model(message)).message, expected);
        }
    }

    #[test]
    fn a_state_conflict_tells_clients_not_to_retry() {
        let response = ApiError::new("operation_conflict", "a load is running").as_response();
        assert_eq!(
            (response.status().as_u16(), response.header("x-should-retry")),
            (409, Some("false"))
        );
    }
}
