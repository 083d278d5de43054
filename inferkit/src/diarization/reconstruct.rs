//! Clusters of the windows' local speakers to who is active in each frame of the recording.

use crate::diarization::aggregate::Layout;
use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;

/// The cluster of each (window, local speaker), `[c, s]`; `None` belongs to nobody.
pub(crate) type Assignment = Matrix<Option<usize>>;

/// Takes the clusters from local speakers that are silent in their window (`active` is `[c, f, s]`).
pub(crate) fn drop_silent(assignment: &Assignment, active: &Windows<bool>) -> Assignment {
    let mut kept = assignment.clone();
    for window in 0..kept.rows() {
        for (speaker, cluster) in kept.row_mut(window).iter_mut().enumerate() {
            if !active.rows(window).any(|row| row[speaker]) {
                *cluster = None;
            }
        }
    }
    kept
}

/// How strongly each cluster is active in each frame, `[t, k]`: sums over the windows that cover the frame.
///
/// In a window a cluster is as active as the most active of its local speakers. `scores` `[c, f, s]` are 0 and 1 for models
/// with powerset, and raw, not binary, for others. Clusters are those of `assignment`.
pub(crate) fn activations(scores: &Windows<f32>, assignment: &Assignment, layout: Layout) -> Matrix<f32> {
    let [windows, _, _] = scores.shape();
    let clusters = assignment.values().iter().flatten().max().map_or(0, |last| last + 1);
    let mut sums = Matrix::filled(layout.frames_in_all(windows), clusters, 0.0_f32);
    for window in 0..windows {
        let first = layout.first_frame(window);
        for cluster in members(assignment.row(window)) {
            let local = assignment.row(window);
            for (frame, row) in scores.rows(window).enumerate().take(sums.rows().saturating_sub(first)) {
                let of_cluster = row.iter().zip(local).filter(|(_, own)| **own == Some(cluster));
                let most = of_cluster.map(|(score, _)| *score).fold(f32::NEG_INFINITY, f32::max);
                if most.is_finite() {
                    sums.row_mut(first + frame)[cluster] += most;
                }
            }
        }
    }
    sums
}

/// The clusters in a window, each once.
fn members(local: &[Option<usize>]) -> Vec<usize> {
    let mut clusters: Vec<usize> = local.iter().flatten().copied().collect();
    clusters.sort_unstable();
    clusters.dedup();
    clusters
}

/// Who is active: in frame `i` the `count[i]` clusters with the greatest activations, lower clusters first on ties.
///
/// The result is `[t, k]`, or as wide as the greatest count where that is more: people whom no cluster describes are
/// still counted, as in the original.
pub(crate) fn most_active(activations: &Matrix<f32>, count: &[usize]) -> Matrix<bool> {
    let clusters = activations.columns().max(count.iter().copied().max().unwrap_or(0));
    let mut active = Matrix::filled(activations.rows(), clusters, false);
    let mut order: Vec<usize> = Vec::new();
    for (frame, count) in count.iter().enumerate().take(activations.rows()) {
        let row = activations.row(frame);
        let activation = |cluster: usize| row.get(cluster).copied().unwrap_or(0.0);
        order.clear();
        order.extend(0..clusters);
        // Stable, so that lower clusters stay first.
        order.sort_by(|a, b| activation(*b).total_cmp(&activation(*a)));
        for cluster in order.iter().take(*count) {
            active.row_mut(frame)[*cluster] = true;
        }
    }
    active
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;
    use crate::diarization::grid::Grid;

    const LAYOUT: Layout = Layout {
        windows: Grid {
            step_seconds: 1.0,
            duration_seconds: 10.0,
        },
        frames: Grid {
            step_seconds: 270.0 / 16000.0,
            duration_seconds: 991.0 / 16000.0,
        },
    };

    #[test]
    fn the_most_active_clusters_are_those_of_the_original() {
        let golden = Golden::open("stages/signal.safetensors");
        for case in 0..3 {
            let shape = golden.shape(&format!("to_diarization.{case}.in"));
            let [windows, frames, clusters] = shape[..] else {
                panic!("three dimensions")
            };
            let scores: Vec<f32> = golden
                .f64(&format!("to_diarization.{case}.in"))
                .iter()
                .map(|score| *score as f32)
                .collect();
            let scores = Windows::new([windows, frames, clusters], scores).unwrap();
            // Local speaker k of each window is cluster k.
            let own: Vec<Option<usize>> = (0..windows).flat_map(|_| (0..clusters).map(Some)).collect();
            let assignment = Matrix::new(windows, clusters, own).unwrap();
            let count: Vec<usize> = golden
                .u8(&format!("to_diarization.{case}.count"))
                .iter()
                .map(|count| usize::from(*count))
                .collect();
            let found = most_active(&activations(&scores, &assignment, LAYOUT), &count);
            let expected = golden.u8(&format!("to_diarization.{case}.out"));
            let found: Vec<u8> = found.values().iter().map(|active| u8::from(*active)).collect();
            assert_eq!(found, expected, "case {case}");
        }
    }

    #[test]
    fn of_two_local_speakers_of_a_cluster_the_more_active_counts() {
        let scores = Windows::new([1, 2, 3], vec![0.2, 0.9, 0.5, 0.4, 0.1, 0.5]).unwrap();
        let assignment = Matrix::new(1, 3, vec![Some(0), Some(0), Some(1)]).unwrap();
        let found = activations(&scores, &assignment, LAYOUT);
        assert_eq!(
            (found.row(0), found.row(1)),
            ([0.9, 0.5].as_slice(), [0.4, 0.5].as_slice())
        );
    }

    #[test]
    fn lower_clusters_win_ties_and_silence_is_silent() {
        let activations = Matrix::new(3, 2, vec![1.0, 1.0, 0.0, 2.0, 5.0, 5.0]).unwrap();
        let found = most_active(&activations, &[1, 1, 0]);
        assert_eq!(found.values(), [true, false, false, true, false, false]);
    }

    #[test]
    fn more_speakers_than_clusters_get_columns_of_their_own() {
        let found = most_active(&Matrix::filled(1, 1, 0.0), &[2]);
        assert_eq!((found.columns(), found.values()), (2, [true, true].as_slice()));
    }

    #[test]
    fn a_silent_local_speaker_loses_its_cluster() {
        let active = Windows::new([1, 2, 2], vec![false, false, false, true]).unwrap();
        let assignment = Matrix::new(1, 2, vec![Some(3), Some(4)]).unwrap();
        assert_eq!(drop_silent(&assignment, &active).values(), [None, Some(4)]);
    }
}
