//! The diarization error rate: how much of the speech is given to nobody, to the wrong person, or made up.
//!
//! Source: pyannote.metrics 4.2, `DiarizationErrorRate` and `GreedyDiarizationErrorRate`; the measure is that of NIST's
//! Rich Transcription evaluations.

mod mapping;
mod region;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use region::Interval;

use crate::task::SpeakerTurn;

/// How to compare two diarizations.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DerOptions {
    /// Seconds around each border of a reference turn that do not count: **the full width**, half of it on each side. Other
    /// tools give the half.
    pub collar_seconds: f64,
    /// Whether speech of several at once is left out.
    pub skip_overlap: bool,
    /// The stretches of the recording that count, as start and end in seconds; empty is all of it, from the first turn to
    /// the end of the last.
    pub evaluated: Vec<(f64, f64)>,
    /// How speakers of the two are paired.
    pub pairing: Pairing,
}

/// How speakers of the hypothesis are paired with those of the reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pairing {
    /// For the greatest time that pairs speak together.
    #[default]
    Optimal,
    /// The pair with the most time first, then the next of those left.
    Greedy,
}

/// Seconds of speech by how they were found. Speech of several people counts for each of them.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DiarizationError {
    /// Speech in the reference.
    pub total_seconds: f64,
    /// Given to the right speaker.
    pub correct_seconds: f64,
    /// Given to another speaker.
    pub confusion_seconds: f64,
    /// Not found.
    pub missed_seconds: f64,
    /// Found where nobody speaks.
    pub false_alarm_seconds: f64,
    /// The speaker of the reference who is meant by each of the hypothesis; those without a partner are left out.
    pub mapping: BTreeMap<String, String>,
}

impl DiarizationError {
    /// Errors by speech; can exceed 1. Without speech in the reference it is 0, or 1 where any was made up.
    pub fn rate(&self) -> f64 {
        if self.total_seconds > 0.0 {
            return (self.false_alarm_seconds + self.missed_seconds + self.confusion_seconds) / self.total_seconds;
        }
        if self.false_alarm_seconds > 0.0 { 1.0 } else { 0.0 }
    }
}

/// Compares `hypothesis` with `reference`.
pub fn diarization_error(
    reference: &[SpeakerTurn],
    hypothesis: &[SpeakerTurn],
    options: &DerOptions,
) -> DiarizationError {
    let evaluated = evaluated(reference, hypothesis, options);
    let reference_names = names(reference);
    let hypothesis_names = names(hypothesis);
    let reference = crop(reference, &reference_names, &evaluated);
    let hypothesis = crop(hypothesis, &hypothesis_names, &evaluated);
    let together = mapping::together(&hypothesis, hypothesis_names.len(), &reference, reference_names.len());
    let partners = match options.pairing {
        Pairing::Optimal => mapping::optimal(&together),
        Pairing::Greedy => mapping::greedy(&together),
    };
    let mut error = add_up(&reference, &hypothesis, &partners);
    let pairs = hypothesis_names.iter().zip(&partners);
    error.mapping = pairs
        .filter_map(|(name, partner)| Some(((*name).to_owned(), reference_names[(*partner)?].to_owned())))
        .collect();
    error
}

/// A turn or a part of one, with its speaker's number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    speaker: usize,
    interval: Interval,
}

fn interval(turn: &SpeakerTurn) -> Interval {
    Interval {
        start: turn.start_seconds,
        end: turn.end_seconds,
    }
}

/// The stretches that count.
fn evaluated(reference: &[SpeakerTurn], hypothesis: &[SpeakerTurn], options: &DerOptions) -> Vec<Interval> {
    let all = reference
        .iter()
        .chain(hypothesis)
        .map(interval)
        .filter(Interval::is_real);
    let given = options.evaluated.iter().map(|(start, end)| Interval {
        start: *start,
        end: *end,
    });
    let mut regions = if options.evaluated.is_empty() {
        region::extent(all).into_iter().collect()
    } else {
        region::union(given)
    };
    if options.collar_seconds > 0.0 {
        let half = options.collar_seconds / 2.0;
        let borders = reference.iter().flat_map(|turn| [turn.start_seconds, turn.end_seconds]);
        let collars = borders.map(|border| Interval {
            start: border - half,
            end: border + half,
        });
        regions = region::subtract(&regions, &region::union(collars));
    }
    if options.skip_overlap {
        let overlaps = reference.iter().enumerate().flat_map(|(at, turn)| {
            reference[at + 1..]
                .iter()
                .map(move |other| interval(turn).intersection(&interval(other)))
        });
        regions = region::subtract(&regions, &region::union(overlaps));
    }
    regions
}

/// The speakers in the order of their names.
fn names(turns: &[SpeakerTurn]) -> Vec<&str> {
    let names: BTreeSet<&str> = turns.iter().map(|turn| turn.speaker.as_str()).collect();
    names.into_iter().collect()
}

/// The parts of `turns` inside the stretches that count.
fn crop(turns: &[SpeakerTurn], names: &[&str], evaluated: &[Interval]) -> Vec<Piece> {
    let inside = |turn: &SpeakerTurn| {
        let speaker = names.binary_search(&turn.speaker.as_str()).unwrap_or_default();
        let whole = interval(turn);
        // The stretches are sorted and disjoint.
        let first = evaluated.partition_point(|stretch| stretch.end <= whole.start);
        let near = evaluated[first..]
            .iter()
            .take_while(move |stretch| stretch.start < whole.end);
        near.map(move |stretch| whole.intersection(stretch))
            .filter(Interval::is_real)
            .map(move |interval| Piece { speaker, interval })
    };
    turns.iter().flat_map(inside).collect()
}

/// Walks over all borders and adds up how the speakers between two of them match.
fn add_up(reference: &[Piece], hypothesis: &[Piece], partners: &[Option<usize>]) -> DiarizationError {
    /// A border of a piece: how the number of times that a speaker is heard changes there.
    struct Border {
        seconds: f64,
        of_reference: bool,
        speaker: usize,
        change: i64,
    }
    let both = reference
        .iter()
        .map(|piece| (piece, true))
        .chain(hypothesis.iter().map(|piece| (piece, false)));
    let mut borders: Vec<Border> = both
        .flat_map(|(piece, of_reference)| {
            let at = |seconds, change| Border {
                seconds,
                of_reference,
                speaker: piece.speaker,
                change,
            };
            [at(piece.interval.start, 1), at(piece.interval.end, -1)]
        })
        .collect();
    borders.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut speaking = Speaking::default();
    let mut error = DiarizationError::default();
    let mut before = 0.0;
    for border in borders {
        speaking.count(border.seconds - before, partners, &mut error);
        before = border.seconds;
        let group = if border.of_reference {
            &mut speaking.reference
        } else {
            &mut speaking.hypothesis
        };
        *group.entry(border.speaker).or_default() += border.change;
        group.retain(|_, times| *times != 0);
    }
    error
}

/// Who speaks between two borders, and how many times over.
#[derive(Default)]
struct Speaking {
    reference: BTreeMap<usize, i64>,
    hypothesis: BTreeMap<usize, i64>,
}

impl Speaking {
    /// Adds `seconds` of this state.
    fn count(&self, seconds: f64, partners: &[Option<usize>], error: &mut DiarizationError) {
        let in_reference: i64 = self.reference.values().sum();
        let in_hypothesis: i64 = self.hypothesis.values().sum();
        let matched: i64 = self
            .hypothesis
            .iter()
            .filter_map(|(speaker, times)| Some(*self.reference.get(&partners[*speaker]?)?.min(times)))
            .sum();
        let time = |people: i64| people.max(0) as f64 * seconds;
        error.total_seconds += time(in_reference);
        error.correct_seconds += time(matched);
        error.confusion_seconds += time(in_reference.min(in_hypothesis) - matched);
        error.missed_seconds += time(in_reference - in_hypothesis);
        error.false_alarm_seconds += time(in_hypothesis - in_reference);
    }
}

#[cfg(test)]
mod tests;
