//! K-means, for when a number of speakers is forced.
//!
//! scikit-learn's `KMeans(n_clusters, n_init=3, random_state=42)` with its defaults: k-means++ seeds (Arthur and
//! Vassilvitskii 2007, several trials a seed), Lloyd's iterations, the best of three runs. Labels are cluster numbers and
//! decide names, so random numbers, order and width of the arithmetic are followed too.

mod lloyd;
mod seeds;

use crate::diarization::array::Matrix;
use crate::diarization::clustering::random::MersenneTwister;
use crate::error::Result;

/// Runs from different seeds (`clustering.py`, `n_init`).
const RUNS: usize = 3;
/// Where the random numbers begin (`clustering.py`, `random_state`).
const RANDOM_STATE: u32 = 42;
/// Shift of the centres, relative to the variance, below which a run has converged (scikit-learn's default).
const TOLERANCE: f64 = 1e-4;

/// One clustering.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// The cluster of each vector, `[n]`.
    pub(super) labels: Vec<usize>,
    /// Sum of squared distances to the centres.
    pub(super) inertia: f32,
}

/// Puts vectors `[n, d]` into `clusters` clusters, `1 ≤ clusters ≤ n`.
///
/// # Errors
/// That of `check`, which is asked before each iteration.
pub(super) fn kmeans(vectors: &Matrix<f32>, clusters: usize, check: &dyn Fn() -> Result<()>) -> Result<Run> {
    let (centred, variance) = centre(vectors);
    let tolerance = variance * TOLERANCE;
    let mut random = MersenneTwister::new(RANDOM_STATE);
    let mut best: Option<Run> = None;
    for _ in 0..RUNS {
        let seeds = seeds::choose(&centred, clusters, &mut random);
        let run = lloyd::run(&centred, &seeds, tolerance, check)?;
        let better = match &best {
            None => true,
            Some(best) => run.inertia < best.inertia && !refines(&run.labels, &best.labels, clusters),
        };
        if better {
            best = Some(run);
        }
    }
    Ok(best.unwrap_or_else(|| Run {
        labels: vec![0; vectors.rows()],
        inertia: 0.0,
    }))
}

/// The vectors less their mean, and the mean variance of a column before.
fn centre(vectors: &Matrix<f32>) -> (Matrix<f32>, f64) {
    let count = vectors.rows() as f32;
    let mean = super::numeric::mean_row(vectors, 0..vectors.rows());
    let mut centred = vectors.clone();
    let mut squares = vec![0.0_f32; vectors.columns()];
    for row in 0..centred.rows() {
        for ((value, mean), square) in centred.row_mut(row).iter_mut().zip(&mean).zip(&mut squares) {
            *value -= mean;
            *square += *value * *value;
        }
    }
    let variance: f64 = squares.iter().map(|square| f64::from(square / count)).sum();
    (centred, variance / vectors.columns().max(1) as f64)
}

/// Whether every cluster of `labels` lies in one cluster of `others`.
fn refines(labels: &[usize], others: &[usize], clusters: usize) -> bool {
    let mut home = vec![None; clusters];
    labels
        .iter()
        .zip(others)
        .all(|(label, other)| *home[*label].get_or_insert(*other) == *other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::json;

    #[test]
    fn seeds_and_labels_are_those_of_the_original() {
        let golden = Golden::open("stages/kmeans.safetensors");
        for (number, case) in json("stages/kmeans.json").as_array().unwrap().iter().enumerate() {
            let size = |name: &str| usize::try_from(case[name].as_u64().unwrap()).unwrap();
            let vectors = Matrix::new(size("n"), size("dim"), golden.f32(&format!("{number}.x"))).unwrap();
            let mut random = MersenneTwister::new(RANDOM_STATE);
            let centred = centre(&vectors).0;
            let seeds: Vec<i32> = (0..RUNS)
                .flat_map(|_| seeds::choose(&centred, size("k"), &mut random))
                .map(|seed| seed as i32)
                .collect();
            assert_eq!(seeds, golden.i32(&format!("{number}.seeds")), "seeds of case {number}");
            let run = kmeans(&vectors, size("k"), &|| Ok(())).unwrap();
            let labels: Vec<i32> = run.labels.iter().map(|label| *label as i32).collect();
            assert_eq!(
                labels,
                golden.i32(&format!("{number}.labels")),
                "labels of case {number}"
            );
            let inertia = case["inertia"].as_f64().unwrap();
            // Sums in f32, of up to 200 · 24 squares.
            assert!(
                (f64::from(run.inertia) - inertia).abs() < 1e-5 * inertia,
                "case {number}: {}",
                run.inertia
            );
        }
    }

    #[test]
    fn as_many_clusters_as_vectors_give_one_each() {
        let vectors = Matrix::new(4, 1, vec![0.0, 1.0, 5.0, 9.0]).unwrap();
        let mut labels = kmeans(&vectors, 4, &|| Ok(())).unwrap().labels;
        labels.sort_unstable();
        assert_eq!(labels, [0, 1, 2, 3]);
    }

    #[test]
    fn equal_vectors_are_one_cluster_however_many_are_asked_for() {
        let labels = kmeans(&Matrix::filled(5, 2, 1.0), 2, &|| Ok(())).unwrap().labels;
        assert_eq!(labels.len(), 5);
    }

    #[test]
    fn a_clustering_that_only_splits_another_is_not_a_different_one() {
        assert!(refines(&[0, 1, 2], &[0, 0, 1], 3));
        assert!(!refines(&[0, 0, 1], &[0, 1, 1], 2));
    }
}
