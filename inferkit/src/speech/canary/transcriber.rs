//! A Canary in memory as the transcription task: checks requests, plans windows, hands recordings to the engine.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;

use super::engine::Engine;
use super::engine::Recording;
use super::features::FrontEnd;
use super::features::padded;
use super::languages::languages;
use super::plan::Plan;
use super::plan::Timing;
use super::source::CanarySource;
use super::text::CanaryTokenizer;
use super::text::PromptFormat;
use super::text::PromptSlots;
use super::text::PromptTask;
use super::transcript::Transcript;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::QueueDepth;
use crate::task::Samples;
use crate::task::TimeDetail;
use crate::task::TranscriptionCapabilities;
use crate::task::TranscriptionEvent;
use crate::task::TranscriptionModel;
use crate::task::TranscriptionRequest;
use crate::task::TranscriptionStream;

/// The language taken where none is given.
const DEFAULT_LANGUAGE: &str = "en";

/// What a request needs beside the engine.
#[derive(Debug)]
pub(super) struct Transcriber {
    engine: Engine,
    desk: Arc<Desk>,
}

/// Everything that is decided before a recording gets in line.
#[derive(Debug)]
struct Desk {
    front_end: FrontEnd,
    tokenizer: Arc<CanaryTokenizer>,
    prompt_format: PromptFormat,
    prompt_defaults: PromptSlots,
    has_aligner: bool,
    capabilities: TranscriptionCapabilities,
}

impl Transcriber {
    /// Puts a loaded model's engine behind its text side.
    pub(super) fn new(source: &CanarySource, front_end: FrontEnd, engine: Engine) -> Self {
        let desk = Desk {
            front_end,
            capabilities: capabilities(source),
            tokenizer: source.tokenizer.clone(),
            prompt_format: source.prompt_format,
            prompt_defaults: source.prompt_defaults.clone(),
            has_aligner: source.has_aligner(),
        };
        Self {
            engine,
            desk: Arc::new(desk),
        }
    }
}

#[async_trait]
impl TranscriptionModel for Transcriber {
    fn capabilities(&self) -> TranscriptionCapabilities {
        self.desk.capabilities.clone()
    }

    fn queue(&self) -> Option<QueueDepth> {
        Some(self.engine.queue())
    }

    async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream> {
        let is_empty = request.samples.is_empty();
        let spoken = request.language.clone();
        let recording = self.desk.recording(request)?;
        if is_empty {
            // Padded to a second, as the original pads it, nothing would be taken for noise, and noise for words.
            let language = spoken.unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned());
            let done = TranscriptionEvent::Done { language };
            return Ok(stream::iter([Ok(done)]).boxed());
        }
        Ok(self.engine.submit(recording)?.boxed())
    }
}

/// What a model of this source can do.
pub(super) fn capabilities(source: &CanarySource) -> TranscriptionCapabilities {
    let languages = languages(&source.tokenizer);
    let others = languages.iter().filter(|language| *language != DEFAULT_LANGUAGE);
    // Trained from English and to English (model cards of all four).
    let translations = others
        .flat_map(|other| {
            let english = || DEFAULT_LANGUAGE.to_owned();
            [(english(), other.clone()), (other.clone(), english())]
        })
        .collect();
    let writes_times = source.prompt_format == PromptFormat::Canary2
        && ["<|timestamp|>", "<|0|>"]
            .iter()
            .all(|token| source.tokenizer.id(token).is_some());
    TranscriptionCapabilities {
        languages,
        translations,
        default_language: Some(DEFAULT_LANGUAGE.to_owned()),
        word_times: source.has_aligner() || writes_times,
        punctuation_switch: true,
        inverse_text_normalisation_switch: source.prompt_format == PromptFormat::Canary2,
        token_logprobs: true,
    }
}

impl Desk {
    /// Checks a request and prepares its recording.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for options that the model does not offer.
    fn recording(&self, request: TranscriptionRequest) -> Result<Recording> {
        let timing = self.timing(request.times)?;
        let (spoken, written) = self.languages(&request)?;
        if request.inverse_text_normalisation.is_some() && !self.capabilities.inverse_text_normalisation_switch {
            let message = "this model has no switch for inverse text normalisation; leave it out";
            return Err(Error::invalid(RequestFault::UnsupportedValue, "itn", message));
        }
        let translates = spoken != written;
        let slots = PromptSlots {
            source_language: Some(spoken.clone()),
            target_language: Some(written),
            task: Some(if translates {
                PromptTask::Translate
            } else {
                PromptTask::Transcribe
            }),
            punctuation: request.punctuation,
            inverse_text_normalisation: request.inverse_text_normalisation,
            timestamps: (timing == Timing::Tokens).then_some(true),
            ..PromptSlots::default()
        };
        let slots = match self.prompt_format {
            PromptFormat::Canary => slots,
            PromptFormat::Canary2 => slots.or(&self.prompt_defaults),
        };
        let prompt = self.prompt_format.ids(&slots, &self.tokenizer)?;
        let length = request.samples.len();
        let samples = match padded(&request.samples) {
            Some(padded) => Samples::from(padded),
            None => request.samples,
        };
        let plan = Plan::new(&self.front_end, samples.len(), self.has_aligner, timing);
        let details = (timing, request.times);
        Ok(Recording {
            transcript: Transcript::new(self.tokenizer.clone(), plan, details, spoken, length),
            samples,
            prompt,
        })
    }

    /// How the times of a request are found out.
    ///
    /// Without an aligner the decoder has to write them between the words, which costs a third more steps and can change
    /// the text; hence it does so only for word times, and segments are windows otherwise.
    fn timing(&self, times: TimeDetail) -> Result<Timing> {
        match times {
            TimeDetail::Segment | TimeDetail::Word if self.has_aligner => Ok(Timing::Aligner),
            TimeDetail::None | TimeDetail::Segment => Ok(Timing::None),
            TimeDetail::Word if self.capabilities.word_times => Ok(Timing::Tokens),
            TimeDetail::Word => Err(Error::invalid(
                RequestFault::UnsupportedValue,
                "times",
                "this model gives no times of words; ask for segments or none",
            )),
        }
    }

    /// Spoken and written language of a request.
    fn languages(&self, request: &TranscriptionRequest) -> Result<(String, String)> {
        let known = |field: &'static str, language: &str| {
            if self.capabilities.languages.iter().any(|known| known == language) {
                return Ok(language.to_owned());
            }
            Err(Error::invalid(
                RequestFault::UnsupportedValue,
                field,
                format!(
                    "language {language:?} is not supported by this model; choose one of {}",
                    self.capabilities.languages.join(", ")
                ),
            ))
        };
        let spoken = known("language", request.language.as_deref().unwrap_or(DEFAULT_LANGUAGE))?;
        let written = match &request.target_language {
            Some(language) => known("target_language", language)?,
            None => spoken.clone(),
        };
        let pair = (spoken, written);
        if pair.0 != pair.1 && !self.capabilities.translations.contains(&pair) {
            let message = format!(
                "this model translates from and to English only, not from {} to {}; choose en for one of them",
                pair.0, pair.1
            );
            return Err(Error::invalid(
                RequestFault::UnsupportedValue,
                "target_language",
                message,
            ));
        }
        Ok(pair)
    }
}
