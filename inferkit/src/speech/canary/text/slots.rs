//! What a prompt is filled in with.

use serde_json::Value;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;

/// Values for a prompt; those that are `None` take the model's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct PromptSlots {
    /// Language that is spoken: a code such as `en`, or the token `<|en|>`.
    pub(in super::super) source_language: Option<String>,
    /// Language of the text, likewise.
    pub(in super::super) target_language: Option<String>,
    /// What to do. Only the format `canary` has a token for it; the other derives it from the languages.
    pub(in super::super) task: Option<PromptTask>,
    /// Whether the text has case and punctuation.
    pub(in super::super) punctuation: Option<bool>,
    /// Whether numbers are written in digits.
    pub(in super::super) inverse_text_normalisation: Option<bool>,
    /// Whether the decoder writes times between words.
    pub(in super::super) timestamps: Option<bool>,
    /// Whether the decoder marks speakers.
    pub(in super::super) diarize: Option<bool>,
    /// Mood of the speaker, one of five tokens such as `<|emo:neutral|>`.
    pub(in super::super) emotion: Option<String>,
    /// Text that came before.
    pub(in super::super) context: Option<String>,
}

/// What the model does with the speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum PromptTask {
    /// Writes it down.
    Transcribe,
    /// Translates it.
    Translate,
}

/// Moods that the format `canary2` knows.
const EMOTIONS: [&str; 5] = [
    "<|emo:undefined|>",
    "<|emo:neutral|>",
    "<|emo:happy|>",
    "<|emo:sad|>",
    "<|emo:angry|>",
];

impl PromptSlots {
    /// Reads `prompt_defaults` of a configuration: the slots of the role `user`. Absent, null and interpolated values
    /// are no defaults.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a value that the slot does not take.
    pub(in super::super) fn from_config(prompt_defaults: &Value) -> Result<Self> {
        let mut slots = Self::default();
        let roles = prompt_defaults.as_array().map(Vec::as_slice).unwrap_or_default();
        for role in roles.iter().filter(|role| role["role"] == "user") {
            let Some(values) = role["slots"].as_object() else {
                continue;
            };
            for (name, value) in values {
                let text = match value {
                    Value::String(text) if !text.contains("${") => text.clone(),
                    Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
                    Value::Number(number) => number.to_string(),
                    _ => continue,
                };
                slots.set(name, &text).map_err(|error| {
                    let message = format!("model_config.yaml: prompt_defaults: {error}");
                    Error::bad_model(message)
                })?;
            }
        }
        Ok(slots)
    }

    /// Fills the slot `name` as NeMo spells names and values.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a slot or a value that there is not.
    pub(in super::super) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "source_lang" => self.source_language = Some(value.to_owned()),
            "target_lang" => self.target_language = Some(value.to_owned()),
            "decodercontext" | "context" => self.context = Some(value.to_owned()),
            "task" | "taskname" => self.task = Some(task(value)?),
            "pnc" => self.punctuation = Some(switch(name, value)?),
            "itn" => self.inverse_text_normalisation = Some(switch(name, value)?),
            "timestamp" => self.timestamps = Some(switch(name, value)?),
            "diarize" => self.diarize = Some(switch(name, value)?),
            "emotion" if EMOTIONS.contains(&value) => self.emotion = Some(value.to_owned()),
            "emotion" => return Err(unsupported(name, value, &EMOTIONS.join(", "))),
            _ => {
                let message = format!("there is no slot {name:?} in a prompt of this model");
                return Err(Error::invalid(RequestFault::UnsupportedParameter, "prompt", message));
            }
        }
        Ok(())
    }

    /// These values, and those of `defaults` where there are none.
    #[must_use]
    pub(in super::super) fn or(self, defaults: &Self) -> Self {
        Self {
            source_language: self.source_language.or_else(|| defaults.source_language.clone()),
            target_language: self.target_language.or_else(|| defaults.target_language.clone()),
            task: self.task.or(defaults.task),
            punctuation: self.punctuation.or(defaults.punctuation),
            inverse_text_normalisation: self.inverse_text_normalisation.or(defaults.inverse_text_normalisation),
            timestamps: self.timestamps.or(defaults.timestamps),
            diarize: self.diarize.or(defaults.diarize),
            emotion: self.emotion.or_else(|| defaults.emotion.clone()),
            context: self.context.or_else(|| defaults.context.clone()),
        }
    }
}

/// The words for a task, and its tokens.
fn task(value: &str) -> Result<PromptTask> {
    match value {
        "asr" | "transcribe" | "<|transcribe|>" => Ok(PromptTask::Transcribe),
        "ast" | "translate" | "s2t_translation" | "<|translate|>" => Ok(PromptTask::Translate),
        _ => Err(unsupported("task", value, "asr, ast")),
    }
}

/// The words for a switch, and its two tokens. `Yes` means no, as in NeMo, whose list of words for yes lacks it.
fn switch(name: &str, value: &str) -> Result<bool> {
    let (on, off) = (format!("<|{name}|>"), format!("<|no{name}|>"));
    match value {
        "yes" | "1" | "True" | "true" => Ok(true),
        "Yes" | "no" | "No" | "false" | "False" | "0" => Ok(false),
        _ if value == name || value == on => Ok(true),
        _ if value.strip_prefix("no") == Some(name) || value == off => Ok(false),
        _ => Err(unsupported(name, value, "yes, no")),
    }
}

fn unsupported(name: &str, value: &str, known: &str) -> Error {
    let message = format!("{name} is {value:?}; choose one of {known}");
    Error::invalid(RequestFault::UnsupportedValue, "prompt", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_a_configuration_fill_what_the_caller_left_open() {
        let defaults = json!([
            {"role": "user", "slots": {"source_lang": "de", "pnc": "<|nopnc|>", "itn": true, "emotion": null, "target_lang": "${x}"}},
            {"role": "user_partial", "slots": {"source_lang": "fr"}},
        ]);
        let defaults = PromptSlots::from_config(&defaults).unwrap();
        let asked = PromptSlots {
            punctuation: Some(true),
            ..PromptSlots::default()
        };
        let slots = asked.or(&defaults);
        assert_eq!(slots.source_language.as_deref(), Some("de"));
        assert_eq!(
            (slots.punctuation, slots.inverse_text_normalisation),
            (Some(true), Some(true))
        );
        assert_eq!((slots.emotion, slots.target_language), (None, None));
        for none in [json!(null), json!([]), json!([{"role": "user"}])] {
            assert_eq!(PromptSlots::from_config(&none).unwrap(), PromptSlots::default());
        }
    }

    #[test]
    fn a_switch_takes_the_words_that_the_original_takes() {
        for (value, expected) in [
            ("yes", true),
            ("True", true),
            ("1", true),
            ("itn", true),
            ("<|itn|>", true),
            ("Yes", false),
            ("0", false),
            ("noitn", false),
            ("<|noitn|>", false),
        ] {
            assert_eq!(switch("itn", value).unwrap(), expected, "{value}");
        }
        assert!(switch("itn", "pnc").is_err() && switch("itn", "").is_err());
    }

    #[test]
    fn slots_and_values_that_there_are_not_are_errors_that_say_what_there_is() {
        let mut slots = PromptSlots::default();
        let error = slots.set("task", "summarise").unwrap_err();
        assert_eq!(error.to_string(), "task is \"summarise\"; choose one of asr, ast");
        assert_eq!(slots.set("emotion", "happy").unwrap_err().code(), "unsupported_value");
        assert_eq!(slots.set("colour", "red").unwrap_err().code(), "unsupported_parameter");
        let broken = json!([{"role": "user", "slots": {"pnc": "perhaps"}}]);
        assert_eq!(PromptSlots::from_config(&broken).unwrap_err().code(), "bad_model");
    }
}
