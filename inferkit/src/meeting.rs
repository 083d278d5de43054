//! Who said what: a transcript and a diarization of the same recording, put together.

use crate::task::DiarizationResult;
use crate::task::Segment;
use crate::task::SpeakerTurn;
use crate::task::Word;

/// A part of a transcript with its speaker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AttributedSegment {
    /// Where it begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// Its text.
    pub text: String,
    /// Who says it; `None` where nobody was found.
    pub speaker: Option<String>,
    /// Its words, where the transcript has them.
    pub words: Vec<AttributedWord>,
}

/// A word with its speaker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AttributedWord {
    /// The word and its times.
    pub word: Word,
    /// Who says it; `None` where nobody was found.
    pub speaker: Option<String>,
}

/// Gives each segment and word the speaker who talks longest within it.
pub fn attribute(segments: &[Segment], diarization: &DiarizationResult) -> Vec<AttributedSegment> {
    let speaker = |start, end| longest(&diarization.exclusive_turns, start, end);
    let attributed = segments.iter().map(|segment| AttributedSegment {
        start_seconds: segment.start_seconds,
        end_seconds: segment.end_seconds,
        text: segment.text.clone(),
        speaker: speaker(segment.start_seconds, segment.end_seconds),
        words: segment
            .words
            .iter()
            .map(|word| AttributedWord {
                word: word.clone(),
                speaker: speaker(word.start_seconds, word.end_seconds),
            })
            .collect(),
    });
    attributed.collect()
}

fn longest(turns: &[SpeakerTurn], start: f64, end: f64) -> Option<String> {
    let overlap = |turn: &SpeakerTurn| turn.end_seconds.min(end) - turn.start_seconds.max(start);
    let best = turns.iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)))?;
    (overlap(best) > 0.0).then(|| best.speaker.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_who_talks_longest_is_the_speaker() {
        let turns = vec![SpeakerTurn::new("A", 0.0, 1.0), SpeakerTurn::new("B", 1.0, 3.0)];
        let diarization = DiarizationResult::new(turns.clone(), turns, vec!["A".to_owned(), "B".to_owned()]);
        let mut first = Segment::new(0.0, 2.5, "hello there");
        first.words = vec![Word::new("hello", 0.0, 0.9), Word::new("there", 1.5, 2.5)];
        let found = attribute(&[first, Segment::new(4.0, 5.0, "nobody")], &diarization);
        assert_eq!(
            (found[0].speaker.as_deref(), found[1].speaker.as_deref()),
            (Some("B"), None)
        );
        assert_eq!(found[0].words[0].speaker.as_deref(), Some("A"));
    }
}
