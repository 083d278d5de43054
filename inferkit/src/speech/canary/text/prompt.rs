//! The tokens before an answer, which say what is spoken and what is wanted.
//!
//! Source: NeMo 3.0.0, `nemo/collections/common/prompts/canary.py` and `canary2.py`.

use super::slots::PromptSlots;
use super::slots::PromptTask;
use super::tokenizer::CanaryTokenizer;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;

/// The order of a prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum PromptFormat {
    /// `<|startoftranscript|> SOURCE TASK TARGET PNC`
    Canary,
    /// `<|startofcontext|> CONTEXT <|startoftranscript|> EMOTION SOURCE TARGET PNC ITN TIMESTAMP DIARIZE`
    Canary2,
}

/// The language where none is given.
const DEFAULT_LANGUAGE: &str = "en";

impl PromptFormat {
    /// The format that a configuration's `prompt_format` names.
    ///
    /// # Errors
    /// [`Error::BadModel`] of the kind `unsupported_model` for other formats.
    pub(in super::super) fn from_config(name: &str) -> Result<Self> {
        match name {
            "canary" => Ok(Self::Canary),
            "canary2" => Ok(Self::Canary2),
            other => Err(Error::unsupported_model(format!(
                "model_config.yaml: prompt_format is {other:?}; canary and canary2 are supported"
            ))),
        }
    }

    /// The prompt for `slots`, ready for the decoder.
    ///
    /// The task of the format `canary` is not derived from the languages: translating needs
    /// [`PromptTask::Translate`], which callers set when they differ.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a language that the model lacks, or a slot that the format lacks.
    pub(in super::super) fn ids(self, slots: &PromptSlots, tokenizer: &CanaryTokenizer) -> Result<Vec<u32>> {
        match self {
            Self::Canary => canary(slots, tokenizer),
            Self::Canary2 => canary2(slots, tokenizer),
        }
    }
}

fn canary(slots: &PromptSlots, tokenizer: &CanaryTokenizer) -> Result<Vec<u32>> {
    let asked = [
        ("timestamps", slots.timestamps.is_some()),
        ("context", slots.context.is_some()),
        ("emotion", slots.emotion.is_some()),
        ("inverse text normalisation", slots.inverse_text_normalisation.is_some()),
        ("diarization", slots.diarize.is_some()),
    ];
    if let Some((name, _)) = asked.into_iter().find(|(_, asked)| *asked) {
        let message = format!("this model's prompt has no place for {name}; leave it out or take a newer Canary");
        return Err(Error::invalid(RequestFault::UnsupportedParameter, "prompt", message));
    }
    let task = match slots.task {
        None | Some(PromptTask::Transcribe) => "<|transcribe|>",
        Some(PromptTask::Translate) => "<|translate|>",
    };
    let source = language_token(slots.source_language.as_deref());
    let target = language_token(slots.target_language.as_deref());
    let pnc = switch("pnc", slots.punctuation.unwrap_or(true));
    ids_of(tokenizer, &["<|startoftranscript|>", &source, task, &target, &pnc])
}

fn canary2(slots: &PromptSlots, tokenizer: &CanaryTokenizer) -> Result<Vec<u32>> {
    let source = language_token(slots.source_language.as_deref());
    let target = language_token(slots.target_language.as_deref());
    let pnc = switch("pnc", slots.punctuation.unwrap_or(true));
    let itn = switch("itn", slots.inverse_text_normalisation.unwrap_or(false));
    let timestamp = switch("timestamp", slots.timestamps.unwrap_or(false));
    let diarize = switch("diarize", slots.diarize.unwrap_or(false));
    let emotion = slots.emotion.as_deref().unwrap_or("<|emo:undefined|>");
    let context = slots.context.as_deref().unwrap_or_default();
    let begin = ["<|startofcontext|>"];
    let rest = [
        "<|startoftranscript|>",
        emotion,
        &source,
        &target,
        &pnc,
        &itn,
        &timestamp,
        &diarize,
    ];
    let mut ids = ids_of(tokenizer, &begin)?;
    let rest_ids = ids_of(tokenizer, &rest)?;
    if let Some(pieces) = tokenizer.single() {
        // The template is one text for this tokenizer, which puts a mark of its own in front.
        return Ok(pieces.encode(&format!("{}{context}{}", begin.concat(), rest.concat())));
    }
    if !context.is_empty() {
        let language = target.trim_start_matches("<|").trim_end_matches("|>");
        ids.extend(tokenizer.encode(context, language)?);
    }
    ids.extend(rest_ids);
    Ok(ids)
}

/// `<|en|>` for `en`; a token stays as it is.
fn language_token(language: Option<&str>) -> String {
    let language = language.unwrap_or(DEFAULT_LANGUAGE);
    if language.starts_with("<|") {
        language.to_owned()
    } else {
        format!("<|{language}|>")
    }
}

fn switch(name: &str, on: bool) -> String {
    if on {
        format!("<|{name}|>")
    } else {
        format!("<|no{name}|>")
    }
}

/// The ids of special tokens. One that is missing is that of a language: the format's own come with every model.
fn ids_of(tokenizer: &CanaryTokenizer, tokens: &[&str]) -> Result<Vec<u32>> {
    let id = |token: &&str| {
        let name = token.trim_start_matches("<|").trim_end_matches("|>");
        tokenizer.id(token).ok_or_else(|| tokenizer.unsupported_language(name))
    };
    tokens.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn prompts_are_the_golden_ones() {
        for (model, format) in [
            ("canary-1b", "canary"),
            ("canary-1b-flash", "canary2"),
            ("canary-180m-flash", "canary2"),
            ("canary-1b-v2", "canary2"),
        ] {
            let tokenizer = testing::tokenizer(model);
            let format = PromptFormat::from_config(format).unwrap();
            let expected = testing::golden(&format!("{model}.tokenizer.json"));
            let cases = expected["prompts"].as_array().unwrap();
            assert!(cases.len() >= 9, "{model}");
            for case in cases {
                let mut slots = PromptSlots::default();
                for (name, value) in case["slots"].as_object().unwrap() {
                    slots.set(name, value.as_str().unwrap()).unwrap();
                }
                let found = format.ids(&slots, &tokenizer).unwrap();
                assert_eq!(found, testing::ids(&case["ids"]), "{model}: {}", case["slots"]);
            }
        }
    }

    #[test]
    fn a_language_without_a_token_is_an_error() {
        for (model, format) in [
            ("canary-1b", PromptFormat::Canary),
            ("canary-1b-v2", PromptFormat::Canary2),
        ] {
            let slots = PromptSlots {
                target_language: Some("zz".to_owned()),
                ..PromptSlots::default()
            };
            let error = format.ids(&slots, &testing::tokenizer(model)).unwrap_err();
            assert!(
                error.to_string().starts_with("language \"zz\" is not supported"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_prompt_without_a_place_for_times_says_so() {
        let slots = PromptSlots {
            timestamps: Some(true),
            ..PromptSlots::default()
        };
        let error = PromptFormat::Canary
            .ids(&slots, &testing::tokenizer("canary-1b"))
            .unwrap_err();
        assert_eq!(error.code(), "unsupported_parameter");
        assert!(error.to_string().contains("no place for timestamps"), "{error}");
        assert_eq!(
            PromptFormat::from_config("llama2").unwrap_err().code(),
            "unsupported_model"
        );
    }
}
