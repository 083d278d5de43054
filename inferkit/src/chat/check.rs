//! Bounds of a request's numbers and lists, found before any work is done for it.
//!
//! Names of fields are those of the HTTP interface, which most callers come from.
//! NaN fails every bound. Whether the prompt fits is the engine's to say, whether the conversation makes
//! sense the text layer's.

use std::ops::RangeInclusive;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::ChatRequest;
use crate::task::Sampling;
use crate::task::StopRules;

/// Most answers to one request. All of one step have to fit the way to the reader.
const MOST_CHOICES: usize = 8;
const MOST_TOP_LOGPROBS: usize = 20;
const MOST_BIASES: usize = 1024;
const MOST_STOP_STRINGS: usize = 16;
const LONGEST_STOP_STRING: usize = 256;
const MOST_TOOLS: usize = 128;

/// Checks all bounds of a request to a model with `vocabulary` tokens.
///
/// # Errors
/// [`Error::InvalidRequest`] naming the field, what it holds and what it may hold.
pub(super) fn check(request: &ChatRequest, vocabulary: usize) -> Result<()> {
    check_sampling(&request.sampling, vocabulary)?;
    check_stop(&request.stop, vocabulary)?;
    at_most("n", request.choices.get(), MOST_CHOICES)?;
    at_most("top_logprobs", request.logprobs.unwrap_or(0), MOST_TOP_LOGPROBS)?;
    at_most("tools", request.tools.len(), MOST_TOOLS)?;
    if request.max_tokens == Some(0) {
        return Err(invalid("max_tokens", "max_tokens is 0; give 1 or more".to_owned()));
    }
    if request.max_tokens.is_some_and(|most| request.stop.min_tokens > most) {
        let min_tokens = request.stop.min_tokens;
        return Err(invalid(
            "min_tokens",
            format!("min_tokens is {min_tokens}, which is more than max_tokens"),
        ));
    }
    Ok(())
}

fn check_sampling(sampling: &Sampling, vocabulary: usize) -> Result<()> {
    within("temperature", sampling.temperature, 0.0..=2.0)?;
    above_zero("top_p", sampling.top_p, 1.0)?;
    within("min_p", sampling.min_p, 0.0..=1.0)?;
    above_zero("repetition_penalty", sampling.repetition_penalty, f32::MAX)?;
    within("frequency_penalty", sampling.frequency_penalty, -2.0..=2.0)?;
    within("presence_penalty", sampling.presence_penalty, -2.0..=2.0)?;
    at_most("logit_bias", sampling.logit_bias.len(), MOST_BIASES)?;
    for &(token, bias) in &sampling.logit_bias {
        in_vocabulary("logit_bias", token, vocabulary)?;
        within("logit_bias", Some(bias), -100.0..=100.0)?;
    }
    Ok(())
}

fn check_stop(stop: &StopRules, vocabulary: usize) -> Result<()> {
    at_most("stop", stop.strings.len(), MOST_STOP_STRINGS)?;
    if let Some(wrong) = stop
        .strings
        .iter()
        .find(|text| !(1..=LONGEST_STOP_STRING).contains(&text.len()))
    {
        let message = format!(
            "a stop string has {} bytes; give strings of 1 to {LONGEST_STOP_STRING} bytes",
            wrong.len()
        );
        return Err(invalid("stop", message));
    }
    stop.token_ids
        .iter()
        .try_for_each(|&token| in_vocabulary("stop_token_ids", token, vocabulary))
}

fn within(field: &'static str, value: Option<f32>, range: RangeInclusive<f32>) -> Result<()> {
    match value {
        Some(value) if !range.contains(&value) => Err(invalid(
            field,
            format!("{field} is {value}; give {} to {}", range.start(), range.end()),
        )),
        Some(_) | None => Ok(()),
    }
}

fn above_zero(field: &'static str, value: Option<f32>, most: f32) -> Result<()> {
    match value {
        Some(value) if value > 0.0 && value <= most => Ok(()),
        Some(value) if most < f32::MAX => Err(invalid(
            field,
            format!("{field} is {value}; give a number above 0 and up to {most}"),
        )),
        Some(value) => Err(invalid(field, format!("{field} is {value}; give a number above 0"))),
        None => Ok(()),
    }
}

fn at_most(field: &'static str, value: usize, most: usize) -> Result<()> {
    if value <= most {
        Ok(())
    } else {
        Err(invalid(
            field,
            format!("{field}: {value} is too many; give at most {most}"),
        ))
    }
}

fn in_vocabulary(field: &'static str, token: u32, vocabulary: usize) -> Result<()> {
    let is_known = usize::try_from(token).is_ok_and(|token| token < vocabulary);
    if is_known {
        return Ok(());
    }
    Err(invalid(
        field,
        format!("{field}: the model has no token {token}; give ids below {vocabulary}"),
    ))
}

fn invalid(field: &'static str, message: String) -> Error {
    Error::invalid(RequestFault::InvalidValue, field, message)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::task::Message;
    use crate::task::Tool;

    /// A field and how to put it out of bounds.
    type Case = (&'static str, fn(&mut Sampling));

    fn verdict(change: impl FnOnce(&mut ChatRequest)) -> Result<()> {
        let mut request = ChatRequest::new(vec![Message::user("hello")]);
        change(&mut request);
        check(&request, 100)
    }

    fn refusal(change: impl FnOnce(&mut ChatRequest)) -> (String, String) {
        let error = verdict(change).expect_err("the request is out of bounds");
        assert_eq!(error.code(), "invalid_value");
        (error.param().unwrap_or_default().to_owned(), error.to_string())
    }

    #[test]
    fn a_request_at_the_bounds_passes() {
        verdict(|_| {}).unwrap();
        verdict(|request| {
            request.sampling.temperature = Some(2.0);
            request.sampling.top_p = Some(1.0);
            request.sampling.min_p = Some(0.0);
            request.sampling.repetition_penalty = Some(0.1);
            request.sampling.frequency_penalty = Some(-2.0);
            request.sampling.presence_penalty = Some(2.0);
            request.sampling.logit_bias = vec![(99, -100.0); 1024];
            request.stop.strings = vec!["x".repeat(256); 16];
            request.stop.token_ids = vec![99];
            request.stop.min_tokens = 5;
            request.max_tokens = Some(5);
            request.logprobs = Some(20);
            request.choices = NonZeroUsize::new(8).unwrap();
        })
        .unwrap();
    }

    #[test]
    fn each_number_out_of_bounds_is_named_with_its_bounds() {
        let cases: [Case; 8] = [
            ("temperature", |sampling| sampling.temperature = Some(2.1)),
            ("temperature", |sampling| sampling.temperature = Some(f32::NAN)),
            ("top_p", |sampling| sampling.top_p = Some(0.0)),
            ("min_p", |sampling| sampling.min_p = Some(-0.1)),
            ("repetition_penalty", |sampling| {
                sampling.repetition_penalty = Some(f32::INFINITY);
            }),
            ("frequency_penalty", |sampling| sampling.frequency_penalty = Some(3.0)),
            ("presence_penalty", |sampling| sampling.presence_penalty = Some(-3.0)),
            ("logit_bias", |sampling| sampling.logit_bias = vec![(1, 101.0)]),
        ];
        for (field, change) in cases {
            let (param, message) = refusal(|request| change(&mut request.sampling));
            assert_eq!(param, field);
            assert!(message.starts_with(field) && message.contains("give "), "{message}");
        }
    }

    #[test]
    fn tokens_that_the_model_does_not_have_are_refused() {
        assert_eq!(
            refusal(|request| request.sampling.logit_bias = vec![(100, 1.0)]).0,
            "logit_bias"
        );
        let (param, message) = refusal(|request| request.stop.token_ids = vec![100]);
        assert_eq!(param, "stop_token_ids");
        assert_eq!(
            message,
            "stop_token_ids: the model has no token 100; give ids below 100"
        );
    }

    #[test]
    fn lists_and_counts_have_their_most() {
        let eight = NonZeroUsize::new(9).unwrap();
        assert_eq!(refusal(|request| request.choices = eight).0, "n");
        assert_eq!(refusal(|request| request.logprobs = Some(21)).0, "top_logprobs");
        assert_eq!(refusal(|request| request.tools = vec![Tool::new("f"); 129]).0, "tools");
        assert_eq!(
            refusal(|request| request.stop.strings = vec!["x".to_owned(); 17]).0,
            "stop"
        );
        assert_eq!(refusal(|request| request.stop.strings = vec![String::new()]).0, "stop");
        assert_eq!(
            refusal(|request| request.stop.strings = vec!["x".repeat(257)]).0,
            "stop"
        );
        assert_eq!(
            refusal(|request| request.sampling.logit_bias = vec![(1, 1.0); 1025]).0,
            "logit_bias"
        );
        assert_eq!(refusal(|request| request.max_tokens = Some(0)).0, "max_tokens");
        let more_than_most = |request: &mut ChatRequest| {
            request.stop.min_tokens = 6;
            request.max_tokens = Some(5);
        };
        assert_eq!(refusal(more_than_most).0, "min_tokens");
    }
}
