//! What a caller wants of a transcription, and whether the model can do it.

use inferkit::task::Samples;
use inferkit::task::TimeDetail;
use inferkit::task::TranscriptionCapabilities;
use inferkit::task::TranscriptionRequest;

use crate::error::ApiError;
use crate::error::shown;

/// What a caller wants; `None` is the model's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wishes {
    /// Spoken language, ISO 639-1.
    pub(crate) language: Option<String>,
    /// ISO 639-1 codes of which one is spoken, for models that find it out.
    pub(crate) language_candidates: Vec<String>,
    /// Language of the text, ISO 639-1.
    pub(crate) target_language: Option<String>,
    /// Whether only a model that translates will do, whatever the languages are.
    pub(crate) must_translate: bool,
    /// Case and punctuation.
    pub(crate) punctuation: Option<bool>,
    /// Numbers in digits.
    pub(crate) inverse_text_normalisation: Option<bool>,
    /// How fine the times are.
    pub(crate) times: TimeDetail,
    /// The field that asked for times of words, for a refusal.
    pub(crate) times_field: &'static str,
    /// Whether the probability of each token is wanted.
    pub(crate) token_logprobs: bool,
    /// Text that came before.
    pub(crate) prompt: Option<String>,
    /// Sampling temperature, 0..=1.
    pub(crate) temperature: f32,
}

impl Wishes {
    /// Refuses what the model does not do.
    ///
    /// # Errors
    /// `unsupported_value` with the field and what there is instead; `unsupported_model_task` for a translation by a
    /// model that does not translate at all.
    pub(crate) fn check(&self, able: &TranscriptionCapabilities) -> Result<(), ApiError> {
        self.check_languages(able)?;
        if self.times == TimeDetail::Word && !able.word_times {
            let message = format!(
                "{}: this model gives no times of words; ask for segment",
                self.times_field
            );
            return Err(unsupported(self.times_field, message));
        }
        if self.token_logprobs && !able.token_logprobs {
            let message = "include: this model does not tell log-probabilities of a transcript; leave logprobs out";
            return Err(unsupported("include", message));
        }
        if self.punctuation == Some(false) && !able.punctuation_switch {
            let message = "punctuation: this model always writes it; leave the field out";
            return Err(unsupported("punctuation", message));
        }
        if self.inverse_text_normalisation.is_some() && !able.inverse_text_normalisation_switch {
            let message = "itn: this model has no such switch; leave the field out";
            return Err(unsupported("itn", message));
        }
        Ok(())
    }

    fn check_languages(&self, able: &TranscriptionCapabilities) -> Result<(), ApiError> {
        if let Some(language) = &self.language
            && !able.languages.contains(language)
        {
            let message = format!(
                "language is {}; this model understands {}",
                shown(language),
                able.languages.join(", ")
            );
            return Err(unsupported("language", message));
        }
        let finds_out = able.default_language.is_none();
        let candidates = self.language_candidates.iter().filter(|_| finds_out);
        if let Some(unknown) = candidates.into_iter().find(|code| !able.languages.contains(code)) {
            let message = format!(
                "languages holds {}; this model understands {}",
                shown(unknown),
                able.languages.join(", ")
            );
            return Err(unsupported("languages", message));
        }
        let Some(target) = &self.target_language else {
            return Ok(());
        };
        let source = self.language.as_ref().or(able.default_language.as_ref());
        let is_same = source == Some(target);
        if able.translations.is_empty() && (self.must_translate || !is_same) {
            let message = "this model does not translate; name one that does";
            return Err(ApiError::new("unsupported_model_task", message).with_param("model"));
        }
        if is_same {
            return Ok(());
        }
        let fits = |(from, to): &(String, String)| to == target && source.is_none_or(|source| source == from);
        if able.translations.iter().any(fits) {
            return Ok(());
        }
        let mut targets: Vec<&str> = able
            .translations
            .iter()
            .filter(|(from, _)| source.is_none_or(|source| source == from))
            .map(|(_, to)| to.as_str())
            .collect();
        targets.sort_unstable();
        targets.dedup();
        let message = format!(
            "target_language is {}; from this language the model translates to {}",
            shown(target),
            if targets.is_empty() {
                "none".to_owned()
            } else {
                targets.join(", ")
            }
        );
        Err(unsupported("target_language", message))
    }

    /// The request for a recording.
    pub(crate) fn request(&self, samples: Samples) -> TranscriptionRequest {
        let mut request = TranscriptionRequest::new(samples).with_times(self.times);
        request.language.clone_from(&self.language);
        request.language_candidates.clone_from(&self.language_candidates);
        request.target_language.clone_from(&self.target_language);
        request.punctuation = self.punctuation;
        request.inverse_text_normalisation = self.inverse_text_normalisation;
        request.prompt.clone_from(&self.prompt);
        request.temperature = self.temperature;
        request
    }
}

fn unsupported(param: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new("unsupported_value", message).with_param(param)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able() -> TranscriptionCapabilities {
        let mut able = TranscriptionCapabilities::default();
        able.languages = ["en", "fr", "de"].map(str::to_owned).to_vec();
        able.translations = vec![("fr".to_owned(), "en".to_owned()), ("en".to_owned(), "de".to_owned())];
        able.default_language = Some("en".to_owned());
        able
    }

    fn refusal(wishes: &Wishes, able: &TranscriptionCapabilities) -> Option<(&'static str, String)> {
        let error = wishes.check(able).err()?;
        Some((error.code, error.param.unwrap_or_default()))
    }

    fn wishes(language: &str, target: &str) -> Wishes {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Wishes {
            language: given(language),
            target_language: given(target),
            ..Wishes::default()
        }
    }

    #[test]
    fn languages_and_pairs_are_those_of_the_model() {
        for (language, target) in [("", ""), ("fr", ""), ("fr", "fr"), ("fr", "en"), ("", "de"), ("", "en")] {
            assert_eq!(refusal(&wishes(language, target), &able()), None, "{language} {target}");
        }
        for (language, target, param) in [("xx", "", "language"), ("fr", "de", "target_language")] {
            let expected = Some(("unsupported_value", param.to_owned()));
            assert_eq!(
                refusal(&wishes(language, target), &able()),
                expected,
                "{language} {target}"
            );
        }
        let mut plain = able();
        plain.translations.clear();
        let expected = Some(("unsupported_model_task", "model".to_owned()));
        assert_eq!(refusal(&wishes("fr", "en"), &plain), expected);
        let translation = Wishes {
            must_translate: true,
            ..wishes("", "en")
        };
        assert_eq!(
            refusal(&translation, &plain),
            expected,
            "English already, and no translator"
        );
        assert_eq!(refusal(&translation, &able()), None);
    }

    #[test]
    fn candidates_are_those_of_a_model_that_finds_the_language_out() {
        let among = |codes: &[&str]| Wishes {
            language_candidates: codes.iter().map(|code| (*code).to_owned()).collect(),
            ..Wishes::default()
        };
        let mut finds_out = able();
        finds_out.default_language = None;
        assert_eq!(refusal(&among(&["fr", "de"]), &finds_out), None);
        let expected = Some(("unsupported_value", "languages".to_owned()));
        assert_eq!(refusal(&among(&["fr", "xx"]), &finds_out), expected);
        assert_eq!(refusal(&among(&["xx"]), &able()), None, "a hint that it does without");
    }

    #[test]
    fn a_switch_that_is_not_there_is_refused_only_when_it_is_turned() {
        let words = Wishes {
            times: TimeDetail::Word,
            times_field: "timestamps",
            ..Wishes::default()
        };
        assert_eq!(
            refusal(&words, &able()),
            Some(("unsupported_value", "timestamps".to_owned()))
        );
        let logprobs = Wishes {
            token_logprobs: true,
            ..Wishes::default()
        };
        assert_eq!(
            refusal(&logprobs, &able()),
            Some(("unsupported_value", "include".to_owned()))
        );
        let as_ever = Wishes {
            punctuation: Some(true),
            ..Wishes::default()
        };
        assert_eq!(refusal(&as_ever, &able()), None);
        let bare = Wishes {
            punctuation: Some(false),
            ..Wishes::default()
        };
        assert_eq!(
            refusal(&bare, &able()),
            Some(("unsupported_value", "punctuation".to_owned()))
        );
    }
}
