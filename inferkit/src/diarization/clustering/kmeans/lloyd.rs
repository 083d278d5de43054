//! Lloyd's iterations: vectors to their nearest centres, centres to the means of their vectors.

use crate::diarization::array::Matrix;
use crate::diarization::clustering::kmeans::Run;
use crate::error::Result;

/// Iterations at most (scikit-learn's default).
const MOST_ITERATIONS: usize = 300;

/// Runs from the vectors `seeds` of `[n, d]` until nothing changes or the centres move by less than `tolerance`.
///
/// # Errors
/// That of `check`, which is asked before each iteration.
pub(super) fn run(
    vectors: &Matrix<f32>,
    seeds: &[usize],
    tolerance: f64,
    check: &dyn Fn() -> Result<()>,
) -> Result<Run> {
    let mut centres = Matrix::filled(seeds.len(), vectors.columns(), 0.0);
    for (cluster, seed) in seeds.iter().enumerate() {
        centres.row_mut(cluster).copy_from_slice(vectors.row(*seed));
    }
    let mut labels: Vec<usize> = Vec::new();
    let mut settled = false;
    for _ in 0..MOST_ITERATIONS {
        check()?;
        let before = std::mem::replace(&mut labels, nearest(vectors, &centres));
        let means = Means::new(vectors, &labels, &centres).finish();
        let shift: f64 = means
            .iter()
            .zip(centres.iter())
            .map(|(mean, centre)| f64::from(squared(mean, centre)))
            .sum();
        centres = means;
        settled = labels == before;
        if settled || shift <= tolerance {
            break;
        }
    }
    if !settled {
        // The centres moved after the labels were given.
        labels = nearest(vectors, &centres);
    }
    let inertia = vectors
        .iter()
        .zip(&labels)
        .map(|(vector, label)| squared(vector, centres.row(*label)))
        .sum();
    Ok(Run { labels, inertia })
}

/// The nearest centre of each vector, the first on ties.
fn nearest(vectors: &Matrix<f32>, centres: &Matrix<f32>) -> Vec<usize> {
    let norms: Vec<f32> = centres.iter().map(|centre| dot(centre, centre)).collect();
    let label = |vector: &[f32]| {
        let mut best = (0, f32::INFINITY);
        for (cluster, (centre, norm)) in centres.iter().zip(&norms).enumerate() {
            // The vector's own norm is the same for all.
            let distance = norm - 2.0 * dot(vector, centre);
            if distance < best.1 {
                best = (cluster, distance);
            }
        }
        best.0
    };
    vectors.iter().map(label).collect()
}

/// The means of clusters in the making.
struct Means {
    sums: Matrix<f32>,
    weights: Vec<f32>,
}

impl Means {
    /// Sums of the clusters' vectors. An empty cluster takes the vector that lies farthest from its centre.
    fn new(vectors: &Matrix<f32>, labels: &[usize], centres: &Matrix<f32>) -> Self {
        let mut means = Self {
            sums: Matrix::filled(centres.rows(), centres.columns(), 0.0),
            weights: vec![0.0; centres.rows()],
        };
        for (vector, label) in vectors.iter().zip(labels) {
            means.weights[*label] += 1.0;
            for (sum, value) in means.sums.row_mut(*label).iter_mut().zip(vector) {
                *sum += value;
            }
        }
        let empty: Vec<usize> = (0..centres.rows())
            .filter(|cluster| means.weights[*cluster] == 0.0)
            .collect();
        if !empty.is_empty() {
            let mut far: Vec<usize> = (0..vectors.rows()).collect();
            let distance = |row: usize| squared(vectors.row(row), centres.row(labels[row]));
            far.sort_by(|a, b| distance(*b).total_cmp(&distance(*a)));
            for (cluster, row) in empty.into_iter().zip(far) {
                means.relocate(cluster, labels[row], vectors.row(row));
            }
        }
        means
    }

    /// Moves a vector from cluster `from` to the empty cluster `to`.
    fn relocate(&mut self, to: usize, from: usize, vector: &[f32]) {
        for (sum, value) in self.sums.row_mut(from).iter_mut().zip(vector) {
            *sum -= value;
        }
        self.sums.row_mut(to).copy_from_slice(vector);
        self.weights[to] = 1.0;
        self.weights[from] -= 1.0;
    }

    /// The means; a cluster that lost its last vector gets that of the largest.
    fn finish(mut self) -> Matrix<f32> {
        for (cluster, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            for sum in self.sums.row_mut(cluster) {
                *sum /= weight;
            }
        }
        let mut largest = 0;
        for (cluster, weight) in self.weights.iter().enumerate() {
            if *weight > self.weights[largest] {
                largest = cluster;
            }
        }
        for (cluster, weight) in self.weights.iter().enumerate() {
            if *weight == 0.0 {
                let centre = self.sums.row(largest).to_vec();
                self.sums.row_mut(cluster).copy_from_slice(&centre);
            }
        }
        self.sums
    }
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_are_found_from_seeds_in_one_of_them() {
        let vectors = Matrix::new(4, 1, vec![0.0, 1.0, 10.0, 11.0]).unwrap();
        let found = run(&vectors, &[0, 1], 0.0, &|| Ok(())).unwrap();
        assert_eq!((found.labels, found.inertia), (vec![0, 0, 1, 1], 1.0));
    }

    #[test]
    fn an_empty_cluster_takes_the_farthest_vector() {
        let vectors = Matrix::new(3, 1, vec![0.0, 0.0, 6.0]).unwrap();
        let centres = Matrix::new(2, 1, vec![0.0, 0.0]).unwrap();
        let means = Means::new(&vectors, &[0, 0, 0], &centres).finish();
        assert_eq!(means.values(), [0.0, 6.0]);
    }

    #[test]
    fn a_run_that_nobody_wants_ends() {
        let cancelled = || Err(crate::error::Error::cancelled());
        assert!(run(&Matrix::filled(2, 1, 0.0), &[0], 0.0, &cancelled).is_err());
    }
}
