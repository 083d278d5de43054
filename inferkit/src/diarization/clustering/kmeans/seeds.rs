//! k-means++: seeds that lie far apart, chosen by chance.

use crate::diarization::array::Matrix;
use crate::diarization::clustering::numeric::dot;
use crate::diarization::clustering::random::MersenneTwister;

/// The vectors of `[n, d]` where `clusters` clusters begin.
pub(super) fn choose(vectors: &Matrix<f32>, clusters: usize, random: &mut MersenneTwister) -> Vec<usize> {
    let n = vectors.rows();
    let wide = vectors.map(f64::from);
    let trials = 2 + whole((clusters as f64).ln());
    let first = whole(random.uniform() * n as f64).min(n.saturating_sub(1));
    let mut seeds = vec![first];
    let mut closest = distances(&wide, first);
    let mut potential = total(&closest);
    while seeds.len() < clusters {
        let chances: Vec<f64> = (0..trials).map(|_| random.uniform() * f64::from(potential)).collect();
        let cumulative = running_sum(&closest);
        let mut best: Option<(usize, Vec<f32>, f32)> = None;
        for chance in chances {
            let candidate = cumulative
                .partition_point(|sum| f64::from(*sum) < chance)
                .min(n.saturating_sub(1));
            let nearer: Vec<f32> = distances(&wide, candidate)
                .iter()
                .zip(&closest)
                .map(|(distance, closest)| distance.min(*closest))
                .collect();
            let potential = total(&nearer);
            if best.as_ref().is_none_or(|(_, _, least)| potential < *least) {
                best = Some((candidate, nearer, potential));
            }
        }
        let Some((seed, nearer, least)) = best else { break };
        seeds.push(seed);
        (closest, potential) = (nearer, least);
    }
    seeds
}

/// Squared distances of all vectors to vector `to`: computed in f64, rounded to f32, as scikit-learn does.
fn distances(vectors: &Matrix<f64>, to: usize) -> Vec<f32> {
    let to = vectors.row(to);
    let own = dot(to, to);
    #[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
    let distance = |row: &[f64]| (dot(row, row) - 2.0 * dot(row, to) + own).max(0.0) as f32;
    vectors.iter().map(distance).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
fn total(values: &[f32]) -> f32 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() as f32
}

fn running_sum(values: &[f32]) -> Vec<f32> {
    let mut sum = 0.0;
    let sums = values.iter().map(|value| {
        sum += value;
        sum
    });
    sums.collect()
}

/// The whole part of a small positive number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and not negative"
)]
fn whole(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_seed_is_not_where_the_first_is() {
        let vectors = Matrix::new(3, 1, vec![0.0, 0.0, 5.0]).unwrap();
        let mut seeds = choose(&vectors, 2, &mut MersenneTwister::new(42));
        seeds.sort_unstable();
        assert!(seeds[0] < 2 && seeds[1] == 2, "{seeds:?}");
    }
}
