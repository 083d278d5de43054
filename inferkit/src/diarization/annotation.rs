//! Active frames to turns with names.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::diarization::array::Matrix;
use crate::diarization::grid::Grid;
use crate::task::SpeakerTurn;

/// Stretches no longer than this are none (pyannote.core `segment.py`, `SEGMENT_PRECISION`).
const LEAST_SECONDS: f64 = 1e-6;

/// A stretch in which one column is active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Region {
    /// The column of the active frames, that is the cluster.
    pub(crate) column: usize,
    pub(crate) start_seconds: f64,
    pub(crate) end_seconds: f64,
}

/// The regions of `active` `[t, k]` in the order of the original: by start, end and name of the track.
///
/// Gaps of a column shorter than `min_duration_off` are filled; 0 merges nothing.
pub(crate) fn regions(active: &Matrix<bool>, frames: Grid, min_duration_off: f64) -> Vec<Region> {
    let column_regions = |column: usize| {
        let found = column_regions(column, active.iter().map(|row| row[column]), frames);
        if min_duration_off > 0.0 {
            fill_gaps(&found, min_duration_off)
        } else {
            found
        }
    };
    let mut columns: Vec<usize> = (0..active.columns()).collect();
    // Merging names the tracks anew, through all columns in the order of their labels as text.
    if min_duration_off > 0.0 {
        columns.sort_by_key(usize::to_string);
    }
    let mut number = 0;
    let mut tracks: Vec<(Region, String)> = Vec::new();
    for column in columns {
        let found = column_regions(column);
        if min_duration_off > 0.0 {
            tracks.extend(
                found
                    .iter()
                    .enumerate()
                    .map(|(at, region)| (*region, track_name(number + at))),
            );
            number += found.len();
        } else {
            tracks.extend(found.iter().map(|region| (*region, track_name(column))));
        }
    }
    tracks.sort_by(|(a, a_track), (b, b_track)| {
        let by_start = a.start_seconds.total_cmp(&b.start_seconds);
        by_start
            .then(a.end_seconds.total_cmp(&b.end_seconds))
            .then_with(|| a_track.cmp(b_track))
    });
    tracks.into_iter().map(|(region, _)| region).collect()
}

/// The regions of one column: from the middle of its first active frame to the middle of the first that is not, or of the
/// last frame there is.
fn column_regions(column: usize, active: impl Iterator<Item = bool>, frames: Grid) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut begun = None;
    let mut last = 0;
    let mut end = |start: usize, end: usize| {
        let region = Region {
            column,
            start_seconds: frames.middle(start),
            end_seconds: frames.middle(end),
        };
        if region.end_seconds - region.start_seconds > LEAST_SECONDS {
            regions.push(region);
        }
    };
    for (frame, active) in active.enumerate() {
        last = frame;
        match begun {
            Some(start) if !active => {
                end(start, frame);
                begun = None;
            }
            None if active => begun = Some(frame),
            Some(_) | None => {}
        }
    }
    if let Some(start) = begun {
        end(start, last);
    }
    regions
}

/// Joins neighbours that lie less than `seconds` apart.
fn fill_gaps(regions: &[Region], seconds: f64) -> Vec<Region> {
    let mut joined: Vec<Region> = Vec::new();
    for region in regions {
        match joined.last_mut() {
            Some(before) if is_near(before.end_seconds, region.start_seconds, seconds) => {
                before.end_seconds = before.end_seconds.max(region.end_seconds);
            }
            _ => joined.push(*region),
        }
    }
    joined
}

fn is_near(end: f64, start: f64, seconds: f64) -> bool {
    let gap = start - end;
    gap <= LEAST_SECONDS || gap < seconds
}

/// Name of track `number` as the original gives it: A, B, …, Z, AA, AB, ….
fn track_name(number: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = number + 1;
    while rest > 0 {
        let letter = (rest - 1) % 26;
        letters.push(char::from(b'A'.saturating_add(u8::try_from(letter).unwrap_or(0))));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// Labels of the columns that have a region: `SPEAKER_00` and so on, in the order of the columns' numbers as text.
///
/// As in the original, column 10 comes before column 2.
pub(crate) fn labels(regions: &[Region]) -> BTreeMap<usize, String> {
    let spoken: BTreeSet<(String, usize)> = regions
        .iter()
        .map(|region| (region.column.to_string(), region.column))
        .collect();
    let numbered = spoken.into_iter().enumerate();
    numbered
        .map(|(number, (_, column))| (column, format!("SPEAKER_{number:02}")))
        .collect()
}

/// The regions with their columns' labels; regions of columns without one are left out.
pub(crate) fn turns(regions: &[Region], labels: &BTreeMap<usize, String>) -> Vec<SpeakerTurn> {
    let named = regions.iter().filter_map(|region| {
        let label = labels.get(&region.column)?;
        Some(SpeakerTurn::new(label, region.start_seconds, region.end_seconds))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::binarize::hysteresis;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::json;

    const FRAMES: Grid = Grid {
        step_seconds: 270.0 / 16000.0,
        duration_seconds: 991.0 / 16000.0,
    };
    const SECONDS: Grid = Grid {
        step_seconds: 1.0,
        duration_seconds: 0.0,
    };

    fn of_one(active: &[u8], min_duration_off: f64) -> Vec<(f64, f64)> {
        let active = Matrix::new(active.len(), 1, active.iter().map(|on| *on == 1).collect()).unwrap();
        let found = regions(&active, SECONDS, min_duration_off);
        found
            .iter()
            .map(|region| (region.start_seconds, region.end_seconds))
            .collect()
    }

    #[test]
    fn a_turn_ends_at_the_first_silent_frame_or_at_the_last_there_is() {
        assert_eq!(of_one(&[0, 1, 1, 0, 0, 1, 1], 0.0), [(1.0, 3.0), (5.0, 6.0)]);
    }

    #[test]
    fn speech_in_the_last_frame_alone_is_no_turn() {
        assert_eq!(of_one(&[1, 0, 0, 1], 0.0), [(0.0, 1.0)]);
        assert_eq!(of_one(&[], 0.0), []);
    }

    #[test]
    fn only_gaps_shorter_than_the_limit_are_filled() {
        let track = [1, 0, 1, 0, 0, 1, 0];
        assert_eq!(of_one(&track, 1.0), [(0.0, 1.0), (2.0, 3.0), (5.0, 6.0)]);
        assert_eq!(of_one(&track, 1.5), [(0.0, 3.0), (5.0, 6.0)]);
        assert_eq!(of_one(&track, 2.5), [(0.0, 6.0)]);
    }

    #[test]
    fn tracks_are_named_like_columns_of_a_sheet() {
        assert_eq!(
            [0, 25, 26, 27, 701, 702].map(track_name),
            ["A", "Z", "AA", "AB", "ZZ", "AAA"]
        );
    }

    #[test]
    fn labels_follow_the_columns_numbers_as_text() {
        let region = |column| Region {
            column,
            start_seconds: 0.0,
            end_seconds: 1.0,
        };
        let labels = labels(&[region(2), region(10), region(0)]);
        let found: Vec<(usize, &str)> = labels.iter().map(|(column, label)| (*column, label.as_str())).collect();
        assert_eq!(found, [(0, "SPEAKER_00"), (2, "SPEAKER_02"), (10, "SPEAKER_01")]);
    }

    #[test]
    fn regions_are_those_of_the_original() {
        let golden = Golden::open("stages/signal.safetensors");
        let cases = json("stages/signal.json");
        for (number, case) in cases["to_annotation"].as_array().unwrap().iter().enumerate() {
            let scores = golden.f64(&format!("to_annotation.{number}.in"));
            let seconds = |name: &str| case[name].as_f64().unwrap();
            let mut active = Matrix::filled(400, 3, false);
            for column in 0..3 {
                let track = (0..400).map(|frame| scores[frame * 3 + column]);
                for (frame, on) in hysteresis(track, seconds("onset"), seconds("offset"), false).enumerate() {
                    active.row_mut(frame)[column] = on;
                }
            }
            let mut found = regions(&active, FRAMES, seconds("min_duration_off"));
            // The pipelines keep turns however short; the original's function can drop them.
            found.retain(|region| region.end_seconds - region.start_seconds >= seconds("min_duration_on"));
            let expected = case["segments"].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "case {number}");
            for (found, expected) in found.iter().zip(expected) {
                let near = |found: f64, at: usize| (found - expected[at].as_f64().unwrap()).abs() < 1e-6;
                assert!(
                    near(found.start_seconds, 0) && near(found.end_seconds, 1),
                    "{found:?}, not {expected}"
                );
                assert_eq!(expected[2].as_str().unwrap(), found.column.to_string(), "case {number}");
            }
        }
    }
}
