//! The engine's thread: what it does in a turn.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::handle::EngineOptions;
use super::work::Recording;
use super::work::Work;
use crate::audio::Features;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::speech::canary::decode::Task;
use crate::speech::canary::decode::decode;
use crate::speech::canary::plan::Cut;
use crate::speech::canary::search::Ends;
use crate::speech::canary::search::Search;
use crate::speech::canary::source::CanaryModel;
use crate::speech::canary::text::Labels;
use crate::speech::canary::text::LogProbabilities;
use crate::speech::canary::transcript::Aligned;
use crate::speech::canary::transcript::Heard;
use crate::task::TranscriptionEvent;
use crate::wrapper::engine::Queue;
use crate::wrapper::engine::Turns;

/// Owns everything that computes; lives on the engine's thread.
pub(super) struct Worker {
    model: CanaryModel,
    options: EngineOptions,
    queue: Arc<Queue<Recording, TranscriptionEvent>>,
    works: Vec<Work>,
    /// The work whose turn it is to begin with.
    first: usize,
}

/// A window of a turn: which work, and which of its windows.
#[derive(Debug, Clone, Copy)]
struct Place {
    work: usize,
    window: usize,
}

impl Worker {
    pub(super) fn new(
        model: CanaryModel,
        options: EngineOptions,
        queue: Arc<Queue<Recording, TranscriptionEvent>>,
    ) -> Self {
        Self {
            model,
            options,
            queue,
            works: Vec::new(),
            first: 0,
        }
    }

    /// Removes works that are over or that nobody wants any more.
    fn end_works(&mut self) {
        let line = self.queue.line();
        self.works.retain(|work| {
            let ends = work.is_over || work.outlet.is_closed();
            if ends {
                line.end(work.begun.elapsed());
            }
            !ends
        });
    }

    /// The windows of the next turn: one of each work after the other, as long as there is room.
    fn next_windows(&mut self) -> Vec<Place> {
        let (count, first) = (self.works.len(), self.first);
        let mut places = Vec::new();
        loop {
            let before = places.len();
            for offset in 0..count {
                let number = (first + offset) % count;
                if places.len() == self.options.windows {
                    // Who came short begins the next turn.
                    self.first = number;
                    return places;
                }
                if let Some(work) = self.works.get_mut(number)
                    && let Some(window) = work.take_window()
                {
                    places.push(Place { work: number, window });
                }
            }
            if places.len() == before {
                self.first = 0;
                return places;
            }
        }
    }

    /// Encodes and decodes windows together.
    fn compute(&mut self, places: &[Place]) -> Result<()> {
        let Self { model, works, .. } = self;
        let works = RefCell::new(works);
        let wanted = |place: &Place| {
            works
                .borrow()
                .get(place.work)
                .is_some_and(|work| !work.outlet.is_closed())
        };
        let features = features(places, &works.borrow(), |samples, window| {
            let samples = samples.get(window.samples.clone()).unwrap_or_default();
            model
                .networks
                .front_end
                .part(samples, window.frames.clone(), window.spread)
        })?;
        let states = match model.networks.encode(&features, &mut || places.iter().any(wanted)) {
            Err(error) if error.code() == UnavailableFault::Cancelled.as_str() => return Ok(()),
            other => other?,
        };
        let prompts: Vec<Vec<u32>> = places
            .iter()
            .map(|place| works.borrow().get(place.work).map(|work| work.recording.prompt.clone()))
            .map(Option::unwrap_or_default)
            .collect();
        let tasks = places
            .iter()
            .zip(&prompts)
            .map(|(place, prompt)| task(model, &works.borrow(), place, prompt));
        let tasks: Vec<Task<'_>> = tasks.collect();
        let mut to_align = Vec::new();
        let lengths = states.windows.lengths();
        let mut finished = |number: usize, found: crate::speech::canary::search::Found| {
            let (Some(place), Some(frames)) = (places.get(number), lengths.get(number)) else {
                return;
            };
            let heard = Heard {
                tokens: found.tokens,
                logprobs: found.logprobs,
                average_logprob: found.average_logprob,
                frames: *frames,
                aligned: None,
            };
            let aligns = works
                .borrow()
                .get(place.work)
                .and_then(|work| work.recording.transcript.wants_alignment());
            match aligns {
                Some(cut) => to_align.push((*place, cut, heard)),
                None => deliver(&mut works.borrow_mut(), place, heard, None),
            }
        };
        let mut goes_on = |number: usize| places.get(number).is_some_and(wanted);
        decode(&model.networks.decoder, &states, tasks, &mut goes_on, &mut finished)?;
        align(model, &mut works.borrow_mut(), to_align)
    }

    /// Ends the works of a turn that failed.
    fn fail(&mut self, places: &[Place], error: &Error) {
        for place in places {
            if let Some(work) = self.works.get_mut(place.work).filter(|work| !work.is_over) {
                work.outlet.send(Err(error.clone()));
                work.is_over = true;
            }
        }
    }
}

impl Turns for Worker {
    /// Lets recordings in while there are places, ends works, and computes the next windows.
    fn turn(&mut self) -> ControlFlow<()> {
        if self.works.is_empty() {
            self.queue.wait();
        }
        if self.queue.is_stopped() {
            return ControlFlow::Break(());
        }
        while self.works.len() < self.options.places
            && let Some(order) = self.queue.take()
        {
            self.works.push(Work::begin(order));
        }
        self.end_works();
        let places = self.next_windows();
        if !places.is_empty()
            && let Err(error) = self.compute(&places)
        {
            self.fail(&places, &error);
        }
        ControlFlow::Continue(())
    }

    fn end_all(&mut self, error: &Error) {
        self.queue.end_all(error);
        for work in &self.works {
            work.outlet.send(Err(error.clone()));
        }
    }
}

/// The features of each place, by `compute`.
fn features(
    places: &[Place],
    works: &[Work],
    compute: impl Fn(&[f32], &crate::speech::canary::plan::Window) -> Result<Features>,
) -> Result<Vec<Features>> {
    let missing = || Error::internal("a window of a recording that is not at work");
    places
        .iter()
        .map(|place| {
            let work = works.get(place.work).ok_or_else(missing)?;
            let plan = work.recording.transcript.plan();
            compute(
                &work.recording.samples,
                plan.windows.get(place.window).ok_or_else(missing)?,
            )
        })
        .collect()
}

/// The search of a window's text.
fn task<'a>(model: &CanaryModel, works: &[Work], place: &Place, prompt: &'a [u32]) -> Task<'a> {
    let window = works
        .get(place.work)
        .and_then(|work| work.recording.transcript.plan().windows.get(place.window));
    let frames = model
        .config
        .encoder
        .subsampled(window.map_or(0, |window| window.limit_frames));
    let longest = model.config.search.longest(model.config.decoder.max_positions, frames);
    let special = model.tokenizer.special();
    let ends = Ends {
        end: special.end_of_text,
        pad: special.pad,
    };
    Task {
        prompt,
        search: Search::new(&model.config.search, prompt, longest, ends),
        longest,
    }
}

/// Finds out when the words of windows were spoken, and delivers them.
fn align(model: &mut CanaryModel, works: &mut [Work], windows: Vec<(Place, Cut, Heard)>) -> Result<()> {
    let Some(aligner) = model.aligner.as_mut().filter(|_| !windows.is_empty()) else {
        return Ok(());
    };
    let places: Vec<Place> = windows.iter().map(|(place, ..)| *place).collect();
    let features = features(&places, works, |samples, window| {
        let samples = samples.get(window.samples.clone()).unwrap_or_default();
        aligner.front_end.part(samples, window.frames.clone(), window.spread)
    })?;
    let mut goes_on = || {
        let is_wanted = |place: &Place| works.get(place.work).is_some_and(|work| !work.outlet.is_closed());
        places.iter().any(is_wanted)
    };
    let rows = match aligner.log_probabilities(&features, &mut goes_on) {
        Err(error) if error.code() == UnavailableFault::Cancelled.as_str() => return Ok(()),
        other => other?,
    };
    let (tokenizer, blank, frame_seconds) = (aligner.tokenizer.clone(), aligner.blank(), aligner.frame_seconds);
    for ((place, cut, mut heard), values) in windows.into_iter().zip(rows) {
        let Some(work) = works.get(place.work) else { continue };
        let text = work.recording.transcript.text(&heard.tokens);
        let probabilities = LogProbabilities {
            values: &values,
            classes: aligner.classes,
        };
        let frames = probabilities.frames();
        heard.aligned = Some(if cut == Cut::Overlapping {
            let labels = Labels::of_characters(&text, &tokenizer, blank, frames);
            Aligned::Characters(
                probabilities
                    .align(&labels)
                    .characters(&labels, &tokenizer, frame_seconds),
            )
        } else {
            let labels = Labels::of_words(&text, &tokenizer, blank, frames);
            Aligned::Words(probabilities.align(&labels).words(&labels, frame_seconds))
        });
        deliver(works, &place, heard, Some(&tokenizer));
    }
    Ok(())
}

/// Hands what was heard to the transcript, and what it says to the reader.
fn deliver(
    works: &mut [Work],
    place: &Place,
    heard: Heard,
    aligner: Option<&crate::formats::sentencepiece::SentencePiece>,
) {
    let Some(work) = works.get_mut(place.work) else { return };
    for event in work.recording.transcript.push(place.window, heard, aligner) {
        work.outlet.send(Ok(event));
    }
    work.is_over = work.recording.transcript.is_over();
}
