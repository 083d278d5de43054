//! A recording through a pipeline: a batch of windows at a time, then all of it at once.
//!
//! ```text
//! for each batch: samples ─segmenter─▶ activity; features, masks of the active ─embedder─▶ vectors
//! then: activity ─count─▶ speakers a frame; vectors ─clustering─▶ clusters; all ─finish─▶ turns
//! ```
//!
//! What is kept of a window are its activity, a byte for each frame and speaker, and a vector for each speaker: hours take
//! some tens of megabytes.

use std::borrow::Cow;

use super::load::Pipeline;
use super::plan::WindowPlan;
use crate::audio::fbank;
use crate::audio::fbank::Fbank;
use crate::diarization::array::Windows;
use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::clustering::Voices;
use crate::diarization::clustering::Work;
use crate::diarization::count::speaker_count;
use crate::diarization::embedding::EmbedderBuffers;
use crate::diarization::embedding::MaskRule;
use crate::diarization::embedding::MaskedWindow;
use crate::diarization::finish::Finish;
use crate::diarization::segmentation::SoundWindows;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::DiarizationResult;

/// Who is told how far the work is, and says whether it is still wanted.
pub(in crate::diarization) trait Listener {
    /// So many seconds of so many are done.
    fn progress(&self, done_seconds: f64, total_seconds: f64);

    /// Fails once nobody wants the result any more.
    ///
    /// # Errors
    /// What the work ends with.
    fn check(&self) -> Result<()>;
}

/// What the windows gave.
#[derive(Debug)]
pub(super) struct Heard {
    /// `[c, f, s]`
    pub(super) active: Windows<bool>,
    /// `[c, f, s]`, for networks that score speakers by themselves.
    scores: Option<Windows<f32>>,
    /// `[c, s, d]`; [`SILENT`] for those who are silent.
    pub(super) embeddings: Windows<f32>,
}

/// What stands for the voice of a silent speaker. Nothing reads it; zeros would have no direction, and scores of theirs be no
/// numbers.
const SILENT: f32 = 1.0;

/// Windows of a batch: they share the filters' answers.
const BATCH: usize = 32;

impl Pipeline {
    /// Who speaks when in `samples`, mono, 16 kHz.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a recording without samples and for numbers of speakers that cannot be reached; the
    /// error of the listener's check; as the device fails.
    pub(in crate::diarization) fn run(
        &self,
        samples: &[f32],
        bounds: SpeakerBounds,
        listener: &dyn Listener,
    ) -> Result<DiarizationResult> {
        let plan = self.plan(samples)?;
        let heard = self.listen(samples, plan, listener)?;
        self.conclude(&heard, plan, bounds, listener)
    }

    pub(super) fn plan(&self, samples: &[f32]) -> Result<WindowPlan> {
        if samples.is_empty() {
            let message = "the recording has no samples; send one that holds sound";
            return Err(Error::invalid(RequestFault::InvalidAudio, "file", message));
        }
        Ok(WindowPlan::new(
            samples.len(),
            self.segmenter.duration_seconds,
            self.segmentation_step,
        ))
    }

    /// Activity and voices of all windows.
    pub(super) fn listen(&self, samples: &[f32], plan: WindowPlan, listener: &dyn Listener) -> Result<Heard> {
        let total_seconds = plan.seconds_done(plan.count, samples.len());
        let (mut active, mut scores) = (Vec::new(), Vec::new());
        let mut embeddings = Vec::new();
        let mut buffers = EmbedderBuffers::default();
        let mut shape = [0, 0];
        listener.progress(0.0, total_seconds);
        for first in (0..plan.count).step_by(BATCH) {
            listener.check()?;
            let numbers = first..(first + BATCH).min(plan.count);
            let starts: Vec<usize> = numbers.clone().map(|number| plan.start(number)).collect();
            let stretch = Stretch::new(samples, &starts, plan.window);
            let activity = self
                .segmenter
                .segment(stretch.windows(&starts, plan.window).as_windows())?;
            let [_, frames, speakers] = activity.active.shape();
            shape = [frames, speakers];
            active.extend_from_slice(activity.active.values());
            if let Some(batch) = &activity.scores {
                scores.extend_from_slice(batch.values());
            }
            let rule = MaskRule::new(self.exclude_overlap, frames, plan.window);
            let mut voices = BatchVoices {
                pipeline: self,
                samples,
                plan,
                first,
                embeddings: vec![SILENT; numbers.len() * speakers * self.embedder.width()],
                speakers,
                buffers: &mut buffers,
            };
            let masks = (0..numbers.len())
                .map(|window| rule.masks(&activity.active, window))
                .collect();
            voices.describe(masks, &|windows| {
                listener.progress(plan.seconds_done(first + windows, samples.len()), total_seconds);
                listener.check()
            })?;
            embeddings.append(&mut voices.embeddings);
        }
        let [frames, speakers] = shape;
        let of_windows = [plan.count, frames, speakers];
        Ok(Heard {
            active: Windows::new(of_windows, active)?,
            scores: if scores.is_empty() {
                None
            } else {
                Some(Windows::new(of_windows, scores)?)
            },
            embeddings: Windows::new([plan.count, speakers, self.embedder.width()], embeddings)?,
        })
    }

    /// Which voices are the same, and what follows for the recording.
    pub(super) fn conclude(
        &self,
        heard: &Heard,
        plan: WindowPlan,
        bounds: SpeakerBounds,
        listener: &dyn Listener,
    ) -> Result<DiarizationResult> {
        let layout = plan.layout(self.segmenter.geometry());
        let count = speaker_count(&heard.active, layout);
        if count.iter().all(|count| *count == 0) {
            return Ok(DiarizationResult::default());
        }
        let voices = Voices {
            embeddings: &heard.embeddings,
            active: &heard.active,
        };
        let work = Work {
            pool: &self.pool,
            check: &|| listener.check(),
        };
        let clusters = self.method.cluster(voices, bounds, work)?;
        let scores = heard.scores.as_ref().map_or_else(
            || Cow::Owned(heard.active.map(|active| f32::from(u8::from(active)))),
            Cow::Borrowed,
        );
        let finish = Finish {
            scores: &scores,
            active: &heard.active,
            count: &count,
            layout,
            max_speakers: bounds.greatest(),
            min_duration_off: self.min_duration_off,
        };
        Ok(finish.result(&clusters))
    }
}

/// The part of a recording that some windows cover, with zeros where it ends before them.
struct Stretch<'a> {
    samples: Cow<'a, [f32]>,
    first: usize,
}

/// Windows within a stretch.
struct StretchWindows<'a> {
    samples: &'a [f32],
    starts: Vec<usize>,
    window: usize,
}

impl<'a> Stretch<'a> {
    fn new(samples: &'a [f32], starts: &[usize], window: usize) -> Self {
        let first = starts.first().copied().unwrap_or(0);
        let end = starts.last().copied().unwrap_or(0) + window;
        let samples = if let Some(part) = samples.get(first..end) {
            Cow::Borrowed(part)
        } else {
            let mut padded = samples.get(first..).unwrap_or_default().to_vec();
            padded.resize(end - first, 0.0);
            Cow::Owned(padded)
        };
        Self { samples, first }
    }

    fn windows(&self, starts: &[usize], window: usize) -> StretchWindows<'_> {
        StretchWindows {
            samples: &self.samples,
            starts: starts.iter().map(|start| start - self.first).collect(),
            window,
        }
    }
}

impl StretchWindows<'_> {
    fn as_windows(&self) -> SoundWindows<'_> {
        SoundWindows {
            samples: self.samples,
            starts: &self.starts,
            window: self.window,
        }
    }
}

/// The voices of a batch of windows.
struct BatchVoices<'a> {
    pipeline: &'a Pipeline,
    samples: &'a [f32],
    plan: WindowPlan,
    /// Number of the batch's first window.
    first: usize,
    /// `[windows, s, d]`
    embeddings: Vec<f32>,
    speakers: usize,
    buffers: &'a mut EmbedderBuffers,
}

/// Masks of the speakers of a window, `None` for the silent.
type Masks = Vec<Option<Vec<f32>>>;

impl BatchVoices<'_> {
    /// Fills in the vectors of everybody who has a mask; `told` hears how many windows are done.
    fn describe(&mut self, masks: Vec<Masks>, told: &dyn Fn(usize) -> Result<()>) -> Result<()> {
        let embedder = &self.pipeline.embedder;
        let starts: Vec<usize> = (0..masks.len())
            .map(|window| self.plan.embedding_start(self.first + window))
            .collect();
        let features = Features::new(embedder.fbank(), self.samples, &starts, self.plan.window)?;
        let width = embedder.width();
        let spoken: Vec<(usize, Masks)> = masks
            .into_iter()
            .enumerate()
            .filter(|(_, masks)| masks.iter().any(Option::is_some))
            .collect();
        let windows = starts.len();
        for group in spoken.chunks(embedder.batch()) {
            let masked = group.iter().map(|(window, masks)| {
                Ok(MaskedWindow {
                    features: features.window(*window)?,
                    masks: masks.iter().flatten().cloned().collect(),
                })
            });
            let vectors = embedder.embed(masked.collect::<Result<_>>()?, self.buffers)?;
            for ((window, masks), vectors) in group.iter().zip(vectors) {
                let speakers = (0..self.speakers).filter(|speaker| masks[*speaker].is_some());
                for (speaker, vector) in speakers.zip(vectors) {
                    let at = (window * self.speakers + speaker) * width;
                    self.embeddings[at..at + width].copy_from_slice(&vector);
                }
            }
            told(group.last().map_or(0, |(window, _)| window + 1))?;
        }
        told(windows)
    }
}

/// Features of the windows of a batch: taken once where windows begin a whole number of hops apart.
struct Features<'a> {
    fbank: &'a Fbank,
    stretch: Stretch<'a>,
    starts: &'a [usize],
    window: usize,
    /// Features of the whole stretch.
    shared: Option<Vec<f32>>,
}

impl<'a> Features<'a> {
    fn new(fbank: &'a Fbank, samples: &'a [f32], starts: &'a [usize], window: usize) -> Result<Self> {
        let stretch = Stretch::new(samples, starts, window);
        let on_hops = starts
            .iter()
            .all(|start| (start - stretch.first).is_multiple_of(fbank::HOP));
        let shared = on_hops.then(|| fbank.compute(&stretch.samples)).transpose()?;
        Ok(Self {
            fbank,
            stretch,
            starts,
            window,
            shared,
        })
    }

    /// The features of a window, `[t, m]`.
    fn window(&self, number: usize) -> Result<Vec<f32>> {
        let start = self.starts.get(number).map_or(0, |start| start - self.stretch.first);
        let part = match &self.shared {
            Some(shared) => {
                let (first, values) = (start / fbank::HOP, Fbank::frames(self.window) * self.fbank.mel_bins());
                let first = first * self.fbank.mel_bins();
                return Ok(shared.get(first..first + values).unwrap_or_default().to_vec());
            }
            None => self.stretch.samples.get(start..start + self.window),
        };
        self.fbank.compute(part.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
