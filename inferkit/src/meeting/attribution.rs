//! Words to the speakers who said them, by their times.

use crate::meeting::text::split;
use crate::task::DiarizationResult;
use crate::task::Segment;
use crate::task::SegmentDecoding;
use crate::task::SpeakerTurn;
use crate::task::Word;

/// A word that nobody's turn covers belongs to a turn that is no farther away than this: diarizers end turns at a breath,
/// and recognisers place words to within a few tenths of a second.
const NEAR_SECONDS: f64 = 0.5;

/// A part of a transcript that one person says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AttributedSegment {
    /// Where it begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// What is said.
    pub text: String,
    /// Who says it; `None` where the diarization hears nobody.
    pub speaker: Option<String>,
    /// Its words, where the model gave their times.
    pub words: Vec<AttributedWord>,
    /// How it was decoded, where the model says. Of the parts of one segment the first has its tokens.
    pub decoding: Option<SegmentDecoding>,
}

/// A word and who says it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AttributedWord {
    /// The word and its times.
    pub word: Word,
    /// Who says it; `None` where the diarization hears nobody.
    pub speaker: Option<String>,
}

/// Gives each part of a transcript to the speaker who says it.
///
/// * The turns are the exclusive ones, in which one person speaks at a time; where there are none, all turns.
/// * A word belongs to whoever speaks longest between its start and its end; of equals to the speaker of the word before,
///   else to the one whose turn begins first. A word of no length is judged by its place.
/// * A word in silence belongs to the nearest turn within half a second; else to the speaker of the word before it in its
///   segment, else of the one after.
/// * A segment is split where the speaker changes between two of its words. The parts share its text without loss; the
///   outer borders stay, the inner ones lie at the end of one word and the start of the next.
/// * A segment without words goes as a whole to whoever speaks longest in it, by the same rules.
///
/// The order of the segments is kept. Segments without text stay as they are.
pub fn attribute(segments: &[Segment], diarization: &DiarizationResult) -> Vec<AttributedSegment> {
    let turns = Turns::new(diarization);
    segments.iter().flat_map(|segment| turns.attribute(segment)).collect()
}

/// The turns by start.
struct Turns<'a> {
    turns: Vec<&'a SpeakerTurn>,
    /// The greatest end of a turn and all before it: what begins after it can be skipped.
    ends: Vec<f64>,
}

impl<'a> Turns<'a> {
    fn new(diarization: &'a DiarizationResult) -> Self {
        let chosen = if diarization.exclusive_turns.is_empty() {
            &diarization.turns
        } else {
            &diarization.exclusive_turns
        };
        let mut turns: Vec<&SpeakerTurn> = chosen.iter().collect();
        turns.sort_by(|a, b| a.start_seconds.total_cmp(&b.start_seconds));
        let mut latest = f64::NEG_INFINITY;
        let ends = turns.iter().map(|turn| {
            latest = latest.max(turn.end_seconds);
            latest
        });
        Self {
            ends: ends.collect(),
            turns,
        }
    }

    /// A segment, split where the speaker changes.
    fn attribute(&self, segment: &Segment) -> Vec<AttributedSegment> {
        if segment.words.is_empty() {
            let speaker = self.speaker(segment.start_seconds, segment.end_seconds, None);
            return vec![AttributedSegment {
                start_seconds: segment.start_seconds,
                end_seconds: segment.end_seconds,
                text: segment.text.clone(),
                speaker: speaker.map(str::to_owned),
                words: Vec::new(),
                decoding: segment.decoding.clone(),
            }];
        }
        let speakers = self.speakers(&segment.words);
        let mut starts: Vec<usize> = (1..speakers.len())
            .filter(|word| speakers[*word] != speakers[word - 1])
            .collect();
        starts.insert(0, 0);
        let texts = split(&segment.text, &segment.words, &starts);
        let parts = starts.iter().zip(texts).enumerate().map(|(part, (first, text))| {
            let end = starts.get(part + 1).copied().unwrap_or(segment.words.len());
            let words = &segment.words[*first..end];
            AttributedSegment {
                start_seconds: if part == 0 {
                    segment.start_seconds
                } else {
                    words[0].start_seconds
                },
                end_seconds: if end == segment.words.len() {
                    segment.end_seconds
                } else {
                    words[words.len() - 1].end_seconds
                },
                text,
                speaker: speakers[*first].map(str::to_owned),
                words: words.iter().map(|word| attributed(word, speakers[*first])).collect(),
                decoding: decoding_of_part(segment, part),
            }
        });
        parts.collect()
    }

    /// Who says each word.
    fn speakers(&self, words: &[Word]) -> Vec<Option<&'a str>> {
        let mut speakers: Vec<Option<&str>> = Vec::with_capacity(words.len());
        for word in words {
            let before = speakers.last().copied().flatten();
            speakers.push(self.speaker(word.start_seconds, word.end_seconds, before).or(before));
        }
        // Words before the first that has a speaker.
        let first = speakers.iter().find_map(|speaker| *speaker);
        for speaker in &mut speakers {
            *speaker = speaker.or(first);
        }
        speakers
    }

    /// Who speaks longest between `start` and `end`, or nearest to it.
    fn speaker(&self, start: f64, end: f64, before: Option<&'a str>) -> Option<&'a str> {
        let near = self.near(start.min(end) - NEAR_SECONDS, end.max(start) + NEAR_SECONDS);
        // Seconds of each speaker, in the order in which they begin.
        let mut shares: Vec<(&str, f64)> = Vec::new();
        for turn in near {
            let seconds = turn.end_seconds.min(end) - turn.start_seconds.max(start);
            // A place inside a turn is shared for no time at all.
            let inside = end <= start && turn.start_seconds <= start && start < turn.end_seconds;
            if seconds > 0.0 || inside {
                match shares.iter_mut().find(|(speaker, _)| *speaker == turn.speaker) {
                    Some((_, share)) => *share += seconds.max(0.0),
                    None => shares.push((&turn.speaker, seconds.max(0.0))),
                }
            }
        }
        let most = shares.iter().map(|(_, share)| *share).fold(f64::NEG_INFINITY, f64::max);
        let mut best = shares
            .iter()
            .filter(|(_, share)| *share >= most)
            .map(|(speaker, _)| *speaker);
        let first = best.next();
        let again = before.filter(|before| first == Some(*before) || best.any(|speaker| speaker == *before));
        again.or(first).or_else(|| nearest(near, start, end))
    }

    /// The turns that may touch the time from `start` to `end`.
    fn near(&self, start: f64, end: f64) -> &[&'a SpeakerTurn] {
        let first = self.ends.partition_point(|latest| *latest < start);
        let after = self.turns.partition_point(|turn| turn.start_seconds <= end);
        self.turns.get(first..after).unwrap_or_default()
    }
}

/// The speaker of the turn nearest to a stretch that none covers, the first on ties.
fn nearest<'a>(turns: &[&'a SpeakerTurn], start: f64, end: f64) -> Option<&'a str> {
    let mut best: Option<(&str, f64)> = None;
    for turn in turns {
        let distance = (turn.start_seconds - end).max(start - turn.end_seconds);
        if distance <= NEAR_SECONDS && best.is_none_or(|(_, least)| distance < least) {
            best = Some((&turn.speaker, distance));
        }
    }
    best.map(|(speaker, _)| speaker)
}

/// What is known of a segment, for one of its parts.
fn decoding_of_part(segment: &Segment, part: usize) -> Option<SegmentDecoding> {
    let decoding = segment.decoding.clone()?;
    Some(if part == 0 {
        decoding
    } else {
        SegmentDecoding {
            tokens: Vec::new(),
            token_logprobs: Vec::new(),
            ..decoding
        }
    })
}

fn attributed(word: &Word, speaker: Option<&str>) -> AttributedWord {
    AttributedWord {
        word: word.clone(),
        speaker: speaker.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
