//! The engine's thread: what it does in a turn.

mod finish;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::TryRecvError;
use std::time::Instant;

use super::handle::EngineOptions;
use super::handle::Model;
use super::handle::panic_text;
use super::work::Arrival;
use super::work::Sound;
use super::work::Stage;
use super::work::Task;
use super::work::Work;
use super::work::Writing;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::speech::line::Line;
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

/// Owns everything that computes; lives on the engine's thread.
pub(super) struct Worker {
    model: Model,
    options: EngineOptions,
    rules: LogitRules,
    ends: Ends,
    arrivals: mpsc::Receiver<Arrival>,
    line: Arc<Line>,
    waiting: VecDeque<Arrival>,
    /// One place for each slot.
    works: Vec<Option<Work>>,
    /// Whether the engine was dropped.
    is_dropped: bool,
}

impl Worker {
    /// A worker without recordings.
    pub(super) fn new(
        model: Model,
        options: EngineOptions,
        arrivals: mpsc::Receiver<Arrival>,
        line: Arc<Line>,
    ) -> Self {
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
            arrivals,
            line,
            waiting: VecDeque::new(),
            is_dropped: false,
        }
    }

    /// Takes turns until the engine is dropped or panics.
    pub(super) fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(()) if self.is_dropped => {
                    let message = "the model was unloaded before the transcript ended; ask again";
                    return self.close(&Error::unavailable(UnavailableFault::Cancelled, message));
                }
                Ok(()) => {}
                Err(panic) => {
                    let end = Error::generation_failed(format!("the model panicked: {}", panic_text(&*panic)));
                    tracing::error!("{end}");
                    let refusal = "the model failed while it listened; load it again";
                    self.line.health().fail(end.clone());
                    self.line
                        .close(Error::unavailable(UnavailableFault::ModelFailed, refusal).with_source(end.clone()));
                    return self.close(&end);
                }
            }
        }
    }

    /// Refuses requests from here on and ends those that are left.
    fn close(&mut self, error: &Error) {
        self.line.close(error.clone());
        for arrival in self.waiting.drain(..) {
            arrival.outlet.send(Err(error.clone()));
        }
        for work in self.works.iter_mut().filter_map(Option::take) {
            work.outlet.send(Err(error.clone()));
        }
    }

    /// One round: arrivals, endings, encoder, a decoder step.
    fn turn(&mut self) {
        self.read_arrivals();
        self.end_overdue();
        self.admit();
        if self.is_dropped {
            return;
        }
        if let Err(error) = self.encode() {
            self.end_all(&error, |stage| matches!(stage, Stage::Encode));
        }
        if let Err(error) = self.step() {
            self.end_all(&error, |stage| matches!(stage, Stage::Listen(_) | Stage::Write(_)));
        }
        self.finish();
    }

    /// Takes in all arrivals; sleeps for the first if there is nothing to do.
    fn read_arrivals(&mut self) {
        let is_idle = self.works.iter().all(Option::is_none);
        let mut next = match (is_idle, self.waiting.is_empty()) {
            (true, true) => self.arrivals.recv().map_err(|_| TryRecvError::Disconnected),
            _ => self.arrivals.try_recv(),
        };
        loop {
            match next {
                Ok(arrival) => self.waiting.push_back(arrival),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.is_dropped = true;
                    return;
                }
            }
            next = self.arrivals.try_recv();
        }
    }

    /// Ends requests whose reader has gone and those that waited too long.
    fn end_overdue(&mut self) {
        let (now, timeout) = (Instant::now(), self.options.queue_timeout);
        let line = &self.line;
        self.waiting.retain(|arrival| {
            let is_late = now.saturating_duration_since(arrival.arrived) >= timeout;
            if is_late {
                let message = format!("the request waited {timeout:?} for this model; try again later");
                arrival
                    .outlet
                    .send(Err(Error::unavailable(UnavailableFault::QueueTimeout, message)));
            }
            let stays = !is_late && !arrival.outlet.is_closed();
            if !stays {
                line.give_up();
            }
            stays
        });
        for place in &mut self.works {
            if place.as_ref().is_some_and(|work| work.outlet.is_closed()) {
                end(place, line);
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
            let Some(arrival) = self.waiting.pop_front() else {
                return;
            };
            self.line.start();
            let frames = WhisperMel::frames(arrival.recording.samples.len());
            let prompt = arrival.recording.prompt.clone();
            let transcript = Transcript::new(frames, prompt, self.model.config.decoder.positions);
            let work = place.insert(Work {
                transcript,
                slot,
                lanes: (slot * lanes_each..(slot + 1) * lanes_each).collect(),
                // The same recording gives the same text.
                random: Random::new(frames as u64),
                language: arrival.recording.language.clone(),
                last_speech_seconds: 0.0,
                stage: Stage::Encode,
                begun: Instant::now(),
                recording: arrival.recording,
                outlet: arrival.outlet,
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
    fn end_all(&mut self, error: &Error, is_meant: impl Fn(&Stage) -> bool) {
        tracing::error!(%error, "a step failed; its requests end");
        for place in &mut self.works {
            if let Some(work) = place.as_ref().filter(|work| is_meant(&work.stage)) {
                work.outlet.send(Err(error.clone()));
                end(place, &self.line);
            }
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

/// Takes the likeliest language.
fn listen(work: &mut Work, logits: &[f32], (model, options): (&Model, &EngineOptions)) {
    let special = model.tokens.special();
    let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let likeliest = special
        .languages
        .iter()
        .max_by(|(_, a), (_, b)| logit(*a).total_cmp(&logit(*b)));
    work.language = Some(likeliest.map_or_else(|| "en".to_owned(), |(code, _)| code.clone()));
    begin(work, model);
    if let Stage::Listen(sound) = std::mem::replace(&mut work.stage, Stage::Over) {
        work.stage = Stage::Write(Box::new(write(work, sound, 0, (model, options))));
    }
}
