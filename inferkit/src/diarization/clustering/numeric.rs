//! Small vector arithmetic in the order that the originals compute it in.

use crate::diarization::array::Matrix;

/// Values summed by one block of [`pairwise_sum`] (numpy `loops_utils.h`, `PW_BLOCKSIZE`).
const BLOCK: usize = 128;

/// Sum in f32 as numpy adds a contiguous axis up: halves, halves of these, blocks in eight lanes.
///
/// The last bit decides heights of merges to within 1e-7, hence the exact order.
pub(super) fn pairwise_sum(values: &[f32]) -> f32 {
    if values.len() < 8 {
        return values.iter().fold(0.0, |sum, value| sum + value);
    }
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % 8);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0_f32; 8];
    for eight in eights {
        for (lane, value) in lanes.iter_mut().zip(eight) {
            *lane += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter()
        .fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// Each row divided by its length, in f32.
pub(super) fn unit_rows(rows: &Matrix<f32>) -> Matrix<f32> {
    let mut units = rows.clone();
    for row in 0..units.rows() {
        let row = units.row_mut(row);
        let squares: Vec<f32> = row.iter().map(|value| value * value).collect();
        let length = pairwise_sum(&squares).sqrt();
        for value in row {
            *value /= length;
        }
    }
    units
}

/// The mean of the rows that `chosen` tells, in f32 and from the first on; NaN when there is none.
pub(super) fn mean_row(rows: &Matrix<f32>, chosen: impl Iterator<Item = usize>) -> Vec<f32> {
    let mut sum = vec![0.0_f32; rows.columns()];
    let mut count = 0.0_f32;
    for row in chosen {
        count += 1.0;
        for (sum, value) in sum.iter_mut().zip(rows.row(row)) {
            *sum += value;
        }
    }
    sum.iter().map(|sum| sum / count).collect()
}

/// The mean of the rows of each of `clusters` clusters, `[k, d]`.
pub(super) fn cluster_means(rows: &Matrix<f32>, labels: &[usize], clusters: usize) -> Matrix<f32> {
    let mut means = Matrix::filled(clusters, rows.columns(), 0.0);
    for cluster in 0..clusters {
        let members = labels.iter().enumerate().filter(|(_, label)| **label == cluster);
        means
            .row_mut(cluster)
            .copy_from_slice(&mean_row(rows, members.map(|(row, _)| row)));
    }
    means
}

/// Dot product in f64, in eight lanes.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Squared distance in f64, in eight lanes; exactly 0 for equal vectors, and the same both ways.
pub(super) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            lanes[lane] += difference * difference;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Cosine of the angle between two vectors, −1..=1; NaN where one has no direction.
pub(super) fn cosine(a: &[f64], b: &[f64]) -> f64 {
    (dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())).clamp(-1.0, 1.0)
}

/// The place of the greatest value, the first on ties; the first NaN where there is one, as numpy's `argmax` has it.
pub(super) fn arg_max(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if value.is_nan() {
            return at;
        }
        if *value > values[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_all_lengths_agree_with_plain_ones() {
        for length in [0, 1, 7, 8, 9, 127, 128, 129, 256, 300, 1000] {
            let values: Vec<f32> = (0..length).map(|at| at as f32).collect();
            let expected = (0..length).sum::<usize>() as f32;
            assert_eq!(pairwise_sum(&values), expected, "{length}");
        }
    }

    #[test]
    fn a_nan_is_the_greatest_and_the_first_of_equals_wins() {
        assert_eq!(arg_max(&[1.0, f64::NAN, 3.0]), 1);
        assert_eq!(arg_max(&[1.0, 3.0, 3.0]), 1);
    }

    #[test]
    fn equal_vectors_lie_exactly_together() {
        let vector: Vec<f64> = (0..19).map(|at| (at as f64).sin()).collect();
        assert_eq!(squared_distance(&vector, &vector), 0.0);
        assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn the_mean_of_nothing_is_not_a_number() {
        assert!(mean_row(&Matrix::filled(0, 1, 0.0), 0..0)[0].is_nan());
    }
}
