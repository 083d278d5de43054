//! What was said, by whom and when.

use futures_util::StreamExt;
use inferkit::Error;
use inferkit::Result;
use inferkit::meeting::AttributedSegment;
use inferkit::meeting::Cue;
use inferkit::task::Segment;
use inferkit::task::SegmentDecoding;
use inferkit::task::TokenLogprob;
use inferkit::task::Word;

use super::steps::Step;
use super::steps::Steps;

/// A part of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spoken {
    pub(crate) start_seconds: f64,
    pub(crate) end_seconds: f64,
    /// Without spaces around it.
    pub(crate) text: String,
    /// The diarizer's label; `None` without one, or where nobody was found.
    pub(crate) speaker: Option<String>,
    pub(crate) words: Vec<SpokenWord>,
    pub(crate) decoding: Option<SegmentDecoding>,
}

/// A word of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpokenWord {
    pub(crate) word: Word,
    pub(crate) speaker: Option<String>,
}

impl From<&Spoken> for Cue {
    fn from(spoken: &Spoken) -> Self {
        let mut cue = Self::new(spoken.start_seconds, spoken.end_seconds, spoken.text.clone());
        cue.speaker.clone_from(&spoken.speaker);
        cue
    }
}

impl From<Segment> for Spoken {
    fn from(segment: Segment) -> Self {
        let words = segment.words.into_iter();
        Self {
            start_seconds: segment.start_seconds,
            end_seconds: segment.end_seconds,
            text: segment.text.trim().to_owned(),
            speaker: None,
            words: words.map(|word| SpokenWord { word, speaker: None }).collect(),
            decoding: segment.decoding,
        }
    }
}

impl From<AttributedSegment> for Spoken {
    fn from(segment: AttributedSegment) -> Self {
        let words = segment.words.into_iter();
        Self {
            start_seconds: segment.start_seconds,
            end_seconds: segment.end_seconds,
            text: segment.text.trim().to_owned(),
            speaker: segment.speaker,
            words: words
                .map(|word| SpokenWord {
                    word: word.word,
                    speaker: word.speaker,
                })
                .collect(),
            decoding: segment.decoding,
        }
    }
}

impl Spoken {
    /// The tokens of the text with their probabilities, as far as the model tells them.
    pub(crate) fn token_logprobs(&self) -> &[TokenLogprob] {
        self.decoding
            .as_ref()
            .map_or(&[], |decoding| decoding.token_logprobs.as_slice())
    }

    /// The same with times inside of a recording that long; a model may see its end a frame later.
    pub(crate) fn within(mut self, duration_seconds: f64) -> Self {
        // `max` takes the other number where one is none.
        let clamp = |start: &mut f64, end: &mut f64| {
            *start = start.max(0.0).min(duration_seconds);
            *end = end.max(*start).min(duration_seconds);
        };
        clamp(&mut self.start_seconds, &mut self.end_seconds);
        for SpokenWord { word, .. } in &mut self.words {
            clamp(&mut word.start_seconds, &mut word.end_seconds);
        }
        self
    }
}

/// All that was said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Transcript {
    /// ISO 639-1.
    pub(crate) language: String,
    /// By start.
    pub(crate) segments: Vec<Spoken>,
}

impl Transcript {
    /// The text of all segments, with a space between two.
    pub(crate) fn text(&self) -> String {
        let texts = self.segments.iter().map(|segment| segment.text.as_str());
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// All words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &SpokenWord> {
        self.segments.iter().flat_map(|segment| &segment.words)
    }

    /// Tokens of the text, as far as the model tells them.
    pub(crate) fn token_count(&self) -> usize {
        let decodings = self.segments.iter().filter_map(|segment| segment.decoding.as_ref());
        decodings.map(|decoding| decoding.tokens.len()).sum()
    }
}

/// Waits for the end of the steps.
///
/// # Errors
/// The error that ended them.
pub(crate) async fn gathered(mut steps: Steps) -> Result<Transcript> {
    let mut segments = Vec::new();
    while let Some(step) = steps.next().await {
        match step? {
            Step::Progress { .. } => {}
            Step::Segment(segment) => segments.push(segment),
            Step::Done { language } => return Ok(Transcript { language, segments }),
        }
    }
    Err(Error::internal("a transcript ended without its last event"))
}
