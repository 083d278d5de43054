//! The engine's thread: what it does in a turn.

mod finish;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::handle::EngineOptions;
use super::handle::Model;
use super::work::Recording;
use super::work::Sound;
use super::work::Stage;
use super::work::Task;
use super::work::Work;
use super::work::Writing;
use crate::error::Error;
use crate::error::Result;
use crate::speech::whisper::config::WINDOW_FRAMES;
use crate::speech::whisper::decoding::Attempt;
use crate::speech::whisper::decoding::Ends;
use crate::speech::whisper::decoding::LogitRules;
use crate::speech::whisper::decoding::Random;
use crate::speech::whisper::decoding::Search;
use crate::speech::whisper::decoding::Transcript;
use crate::speech::whisper::decoding::Window;
use crate::speech::whisper::mel::WhisperMel;
use crate::speech::whisper::network::DecoderStep;
use crate::task::TranscriptionEvent;
use crate::wrapper::engine::Line;
use crate::wrapper::engine::Order;
use crate::wrapper::engine::Queue;
use crate::wrapper::engine::Turns;

/// Owns everything that computes; lives on the engine's thread.
pub(super) struct Worker {
    model: Model,
    options: EngineOptions,
    rules: LogitRules,
    ends: Ends,
    queue: Arc<Queue<Recording, TranscriptionEvent>>,
    /// One place for each slot.
    works: Vec<Option<Work>>,
}

impl Worker {
    /// A worker without recordings.
    pub(super) fn new(model: Model, options: EngineOptions, queue: Arc<Queue<Recording, TranscriptionEvent>>) -> Self {
        let special = model.tokens.special();
        Self {
            rules: LogitRules::new(&model.config, special),
            ends: Ends {
                end_of_text: special.end_of_text,
                no_speech: special.no_speech,
            },
            works: (0..options.slots).map(|_| None).collect(),
            model,
            options,
            queue,
        }
    }

    /// Ends works whose reader has gone.
    fn end_unwanted(&mut self) {
        for place in &mut self.works {
            if place.as_ref().is_some_and(|work| work.outlet.is_closed()) {
                end(place, self.queue.line());
            }
        }
    }

    /// Gives free slots to those who wait.
    fn admit(&mut self) {
        let lanes_each = self.options.lanes_each();
        for (slot, place) in self.works.iter_mut().enumerate() {
            if place.is_some() {
                continue;
            }
            let Some(Order { request, outlet }) = self.queue.take() else {
                return;
            };
            let frames = WhisperMel::frames(request.samples.len());
            let prompt = request.prompt.clone();
            let transcript = Transcript::new(frames, prompt, self.model.config.decoder.positions);
            let work = place.insert(Work {
                transcript,
                slot,
                lanes: (slot * lanes_each..(slot + 1) * lanes_each).collect(),
                // The same recording gives the same text.
                random: Random::new(frames as u64),
                language: request.language.clone(),
                last_speech_seconds: 0.0,
                stage: Stage::Encode,
                begun: Instant::now(),
                recording: request,
                outlet,
            });
            if !self.model.config.is_multilingual {
                work.language = Some("en".to_owned());
            }
            begin(work, &self.model);
        }
    }

    /// Encodes the windows of all works that are at a new one.
    fn encode(&mut self) -> Result<()> {
        let mut windows = Vec::new();
        let mut stretches = Vec::new();
        for work in self.works.iter().flatten() {
            if let (Stage::Encode, Some(window)) = (&work.stage, work.transcript.window()) {
                windows.push((work.slot, features(work, window, &self.model.mel)?));
                stretches.push(window);
            }
        }
        if windows.is_empty() {
            return Ok(());
        }
        let states = self.model.network.encode(&windows)?;
        for (((slot, _), window), states) in windows.iter().zip(stretches).zip(states) {
            let Some(work) = self.works.get_mut(*slot).and_then(Option::as_mut) else {
                continue;
            };
            let sound = Sound {
                window,
                states: work.wants_words().then_some(states),
            };
            work.stage = if work.language.is_none() {
                Stage::Listen(sound)
            } else {
                Stage::Write(Box::new(write(work, sound, 0, (&self.model, &self.options))))
            };
        }
        Ok(())
    }

    /// One decoder step of all texts and of all languages to find out.
    fn step(&mut self) -> Result<()> {
        let start = self.model.tokens.special().start_of_transcript;
        let mut step = DecoderStep::default();
        let mut rows = Vec::new();
        for work in self.works.iter().flatten() {
            match &work.stage {
                Stage::Listen(_) => {
                    let lane = work.lanes.first().copied().unwrap_or_default();
                    step.add(&[start], (lane, work.slot, 0), &[0]);
                    rows.push((work.slot, 1));
                }
                Stage::Write(writing) => {
                    writing.attempt.plan(&mut step);
                    rows.push((work.slot, writing.attempt.rows()));
                }
                Stage::Encode | Stage::Over => {}
            }
        }
        if step.tokens.is_empty() {
            return Ok(());
        }
        let mut logits = self.model.network.step(&step)?;
        let vocabulary = self.model.config.vocabulary;
        let mut rest = logits.as_mut_slice();
        let mut copies = Vec::new();
        for (slot, rows) in rows {
            let (of_work, others) = rest
                .split_at_mut_checked(rows * vocabulary)
                .ok_or_else(|| Error::internal("the decoder gave fewer logits than were asked for"))?;
            rest = others;
            let Some(work) = self.works.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            match &mut work.stage {
                Stage::Listen(_) => listen(work, of_work, (&self.model, &self.options)),
                Stage::Write(writing) => {
                    copies.extend(
                        writing
                            .attempt
                            .advance(of_work, &self.rules, self.ends, &mut work.random),
                    );
                }
                Stage::Encode | Stage::Over => {}
            }
        }
        self.model.network.copy_lanes(&copies)
    }

    /// Ends the works at a stage with an error.
    fn end_all_at(&mut self, error: &Error, is_meant: impl Fn(&Stage) -> bool) {
        tracing::error!(%error, "a step failed; its requests end");
        for place in &mut self.works {
            if let Some(work) = place.as_ref().filter(|work| is_meant(&work.stage)) {
                work.outlet.send(Err(error.clone()));
                end(place, self.queue.line());
            }
        }
    }
}

impl Turns for Worker {
    /// One round: arrivals, endings, encoder, a decoder step.
    fn turn(&mut self) -> ControlFlow<()> {
        if self.works.iter().all(Option::is_none) {
            self.queue.wait();
        }
        if self.queue.is_stopped() {
            return ControlFlow::Break(());
        }
        self.end_unwanted();
        self.admit();
        if let Err(error) = self.encode() {
            self.end_all_at(&error, |stage| matches!(stage, Stage::Encode));
        }
        if let Err(error) = self.step() {
            self.end_all_at(&error, |stage| matches!(stage, Stage::Listen(_) | Stage::Write(_)));
        }
        self.finish();
        ControlFlow::Continue(())
    }

    fn end_all(&mut self, error: &Error) {
        self.queue.end_all(error);
        for work in self.works.iter_mut().filter_map(Option::take) {
            work.outlet.send(Err(error.clone()));
        }
    }
}

impl EngineOptions {
    /// Texts that are written about one window at once, at most.
    pub(crate) fn lanes_each(&self) -> usize {
        self.best_of.max(self.beam).max(1)
    }
}

/// Frees the place of a work.
fn end(place: &mut Option<Work>, line: &Line) {
    if let Some(work) = place.take() {
        line.end(work.begun.elapsed());
    }
}

/// A work whose language is known can begin to write.
fn begin(work: &mut Work, model: &Model) {
    let Some(language) = &work.language else { return };
    let special = model.tokens.special();
    let mut start = vec![special.start_of_transcript];
    if model.config.is_multilingual {
        start.extend(special.language(language));
        let translates = work.recording.task == Task::Translate && language != "en";
        start.push(if translates {
            special.translate
        } else {
            special.transcribe
        });
    }
    work.transcript.begin_with(start);
}

/// The mel features of a window.
///
/// A recording that fits into one window is followed by silence, as in transformers and in the original's `decode`. Behind
/// the end of that, and of longer recordings, stand zeros, as in transformers and in the original's `transcribe`.
fn features(work: &Work, window: Window, mel: &WhisperMel) -> Result<Vec<f32>> {
    let recording = &work.recording;
    let last_frame = WhisperMel::frames(recording.samples.len()).max(WINDOW_FRAMES);
    let frames = last_frame.saturating_sub(window.seek).min(WINDOW_FRAMES);
    let mut features = mel.features(&recording.samples, (window.seek, frames), recording.loudest)?;
    features.resize(WINDOW_FRAMES * mel.bins(), 0.0);
    Ok(features)
}

/// Begins to write a window's text at one of the temperatures.
fn write(work: &Work, sound: Sound, trial: usize, (model, options): (&Model, &EngineOptions)) -> Writing {
    let temperature = work.recording.temperatures.get(trial).copied().unwrap_or_default();
    let search = match temperature {
        temperature if temperature > 0.0 => Search::Samples {
            temperature,
            count: options.best_of.max(1),
        },
        _ if options.beam > 1 => Search::Beam { width: options.beam },
        _ => Search::Greedy,
    };
    let prompt = work.transcript.prompt(model.tokens.special());
    let positions = model.config.decoder.positions;
    Writing {
        attempt: Attempt::new(search, prompt, (work.slot, &work.lanes), positions),
        sound,
        trial,
    }
}

/// Takes the likeliest language of those that are possible.
fn listen(work: &mut Work, logits: &[f32], (model, options): (&Model, &EngineOptions)) {
    let special = model.tokens.special();
    let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let candidates = &work.recording.language_candidates;
    let likeliest = special
        .languages
        .iter()
        .filter(|(code, _)| candidates.is_empty() || candidates.contains(code))
        .max_by(|(_, a), (_, b)| logit(*a).total_cmp(&logit(*b)));
    work.language = Some(likeliest.map_or_else(|| "en".to_owned(), |(code, _)| code.clone()));
    begin(work, model);
    if let Stage::Listen(sound) = std::mem::replace(&mut work.stage, Stage::Over) {
        work.stage = Stage::Write(Box::new(write(work, sound, 0, (model, options))));
    }
}
