//! Every local speaker to the cluster that it sounds most like.

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;
use crate::diarization::clustering::assignment::assign;
use crate::diarization::clustering::numeric::arg_max;
use crate::diarization::clustering::numeric::cosine;
use crate::diarization::clustering::parallel::for_each_part;
use crate::diarization::reconstruct::Assignment;

/// Likeness of every embedding `[c, s, d]` to every centroid `[k, d]`: 2 less the cosine distance, `[c·s, k]`.
pub(super) fn scores(embeddings: &Windows<f32>, centroids: &Matrix<f64>, pool: &Pool) -> Matrix<f64> {
    let [windows, speakers, _] = embeddings.shape();
    let mut scores = Matrix::filled(windows * speakers, centroids.rows(), 0.0);
    let of_window = (speakers * centroids.rows()).max(1);
    for_each_part(
        pool,
        scores.values_mut().chunks_mut(of_window).collect(),
        |window, part| {
            for (speaker, scores) in part.chunks_exact_mut(centroids.rows()).enumerate() {
                let voice: Vec<f64> = embeddings
                    .row(window, speaker)
                    .iter()
                    .map(|value| f64::from(*value))
                    .collect();
                for (centroid, score) in centroids.iter().zip(scores) {
                    *score = 1.0 + cosine(&voice, centroid);
                }
            }
        },
    );
    scores
}

/// The best cluster of each local speaker, whatever the others of its window have.
pub(super) fn most_alike(scores: &Matrix<f64>, speakers: usize) -> Assignment {
    let mut assignment = Matrix::filled(scores.rows() / speakers.max(1), speakers, None);
    for (best, scores) in assignment.values_mut().iter_mut().zip(scores.iter()) {
        *best = Some(arg_max(scores));
    }
    assignment
}

/// The clusters of the local speakers of each window, each cluster for one of them at most, for the greatest total.
///
/// Silent speakers (`active` is `[c, f, s]`) take what the others leave.
pub(super) fn one_each(scores: &Matrix<f64>, active: &Windows<bool>) -> Assignment {
    let [windows, _, speakers] = active.shape();
    let finite = scores.values().iter().copied().filter(|score| !score.is_nan());
    let least = finite.fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 0.0 };
    // The original's minimum is no number as soon as one score is none; silent speakers then end at the least score.
    let silent_score = if scores.values().iter().any(|score| score.is_nan()) {
        least
    } else {
        least - 1.0
    };
    let mut assignment = Matrix::filled(windows, speakers, None);
    for window in 0..windows {
        let silent: Vec<bool> = (0..speakers)
            .map(|speaker| !active.rows(window).any(|row| row[speaker]))
            .collect();
        let found = assign(speakers, scores.columns(), |speaker, cluster| {
            let score = scores.row(window * speakers + speaker)[cluster];
            match (silent[speaker], score.is_nan()) {
                (true, _) => silent_score,
                (false, true) => least,
                (false, false) => score,
            }
        });
        assignment.row_mut(window).copy_from_slice(&found);
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_along_a_centroid_scores_two_and_against_it_nothing() {
        let voices = Windows::new([1, 2, 2], vec![3.0, 0.0, -1.0, 0.0]).unwrap();
        let centroids = Matrix::new(2, 2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        let found = scores(&voices, &centroids, &Pool::new(1));
        assert_eq!(found.values(), [2.0, 1.0, 0.0, 1.0]);
        assert_eq!(most_alike(&found, 2).values(), [Some(0), Some(1)]);
    }

    #[test]
    fn two_speakers_of_a_window_get_clusters_of_their_own() {
        let scores = Matrix::new(2, 2, vec![1.9, 1.8, 1.7, 1.0]).unwrap();
        let active = Windows::new([1, 1, 2], vec![true, true]).unwrap();
        assert_eq!(one_each(&scores, &active).values(), [Some(1), Some(0)]);
    }

    #[test]
    fn a_silent_speaker_takes_what_is_left() {
        let scores = Matrix::new(2, 2, vec![1.9, 1.8, 1.7, 1.0]).unwrap();
        let active = Windows::new([1, 1, 2], vec![false, true]).unwrap();
        assert_eq!(one_each(&scores, &active).values(), [Some(1), Some(0)]);
        let scores = Matrix::new(2, 1, vec![1.9, f64::NAN]).unwrap();
        let active = Windows::new([1, 1, 2], vec![true, true]).unwrap();
        assert_eq!(one_each(&scores, &active).values(), [Some(0), None]);
    }

    #[test]
    fn without_clusters_nobody_gets_one() {
        let scores = Matrix::filled(2, 0, 0.0);
        let active = Windows::new([1, 1, 2], vec![true, true]).unwrap();
        assert_eq!(one_each(&scores, &active).values(), [None, None]);
    }
}
