//! From clusters to the result: frames, turns, names and voices.

use std::collections::BTreeMap;

use crate::diarization::aggregate::Layout;
use crate::diarization::annotation::labels;
use crate::diarization::annotation::regions;
use crate::diarization::annotation::turns;
use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;
use crate::diarization::clustering::Clusters;
use crate::diarization::reconstruct::activations;
use crate::diarization::reconstruct::drop_silent;
use crate::diarization::reconstruct::most_active;
use crate::task::DiarizationResult;

/// What the windows said, and what the pipeline adds to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// Scores `[c, f, s]`: 0 and 1 for models with powerset, raw for others.
    pub(crate) scores: &'a Windows<f32>,
    /// Who is active, `[c, f, s]`.
    pub(crate) active: &'a Windows<bool>,
    /// People who speak in each frame, `[t]`.
    pub(crate) count: &'a [usize],
    /// Where windows and frames lie.
    pub(crate) layout: Layout,
    /// More people than this never speak at once.
    pub(crate) max_speakers: Option<usize>,
    /// Gaps of a speaker shorter than this are filled, in seconds.
    pub(crate) min_duration_off: f64,
}

impl Finish<'_> {
    /// Who speaks when, once it is known which local speakers are the same person.
    pub(crate) fn result(&self, clusters: &Clusters) -> DiarizationResult {
        let assignment = drop_silent(&clusters.assignment, self.active);
        let activations = activations(self.scores, &assignment, self.layout);
        let frames_with = |most: usize| {
            let count: Vec<usize> = self.count.iter().map(|count| *count.min(&most)).collect();
            most_active(&activations, &count)
        };
        let most = self.max_speakers.unwrap_or(usize::MAX);
        let to_regions = |active: &Matrix<bool>| regions(active, self.layout.frames, self.min_duration_off);
        let full = to_regions(&frames_with(most));
        let exclusive = to_regions(&frames_with(most.min(1)));
        let labels = labels(&full);
        let mut result = DiarizationResult::new(
            turns(&full, &labels),
            turns(&exclusive, &labels),
            Vec::with_capacity(labels.len()),
        );
        (result.speakers, result.embeddings) = voices(&labels, &clusters.centroids);
        result
    }
}

/// The labels as sorted text, each with its column's centroid; zeros where a column has none.
fn voices(labels: &BTreeMap<usize, String>, centroids: &Matrix<f32>) -> (Vec<String>, Vec<Vec<f32>>) {
    let mut named: Vec<(&String, usize)> = labels.iter().map(|(column, label)| (label, *column)).collect();
    named.sort();
    let voice = |column: usize| {
        if column < centroids.rows() {
            centroids.row(column).to_vec()
        } else {
            vec![0.0; centroids.columns()]
        }
    };
    named
        .into_iter()
        .map(|(label, column)| (label.clone(), voice(column)))
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::grid::Grid;
    use crate::task::SpeakerTurn;

    const SECONDS: Grid = Grid {
        step_seconds: 1.0,
        duration_seconds: 0.0,
    };

    /// One window of six frames and two local speakers, the second of whom joins in for frames 2 and 3.
    fn result(max_speakers: Option<usize>) -> DiarizationResult {
        let scores = Windows::new([1, 6, 2], vec![1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0]).unwrap();
        let layout = Layout {
            windows: Grid {
                step_seconds: 1.0,
                duration_seconds: 5.0,
            },
            frames: SECONDS,
        };
        let finish = Finish {
            scores: &scores.map(|score| score as f32),
            active: &scores.map(|score| score == 1),
            count: &[1, 1, 2, 2, 1, 0],
            layout,
            max_speakers,
            min_duration_off: 0.0,
        };
        finish.result(&Clusters {
            assignment: Matrix::new(1, 2, vec![Some(1), Some(0)]).unwrap(),
            centroids: Matrix::new(2, 1, vec![10.0, 11.0]).unwrap(),
        })
    }

    #[test]
    fn overlapped_speech_belongs_to_both_and_exclusively_to_the_lower_cluster() {
        let result = result(None);
        let turn = |speaker: &str, start, end| SpeakerTurn::new(speaker, start, end);
        assert_eq!(
            result.turns,
            [turn("SPEAKER_01", 0.0, 4.0), turn("SPEAKER_00", 2.0, 5.0)]
        );
        assert_eq!(
            result.exclusive_turns,
            [turn("SPEAKER_01", 0.0, 2.0), turn("SPEAKER_00", 2.0, 5.0)]
        );
        assert_eq!(result.speakers, ["SPEAKER_00", "SPEAKER_01"]);
        assert_eq!(result.embeddings, [[10.0], [11.0]]);
    }

    #[test]
    fn no_more_speak_at_once_than_there_may_be() {
        let result = result(Some(1));
        assert_eq!(result.turns, result.exclusive_turns);
    }
}
