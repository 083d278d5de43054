//! From the body of a chat request to the library's request: ranges, defaults, contradictions.

use std::num::NonZeroUsize;

use inferkit::RequestFault;
use inferkit::Result;
use inferkit::task::ChatRequest;
use inferkit::task::Sampling;
use inferkit::task::StopRules;
use poem_openapi::types::Any;
use serde_json::Map;
use serde_json::Value;

use super::messages::conversation;
use super::messages::cut;
use super::messages::fault;
use super::request::ChatCompletionRequest;
use super::string_or::StringOr;
use super::tools::check_format;
use super::tools::tools;

/// Most answers to one request.
const MAX_CHOICES: u64 = 8;

/// Most rivals shown beside a token.
const MAX_TOP_LOGPROBS: u64 = 20;

/// Most entries of `logit_bias`.
const MAX_BIASES: usize = 1024;

/// Most stop texts, and the longest in bytes.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 256;

/// Longest `chat_template_kwargs`, in bytes of JSON.
const MAX_KWARGS_BYTES: usize = 4096;

/// A request for the library, and what only the route needs to know.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) chat: ChatRequest,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

/// Checks a body and turns it into the library's request.
pub(super) fn convert(mut body: ChatCompletionRequest) -> Result<Converted> {
    if let Some((field, advice)) = body.unsupported_field() {
        let message = format!("{field} is not supported: {advice}");
        return Err(fault(RequestFault::UnsupportedParameter, field.to_owned(), message));
    }
    check_format(body.response_format.as_ref())?;
    let stream = body.stream.unwrap_or(false);
    if body.stream_options.is_some() && !stream {
        let message = "stream_options needs stream: true".to_owned();
        return Err(fault(RequestFault::InvalidValue, "stream_options".to_owned(), message));
    }
    let include_usage = body
        .stream_options
        .take()
        .and_then(|options| options.include_usage)
        .unwrap_or(false);

    let mut chat = ChatRequest::new(conversation(std::mem::take(&mut body.messages))?);
    chat.tools = tools(body.tools.take(), body.tool_choice.as_ref(), body.parallel_tool_calls)?;
    chat.template_kwargs = template_kwargs(body.chat_template_kwargs.take(), body.reasoning_effort.as_deref())?;
    chat.sampling = sampling(&body)?;
    chat.stop = stop_rules(&mut body)?;
    chat.logprobs = logprobs(&body)?;
    chat.choices = choices(body.n)?;
    chat.max_tokens = match (body.max_completion_tokens, body.max_tokens) {
        (Some(tokens), _) => Some(at_least_one("max_completion_tokens", tokens)?),
        (None, Some(tokens)) => Some(at_least_one("max_tokens", tokens)?),
        (None, None) => None,
    };
    chat.include_reasoning = body.include_reasoning.unwrap_or(true);
    Ok(Converted {
        chat,
        stream,
        include_usage,
    })
}

fn sampling(body: &ChatCompletionRequest) -> Result<Sampling> {
    let mut sampling = Sampling::default();
    sampling.temperature = within("temperature", body.temperature, 0.0, 2.0)?;
    sampling.top_p = within("top_p", body.top_p, 0.0, 1.0)?;
    if sampling.top_p.is_some_and(|share| share <= 0.0) {
        return Err(outside("top_p", 0.0, "above 0 up to 1"));
    }
    sampling.top_k = match body.top_k {
        None => None,
        Some(-1 | 0) => Some(0),
        Some(kept) => Some(usize::try_from(kept).map_err(|_| outside("top_k", kept as f64, "−1, 0 or more"))?),
    };
    sampling.min_p = within("min_p", body.min_p, 0.0, 1.0)?;
    sampling.repetition_penalty = within("repetition_penalty", body.repetition_penalty, 0.0, 2.0)?;
    if sampling.repetition_penalty.is_some_and(|penalty| penalty <= 0.0) {
        return Err(outside("repetition_penalty", 0.0, "above 0 up to 2"));
    }
    sampling.frequency_penalty = within("frequency_penalty", body.frequency_penalty, -2.0, 2.0)?;
    sampling.presence_penalty = within("presence_penalty", body.presence_penalty, -2.0, 2.0)?;
    sampling.logit_bias = logit_bias(body)?;
    sampling.seed = body.seed.map(i64::cast_unsigned);
    Ok(sampling)
}

fn logit_bias(body: &ChatCompletionRequest) -> Result<Vec<(u32, f32)>> {
    let Some(entries) = &body.logit_bias else {
        return Ok(Vec::new());
    };
    if entries.len() > MAX_BIASES {
        let message = format!("logit_bias holds {} entries; give at most {MAX_BIASES}", entries.len());
        return Err(fault(RequestFault::InvalidValue, "logit_bias".to_owned(), message));
    }
    let entry = |(id, bias): (&String, &f64)| {
        let token = id.parse::<u32>().map_err(|_| {
            let message = format!("{:?} is no token id", cut(id));
            fault(RequestFault::InvalidValue, "logit_bias".to_owned(), message)
        })?;
        let bias = within("logit_bias", Some(*bias), -100.0, 100.0)?.unwrap_or_default();
        Ok((token, bias))
    };
    entries.iter().map(entry).collect()
}

fn stop_rules(body: &mut ChatCompletionRequest) -> Result<StopRules> {
    let strings = match body.stop.take() {
        None => Vec::new(),
        Some(StringOr::Text(text)) => vec![text],
        Some(StringOr::Other(texts)) => texts,
    };
    if strings.len() > MAX_STOPS || strings.iter().any(|text| !(1..=MAX_STOP_BYTES).contains(&text.len())) {
        let message = format!("stop takes 1 to {MAX_STOPS} texts of 1 to {MAX_STOP_BYTES} bytes");
        return Err(fault(RequestFault::InvalidValue, "stop".to_owned(), message));
    }
    let mut rules = StopRules::default();
    rules.strings = strings;
    rules.token_ids = body
        .stop_token_ids
        .take()
        .unwrap_or_default()
        .into_iter()
        .map(|id| u32::try_from(id).map_err(|_| outside("stop_token_ids", id as f64, "token ids")))
        .collect::<Result<_>>()?;
    rules.include_stop_string = body.include_stop_str_in_output.unwrap_or(false);
    rules.ignore_eos = body.ignore_eos.unwrap_or(false);
    rules.min_tokens = usize::try_from(body.min_tokens.unwrap_or(0)).unwrap_or(usize::MAX);
    rules.skip_special_tokens = body.skip_special_tokens.unwrap_or(true);
    Ok(rules)
}

fn logprobs(body: &ChatCompletionRequest) -> Result<Option<usize>> {
    let wanted = body.logprobs.unwrap_or(false);
    match body.top_logprobs {
        Some(_) if !wanted => {
            let message = "top_logprobs needs logprobs: true".to_owned();
            Err(fault(RequestFault::InvalidValue, "top_logprobs".to_owned(), message))
        }
        Some(top) if top > MAX_TOP_LOGPROBS => Err(outside("top_logprobs", top as f64, "0 to 20")),
        top => Ok(wanted.then(|| usize::try_from(top.unwrap_or(0)).unwrap_or_default())),
    }
}

fn choices(n: Option<u64>) -> Result<NonZeroUsize> {
    let n = n.unwrap_or(1);
    usize::try_from(n)
        .ok()
        .filter(|_| n <= MAX_CHOICES)
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| outside("n", n as f64, "1 to 8"))
}

fn template_kwargs(
    kwargs: Option<Any<Map<String, Value>>>,
    reasoning_effort: Option<&str>,
) -> Result<Map<String, Value>> {
    let mut kwargs = kwargs.map(|Any(kwargs)| kwargs).unwrap_or_default();
    if !kwargs.is_empty() && serde_json::to_string(&kwargs).map_or(true, |text| text.len() > MAX_KWARGS_BYTES) {
        let message = format!("chat_template_kwargs is longer than {MAX_KWARGS_BYTES} bytes of JSON");
        return Err(fault(
            RequestFault::InvalidValue,
            "chat_template_kwargs".to_owned(),
            message,
        ));
    }
    let thinking = match reasoning_effort {
        None => return Ok(kwargs),
        Some("none") => false,
        Some("minimal" | "low" | "medium" | "high" | "xhigh") => true,
        Some(level) => {
            return Err(fault(
                RequestFault::InvalidValue,
                "reasoning_effort".to_owned(),
                format!(
                    "reasoning_effort {:?} is unknown; use none, minimal, low, medium, high or xhigh",
                    cut(level)
                ),
            ));
        }
    };
    kwargs.entry("enable_thinking").or_insert(Value::Bool(thinking));
    Ok(kwargs)
}

fn at_least_one(field: &'static str, tokens: u64) -> Result<usize> {
    match usize::try_from(tokens) {
        Ok(0) => Err(outside(field, 0.0, "1 or more")),
        Ok(tokens) => Ok(tokens),
        Err(_) => Ok(usize::MAX),
    }
}

/// `value` as an `f32`, if it lies within the closed range.
fn within(field: &'static str, value: Option<f64>, least: f64, greatest: f64) -> Result<Option<f32>> {
    match value {
        None => Ok(None),
        Some(value) if (least..=greatest).contains(&value) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "sampling computes in f32; the range is small"
            )]
            let narrowed = value as f32;
            Ok(Some(narrowed))
        }
        Some(value) => Err(outside(field, value, &format!("{least} to {greatest}"))),
    }
}

fn outside(field: &'static str, value: f64, range: &str) -> inferkit::Error {
    fault(
        RequestFault::InvalidValue,
        field.to_owned(),
        format!("{field} is {value}; give {range}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> Result<Converted> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        convert(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn absent_and_null_fields_take_the_model_s_defaults() {
        let chat = read(&json!({"temperature": null, "stop": null, "n": null}))
            .unwrap()
            .chat;
        assert_eq!(chat, ChatRequest::new(vec![inferkit::task::Message::user("Hi")]));
    }

    #[test]
    fn each_value_outside_its_range_is_told_with_its_field() {
        for (field, value) in [
            ("temperature", json!(2.1)),
            ("top_p", json!(0)),
            ("top_k", json!(-2)),
            ("min_p", json!(-0.1)),
            ("repetition_penalty", json!(0)),
            ("frequency_penalty", json!(3)),
            ("presence_penalty", json!(-3)),
            ("logit_bias", json!({"1": 101})),
            ("logit_bias", json!({"x": 1})),
            ("n", json!(9)),
            ("n", json!(0)),
            ("max_tokens", json!(0)),
            ("max_completion_tokens", json!(0)),
            ("stop", json!("")),
            ("stop_token_ids", json!([4_294_967_296_u64])),
            ("top_logprobs", json!(3)),
            ("stream_options", json!({"include_usage": true})),
            ("reasoning_effort", json!("huge")),
        ] {
            let error = read(&json!({field: value})).unwrap_err();
            assert_eq!((error.code(), error.param()), ("invalid_value", Some(field)), "{error}");
        }
    }

    #[test]
    fn the_newer_name_of_the_longest_answer_wins() {
        let chat = read(&json!({"max_tokens": 5, "max_completion_tokens": 7}))
            .unwrap()
            .chat;
        assert_eq!(chat.max_tokens, Some(7));
    }

    #[test]
    fn reasoning_effort_sets_the_switch_unless_the_caller_did() {
        let kwargs = |fields: Value| read(&fields).unwrap().chat.template_kwargs;
        assert_eq!(kwargs(json!({"reasoning_effort": "none"}))["enable_thinking"], false);
        let explicit = json!({"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": true}});
        assert_eq!(kwargs(explicit)["enable_thinking"], true);
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        for field in ["functions", "audio", "guided_json", "best_of", "chat_template"] {
            let error = read(&json!({field: {"a": 1}})).unwrap_err();
            assert_eq!((error.code(), error.param()), ("unsupported_parameter", Some(field)));
        }
        assert!(read(&json!({"modalities": ["text"], "user": "u", "store": true})).is_ok());
    }
}
