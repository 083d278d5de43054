//! VBx: which vectors come from the same speaker, by variational Bayes over a start that has too many clusters.
//!
//! Source: Landini et al., "Bayesian HMM clustering of x-vector sequences (VBx)" (2022), without the transition model, as
//! pyannote.audio 4.0 has it in `utils/vbx.py`.

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::clustering::numeric::dot;
use crate::diarization::clustering::parallel::for_each_part;
use crate::error::Result;

/// Iterations at most (`clustering.py`, `maxIters`).
const MOST_ITERATIONS: usize = 20;
/// Growth of the bound below which it has converged (`vbx.py`, `epsilon`).
const LEAST_GROWTH: f64 = 1e-4;
/// Certainty of the start: 7 before the softmax (`vbx.py`, `init_smoothing`).
const START_LOGIT: f64 = 7.0;
/// Keeps the logarithm of an empty cluster's share finite.
const LEAST_SHARE: f64 = 1e-8;

/// How the two terms of the bound are weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factors {
    /// Scales what the vectors say (`F_A` in the paper).
    pub(crate) fa: f64,
    /// Scales how strongly speakers are drawn to the mean, and so to be few (`F_B` in the paper).
    pub(crate) fb: f64,
}

/// Which vector belongs to which speaker, and how sure that is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Posterior {
    /// Responsibilities, `[n, k]`; rows sum to 1.
    pub(super) gamma: Matrix<f64>,
    /// Share of each speaker, `[k]`.
    pub(super) pi: Vec<f64>,
    /// The bound after each iteration.
    pub(super) elbo: Vec<f64>,
}

/// The features and what of them does not change.
struct Model<'a> {
    factors: Factors,
    phi: &'a [f64],
    /// Features times √φ, `[n, e]`.
    rho: Matrix<f64>,
    /// −½(|y|² + e·ln 2π) of each vector, `[n]`.
    constant: Vec<f64>,
    pool: &'a Pool,
}

/// A speaker model each: the inverse precision and the mean, both `[k, e]`.
struct Speakers {
    inverse: Matrix<f64>,
    alpha: Matrix<f64>,
}

/// Refines `labels`, numbered from 0 without gaps, of vectors with PLDA features `[n, e]`.
///
/// Costs n·k·e operations for an iteration.
///
/// # Errors
/// That of `check`, which is asked before each iteration.
pub(super) fn refine(
    labels: &[usize],
    features: &Matrix<f64>,
    phi: &[f64],
    factors: Factors,
    (pool, check): (&Pool, &dyn Fn() -> Result<()>),
) -> Result<Posterior> {
    let model = Model::new(features, phi, factors, pool);
    let mut posterior = start(labels);
    for iteration in 0..MOST_ITERATIONS {
        check()?;
        let elbo = model.step(&mut posterior);
        let before = posterior.elbo.last().copied();
        posterior.elbo.push(elbo);
        if before.is_some_and(|before| iteration > 0 && elbo - before < LEAST_GROWTH) {
            break;
        }
    }
    Ok(posterior)
}

/// The start: each vector nearly surely in its cluster, and all clusters of equal share.
fn start(labels: &[usize]) -> Posterior {
    let clusters = labels.iter().max().map_or(0, |last| last + 1);
    let own = START_LOGIT.exp();
    let all = own + clusters as f64 - 1.0;
    let mut gamma = Matrix::filled(labels.len(), clusters, 1.0 / all);
    for (row, label) in labels.iter().enumerate() {
        gamma.row_mut(row)[*label] = own / all;
    }
    Posterior {
        gamma,
        pi: vec![1.0 / clusters as f64; clusters],
        elbo: Vec::new(),
    }
}

impl<'a> Model<'a> {
    fn new(features: &Matrix<f64>, phi: &'a [f64], factors: Factors, pool: &'a Pool) -> Self {
        let normalisation = phi.len() as f64 * (2.0 * std::f64::consts::PI).ln();
        let mut rho = features.clone();
        for row in 0..rho.rows() {
            for (value, phi) in rho.row_mut(row).iter_mut().zip(phi) {
                *value *= phi.sqrt();
            }
        }
        Self {
            factors,
            phi,
            rho,
            constant: features
                .iter()
                .map(|row| -0.5 * (dot(row, row) + normalisation))
                .collect(),
            pool,
        }
    }

    /// One iteration; returns the bound.
    fn step(&self, posterior: &mut Posterior) -> f64 {
        let speakers = self.speakers(&posterior.gamma);
        let evidence = self.assign(&speakers, posterior);
        let terms = speakers.inverse.values().iter().zip(speakers.alpha.values());
        let drawn: f64 = terms
            .map(|(inverse, alpha)| inverse.ln() - inverse - alpha * alpha + 1.0)
            .sum();
        evidence + self.factors.fb * 0.5 * drawn
    }

    /// The speaker models that the responsibilities call for.
    fn speakers(&self, gamma: &Matrix<f64>) -> Speakers {
        let (clusters, width) = (gamma.columns(), self.phi.len());
        let ratio = self.factors.fa / self.factors.fb;
        let turned = turned(gamma);
        let mut inverse = Matrix::filled(clusters, width, 0.0);
        let mut alpha = Matrix::filled(clusters, width, 0.0);
        for (cluster, gamma) in turned.iter().enumerate() {
            let weight: f64 = gamma.iter().sum();
            for (value, phi) in inverse.row_mut(cluster).iter_mut().zip(self.phi) {
                *value = 1.0 / (1.0 + ratio * weight * phi);
            }
        }
        for_each_part(
            self.pool,
            alpha.values_mut().chunks_mut(width.max(1)).collect(),
            |cluster, alpha| {
                for (gamma, rho) in turned.row(cluster).iter().zip(self.rho.iter()) {
                    for (sum, value) in alpha.iter_mut().zip(rho) {
                        *sum += gamma * value;
                    }
                }
                for (value, inverse) in alpha.iter_mut().zip(inverse.row(cluster)) {
                    *value *= ratio * inverse;
                }
            },
        );
        Speakers { inverse, alpha }
    }

    /// Responsibilities and shares by the speaker models; returns the sum of the vectors' log-evidence.
    fn assign(&self, speakers: &Speakers, posterior: &mut Posterior) -> f64 {
        let clusters = posterior.pi.len();
        let models = speakers.inverse.iter().zip(speakers.alpha.iter());
        let penalty: Vec<f64> = models
            .map(|(inverse, alpha)| {
                let terms = inverse.iter().zip(alpha).zip(self.phi);
                0.5 * terms
                    .map(|((inverse, alpha), phi)| (inverse + alpha * alpha) * phi)
                    .sum::<f64>()
            })
            .collect();
        let log_share: Vec<f64> = posterior.pi.iter().map(|share| (share + LEAST_SHARE).ln()).collect();
        let gamma = &mut posterior.gamma;
        for_each_part(
            self.pool,
            gamma.values_mut().chunks_mut(clusters.max(1)).collect(),
            |row, part| {
                for (cluster, value) in part.iter_mut().enumerate() {
                    let likeness = dot(self.rho.row(row), speakers.alpha.row(cluster));
                    let logit = self.factors.fa * (likeness - penalty[cluster] + self.constant[row]);
                    *value = logit + log_share[cluster];
                }
            },
        );
        let mut evidence = 0.0;
        let mut shares = vec![0.0; clusters];
        for row in 0..gamma.rows() {
            let logits = gamma.row_mut(row);
            let sum = log_sum_exp(logits);
            evidence += sum;
            for (logit, share) in logits.iter_mut().zip(&mut shares) {
                *logit = (*logit - sum).exp();
                *share += *logit;
            }
        }
        let all: f64 = shares.iter().sum();
        posterior.pi = shares.into_iter().map(|share| share / all).collect();
        evidence
    }
}

fn turned(matrix: &Matrix<f64>) -> Matrix<f64> {
    let mut turned = Matrix::filled(matrix.columns(), matrix.rows(), 0.0);
    for (at, row) in matrix.iter().enumerate() {
        for (column, value) in row.iter().enumerate() {
            turned.row_mut(column)[at] = *value;
        }
    }
    turned
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    greatest + logits.iter().map(|logit| (logit - greatest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::clustering::ahc::by_threshold;
    use crate::diarization::clustering::numeric::unit_rows;
    use crate::diarization::clustering::plda::Plda;
    use crate::diarization::clustering::training::train_of_golden;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::assert_close;
    use crate::diarization::golden::json;
    use crate::diarization::golden::plda;

    const GOLDEN: [(&str, Factors); 2] = [
        ("0.6", Factors { fa: 0.07, fb: 0.8 }),
        ("0.5", Factors { fa: 0.4, fb: 4.0 }),
    ];

    #[test]
    fn posteriors_are_those_of_the_original() {
        let golden = Golden::open("stages/vbx.safetensors");
        let pool = Pool::new(2);
        let plda = Plda::new(plda()).unwrap();
        let mut compared = 0;
        for name in json("stages/vbx.json").as_object().unwrap().keys() {
            for (threshold, factors) in GOLDEN {
                let tag = format!("{name}.t{threshold}");
                if !golden.has(&format!("{tag}.ahc")) {
                    continue;
                }
                let vectors = train_of_golden(&golden, name).vectors;
                let threshold = threshold.parse().unwrap();
                let labels = by_threshold(&unit_rows(&vectors), threshold, &pool, &|| Ok(())).unwrap();
                let found: Vec<i32> = labels.iter().map(|label| *label as i32).collect();
                assert_eq!(found, golden.i32(&format!("{tag}.ahc")), "{tag}");
                let features = plda.features(&vectors);
                let found = refine(&labels, &features, plda.phi(), factors, (&pool, &|| Ok(()))).unwrap();
                assert_close(found.gamma.values(), &golden.f64(&format!("{tag}.gamma")), 1e-5, &tag);
                assert_close(&found.pi, &golden.f64(&format!("{tag}.pi")), 1e-5, &tag);
                assert_close(&found.elbo, &golden.f64(&format!("{tag}.elbo")), 1e-6, &tag);
                compared += 1;
            }
        }
        assert_eq!(compared, 12);
    }

    #[test]
    fn the_first_iteration_is_that_of_the_original() {
        let golden = Golden::open("stages/vbx.safetensors");
        let pool = Pool::new(1);
        let plda = Plda::new(plda()).unwrap();
        let vectors = train_of_golden(&golden, "six_many").vectors;
        for (threshold, factors) in GOLDEN {
            let tag = format!("six_many.t{threshold}");
            let labels = golden.i32(&format!("{tag}.ahc"));
            let labels: Vec<usize> = labels.iter().map(|label| usize::try_from(*label).unwrap()).collect();
            let features = plda.features(&vectors);
            let model = Model::new(&features, plda.phi(), factors, &pool);
            let mut posterior = start(&labels);
            let speakers = model.speakers(&posterior.gamma);
            assert_close(
                speakers.inverse.values(),
                &golden.f64(&format!("{tag}.iter1.invL")),
                1e-8,
                &tag,
            );
            // Rows of the projection may have the other sign.
            let size = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
            let expected = size(&golden.f64(&format!("{tag}.iter1.alpha")));
            assert_close(&size(speakers.alpha.values()), &expected, 1e-6, &tag);
            model.step(&mut posterior);
            assert_close(
                posterior.gamma.values(),
                &golden.f64(&format!("{tag}.iter1.gamma")),
                1e-5,
                &tag,
            );
            assert_close(&posterior.pi, &golden.f64(&format!("{tag}.iter1.pi")), 1e-5, &tag);
        }
    }

    #[test]
    fn the_start_is_nearly_sure_of_the_labels() {
        let found = start(&[1, 0]);
        let own = 7.0_f64.exp() / (7.0_f64.exp() + 1.0);
        assert_close(found.gamma.values(), &[1.0 - own, own, own, 1.0 - own], 1e-12, "gamma");
        assert_eq!(found.pi, [0.5, 0.5]);
    }
}
