//! A Whisper in memory: checks of a request in front of the engine.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::config::WhisperConfig;
use super::engine::Engine;
use super::engine::Recording;
use super::engine::Task;
use super::tokens::WhisperTokens;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::QueueDepth;
use crate::task::TranscriptionCapabilities;
use crate::task::TranscriptionModel;
use crate::task::TranscriptionRequest;
use crate::task::TranscriptionStream;

/// Tried one after another until a text is believed (openai/whisper, `transcribe.py`).
const TEMPERATURES: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];

/// Longest prompt that is read, in bytes: far beyond the tokens of it that are told.
const LONGEST_PROMPT: usize = 64 << 10;

/// What is needed to check a request, and the engine behind it.
pub(super) struct Transcriber {
    tokens: Arc<WhisperTokens>,
    is_multilingual: bool,
    engine: Engine,
}

impl Transcriber {
    /// Puts the two together.
    pub(super) const fn new(tokens: Arc<WhisperTokens>, config: &WhisperConfig, engine: Engine) -> Self {
        Self {
            tokens,
            is_multilingual: config.is_multilingual,
            engine,
        }
    }

    /// What a request asks the engine for, but for the recording's loudness.
    fn asked(&self, request: &TranscriptionRequest) -> Result<(Option<String>, Task)> {
        let language = request.language.as_deref();
        if let Some(unknown) = language.filter(|code| !self.knows(code)) {
            let hint = if self.is_multilingual {
                "give an ISO 639-1 code such as \"en\", or none to let the model find out"
            } else {
                "it understands English only; choose a multilingual model"
            };
            let message = format!("language {unknown:?} is not known to this model: {hint}");
            return Err(Error::invalid(RequestFault::UnsupportedValue, "language", message));
        }
        if let Some(unknown) = request.language_candidates.iter().find(|code| !self.knows(code)) {
            let message =
                format!("the candidate {unknown:?} is not known to this model: give codes of ISO 639-1 such as \"en\"");
            return Err(Error::invalid(RequestFault::UnsupportedValue, "languages", message));
        }
        let task = match request.target_language.as_deref() {
            None => Task::Transcribe,
            Some(target) if language == Some(target) => Task::Transcribe,
            Some("en") => Task::Translate,
            Some(target) => {
                let message = format!("this model translates to English only, not to {target:?}; leave the target out");
                return Err(Error::invalid(
                    RequestFault::UnsupportedValue,
                    "target_language",
                    message,
                ));
            }
        };
        for (field, wanted) in [
            ("punctuation", request.punctuation),
            ("itn", request.inverse_text_normalisation),
        ] {
            if wanted == Some(false) {
                let message = format!("{field} cannot be switched off with this model; leave the field out");
                return Err(Error::invalid(RequestFault::UnsupportedValue, field, message));
            }
        }
        Ok((language.map(str::to_owned), task))
    }

    fn knows(&self, code: &str) -> bool {
        if self.is_multilingual {
            self.tokens.special().language(code).is_some()
        } else {
            code == "en"
        }
    }

    fn prompt(&self, request: &TranscriptionRequest) -> Result<Vec<u32>> {
        let prompt = request.prompt.as_deref().map(str::trim).unwrap_or_default();
        if prompt.len() > LONGEST_PROMPT {
            let message = format!(
                "the prompt has {} bytes; at most {LONGEST_PROMPT} are read",
                prompt.len()
            );
            return Err(Error::invalid(RequestFault::InvalidValue, "prompt", message));
        }
        if prompt.is_empty() {
            return Ok(Vec::new());
        }
        self.tokens.encode(&format!(" {prompt}"))
    }
}

/// The temperatures that a request asks for.
fn temperatures(request: &TranscriptionRequest) -> Result<Vec<f32>> {
    match request.temperature {
        0.0 => Ok(TEMPERATURES.to_vec()),
        temperature if (0.0..=1.0).contains(&temperature) => Ok(vec![temperature]),
        temperature => {
            let message = format!("temperature is {temperature}; give a number from 0 to 1");
            Err(Error::invalid(RequestFault::InvalidValue, "temperature", message))
        }
    }
}

#[async_trait]
impl TranscriptionModel for Transcriber {
    fn capabilities(&self) -> TranscriptionCapabilities {
        let english = || "en".to_owned();
        let languages: Vec<String> = if self.is_multilingual {
            let known = self.tokens.special().languages.iter();
            known.map(|(code, _)| code.clone()).collect()
        } else {
            vec![english()]
        };
        TranscriptionCapabilities {
            translations: languages
                .iter()
                .filter(|code| *code != "en")
                .map(|code| (code.clone(), english()))
                .collect(),
            languages,
            default_language: (!self.is_multilingual).then(english),
            word_times: true,
            punctuation_switch: false,
            inverse_text_normalisation_switch: false,
            token_logprobs: true,
        }
    }

    fn queue(&self) -> Option<QueueDepth> {
        Some(self.engine.queue())
    }

    async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream> {
        let (language, task) = self.asked(&request)?;
        let temperatures = temperatures(&request)?;
        let prompt = self.prompt(&request)?;
        // Measuring an hour of sound takes a second that an async worker does not have.
        let (mel, samples) = (Arc::clone(self.engine.mel()), Arc::clone(&request.samples));
        let loudest = tokio::task::spawn_blocking(move || mel.loudest(&samples))
            .await
            .map_err(|e| Error::internal("a recording could not be measured").with_source(e))??;
        let recording = Recording {
            samples: request.samples,
            loudest,
            language,
            language_candidates: request.language_candidates,
            task,
            times: request.times,
            prompt,
            temperatures,
        };
        Ok(self.engine.submit(recording)?.boxed())
    }
}
