//! The fields of a form, checked.

use inferkit::task::TimeDetail;
use serde_json::Value;

use crate::body::Fields;
use crate::body::not_one_of;
use crate::error::ApiError;
use crate::routes::audio::Wishes;

/// Longest prompt.
const MAX_PROMPT_BYTES: usize = 4096;

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Text,
    Srt,
    Vtt,
    Verbose,
    Diarized,
}

const FORMATS: &[(&str, Format)] = &[
    ("json", Format::Json),
    ("text", Format::Text),
    ("srt", Format::Srt),
    ("vtt", Format::Vtt),
    ("verbose_json", Format::Verbose),
    ("diarized_json", Format::Diarized),
];

/// What a caller asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) model: Option<String>,
    pub(super) format: Format,
    pub(super) stream: bool,
    pub(super) wishes: Wishes,
}

impl Wanted {
    /// Takes the fields of a transcription.
    ///
    /// # Errors
    /// By field, for what is wrong, contradicts something else or is not offered.
    pub(super) fn transcription(fields: &mut Fields) -> Result<Self, ApiError> {
        let format = fields.one_of("response_format", FORMATS)?.unwrap_or(Format::Json);
        let stream = fields.flag("stream")?.unwrap_or_default();
        if stream && !matches!(format, Format::Json | Format::Text | Format::Diarized) {
            let message = "stream goes with response_format json, text and diarized_json; leave out one of them";
            return Err(ApiError::invalid_value("stream", message));
        }
        let token_logprobs = includes_logprobs(fields, format)?;
        let times = granularities(fields, format)?;
        refuse_what_is_not_offered(fields)?;
        check_chunking(fields)?;
        // Words to look out for: a hint that no model here takes.
        fields.take_all("keywords");
        Ok(Self {
            model: fields.take("model")?,
            format,
            stream,
            wishes: Wishes {
                language: fields.take("language")?,
                language_candidates: fields.take_all("languages"),
                times,
                times_field: "timestamp_granularities",
                token_logprobs,
                ..hints(fields)?
            },
        })
    }

    /// Takes the fields of a translation to English.
    ///
    /// # Errors
    /// As [`Wanted::transcription`].
    pub(super) fn translation(fields: &mut Fields) -> Result<Self, ApiError> {
        for name in [
            "language",
            "stream",
            "timestamp_granularities",
            "include",
            "chunking_strategy",
        ] {
            if !fields.take_all(name).is_empty() {
                let message = format!("{name} is not part of a translation; leave it out or use /api/audio/transcribe");
                return Err(ApiError::unsupported_parameter(name, message));
            }
        }
        let format = fields.one_of("response_format", FORMATS)?.unwrap_or(Format::Json);
        if format == Format::Diarized {
            let formats: Vec<_> = FORMATS
                .iter()
                .filter(|(_, format)| *format != Format::Diarized)
                .collect();
            let words: Vec<(&str, ())> = formats.iter().map(|(word, _)| (*word, ())).collect();
            return Err(not_one_of("response_format", "diarized_json", &words));
        }
        Ok(Self {
            model: fields.take("model")?,
            format,
            stream: false,
            wishes: Wishes {
                target_language: Some("en".to_owned()),
                must_translate: true,
                times: times_of(format),
                ..hints(fields)?
            },
        })
    }
}

/// Prompt and temperature.
fn hints(fields: &mut Fields) -> Result<Wishes, ApiError> {
    let prompt = fields.take("prompt")?;
    if prompt.as_ref().is_some_and(|prompt| prompt.len() > MAX_PROMPT_BYTES) {
        let message = format!("prompt is longer than {MAX_PROMPT_BYTES} bytes; send its end");
        return Err(ApiError::invalid_value("prompt", message));
    }
    Ok(Wishes {
        prompt,
        temperature: fields.number("temperature", 0.0..=1.0)?.unwrap_or_default(),
        ..Wishes::default()
    })
}

/// How fine times must be for the format alone. Where none are told, none are asked for: an aligner is a second network, and tells
/// whole sentences only.
const fn times_of(format: Format) -> TimeDetail {
    match format {
        Format::Json | Format::Text => TimeDetail::None,
        Format::Srt | Format::Vtt | Format::Verbose | Format::Diarized => TimeDetail::Segment,
    }
}

fn granularities(fields: &mut Fields, format: Format) -> Result<TimeDetail, ApiError> {
    const NAME: &str = "timestamp_granularities";
    let mut times = times_of(format);
    for value in fields.take_all(NAME) {
        if format != Format::Verbose {
            let message = format!("{NAME} goes with response_format verbose_json only; leave it out");
            return Err(ApiError::invalid_value(NAME, message));
        }
        match value.as_str() {
            "segment" => {}
            "word" => times = TimeDetail::Word,
            _ => return Err(not_one_of(NAME, &value, &[("segment", ()), ("word", ())])),
        }
    }
    Ok(times)
}

/// Whether the answer is to hold the probability of each token.
fn includes_logprobs(fields: &mut Fields, format: Format) -> Result<bool, ApiError> {
    let wanted = fields.take_all("include");
    if wanted.iter().any(|value| value != "logprobs") || !wanted.is_empty() && format != Format::Json {
        let message = "include takes logprobs, with response_format json; leave it out";
        return Err(ApiError::invalid_value("include", message));
    }
    Ok(!wanted.is_empty())
}

fn refuse_what_is_not_offered(fields: &mut Fields) -> Result<(), ApiError> {
    for name in ["known_speaker_names", "known_speaker_references"] {
        if !fields.take_all(name).is_empty() {
            let message = format!("{name}: speakers cannot be recognised by samples of their voices; leave it out");
            return Err(ApiError::unsupported_parameter(name, message));
        }
    }
    Ok(())
}

/// `auto`, JSON text, or fields of its own as some clients send an object; all mean what is done anyway.
fn check_chunking(fields: &mut Fields) -> Result<(), ApiError> {
    const NAME: &str = "chunking_strategy";
    fields.take_nested(NAME);
    let Some(value) = fields.take(NAME)? else { return Ok(()) };
    let kind = serde_json::from_str::<Value>(&value).ok();
    let kind = kind
        .as_ref()
        .and_then(|value| value.get("type"))
        .and_then(Value::as_str);
    if value == "auto" || matches!(kind, Some("auto" | "server_vad")) {
        return Ok(());
    }
    let message = format!("{NAME} is neither auto nor an object of the type server_vad");
    Err(ApiError::invalid_value(NAME, message))
}

/// What the fuzzer calls: the fields of a form as both routes take them.
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing {
    use super::ApiError;
    use super::Fields;
    use super::Wanted;

    /// The names that `/v1/audio/transcriptions` leaves over.
    pub(crate) fn transcription(mut fields: Fields) -> Result<Vec<String>, ApiError> {
        Wanted::transcription(&mut fields)?;
        Ok(fields.unknown())
    }

    /// The names that `/v1/audio/translations` leaves over.
    pub(crate) fn translation(mut fields: Fields) -> Result<Vec<String>, ApiError> {
        Wanted::translation(&mut fields)?;
        Ok(fields.unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push((*name).to_owned(), (*value).to_owned());
        }
        fields
    }

    fn refusal(pairs: &[(&str, &str)]) -> (&'static str, String) {
        let error = Wanted::transcription(&mut fields(pairs)).unwrap_err();
        (error.code, error.param.unwrap_or_default())
    }

    #[test]
    fn nothing_asked_for_is_plain_json_without_times() {
        let wanted = Wanted::transcription(&mut fields(&[])).unwrap();
        assert_eq!(
            (wanted.format, wanted.stream, wanted.wishes.times),
            (Format::Json, false, TimeDetail::None)
        );
    }

    #[test]
    fn what_the_clients_send_is_all_taken() {
        let mut all = fields(&[
            ("model", "canary"),
            ("language", "de"),
            ("prompt", "Berlin"),
            ("temperature", "0.2"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[threshold]", "0.5"),
            ("languages[]", "de"),
            ("keywords[]", "Spree"),
            ("user", "x"),
        ]);
        let wanted = Wanted::transcription(&mut all).unwrap();
        assert_eq!(
            (wanted.format, wanted.wishes.times),
            (Format::Verbose, TimeDetail::Word)
        );
        assert!((wanted.wishes.temperature - 0.2).abs() < 1e-6);
        assert_eq!(all.unknown(), ["user"]);
        for strategy in ["auto", r#"{"type":"server_vad","threshold":0.5}"#] {
            Wanted::transcription(&mut fields(&[("chunking_strategy", strategy)])).unwrap();
        }
    }

    #[test]
    fn probabilities_are_asked_for_without_times_streamed_or_not() {
        for stream in ["false", "true"] {
            let wanted = Wanted::transcription(&mut fields(&[("include[]", "logprobs"), ("stream", stream)])).unwrap();
            assert!(wanted.wishes.token_logprobs);
            assert_eq!(wanted.wishes.times, TimeDetail::None, "stream: {stream}");
        }
    }

    #[test]
    fn what_does_not_go_together_or_is_not_offered_is_named() {
        let invalid = |param: &str| ("invalid_value", param.to_owned());
        assert_eq!(refusal(&[("response_format", "xml")]), invalid("response_format"));
        assert_eq!(
            refusal(&[("stream", "true"), ("response_format", "srt")]),
            invalid("stream")
        );
        assert_eq!(
            refusal(&[("timestamp_granularities[]", "word")]),
            invalid("timestamp_granularities")
        );
        assert_eq!(refusal(&[("temperature", "1.5")]), invalid("temperature"));
        assert_eq!(refusal(&[("chunking_strategy", "none")]), invalid("chunking_strategy"));
        assert_eq!(refusal(&[("include[]", "tokens")]), invalid("include"));
        let with_times = [("include[]", "logprobs"), ("response_format", "verbose_json")];
        assert_eq!(refusal(&with_times), invalid("include"));
        let known = ("unsupported_parameter", "known_speaker_names".to_owned());
        assert_eq!(refusal(&[("known_speaker_names[]", "Ann")]), known);
        assert_eq!(refusal(&[("prompt", &"x".repeat(5_000))]), invalid("prompt"));
    }

    #[test]
    fn a_translation_takes_less() {
        let wanted = Wanted::translation(&mut fields(&[("response_format", "srt")])).unwrap();
        assert_eq!(wanted.wishes.target_language.as_deref(), Some("en"));
        for (name, value) in [
            ("language", "de"),
            ("stream", "true"),
            ("timestamp_granularities[]", "word"),
        ] {
            let error = Wanted::translation(&mut fields(&[(name, value)])).unwrap_err();
            assert_eq!(error.code, "unsupported_parameter", "{name}");
        }
        let error = Wanted::translation(&mut fields(&[("response_format", "diarized_json")])).unwrap_err();
        assert_eq!(error.code, "invalid_value");
    }
}
