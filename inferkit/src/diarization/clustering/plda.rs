//! Probabilistic linear discriminant analysis: embeddings to features in which speakers differ and sessions do not.
//!
//! Source: pyannote.audio 4.0 `core/plda.py` and `utils/vbx.py`, `vbx_setup`.

use crate::diarization::array::Matrix;
use crate::diarization::clustering::numeric::dot;
use crate::error::Error;
use crate::error::Result;

/// Features kept, at most (`core/plda.py`, `lda_dimension`).
const MOST_FEATURES: usize = 128;

/// The arrays of `xvec_transform.npz` and `plda.npz`. `d` is the width of an embedding, `e` that of the features.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PldaParameters {
    /// Mean of the embeddings, `[d]`.
    pub(crate) mean1: Vec<f64>,
    /// Mean of the projected embeddings, `[e]`.
    pub(crate) mean2: Vec<f64>,
    /// The projection, `[d, e]`.
    pub(crate) lda: Matrix<f64>,
    /// Mean of the model, `[e]`.
    pub(crate) mu: Vec<f64>,
    /// Rows that make both covariances diagonal, `[e, e]`.
    pub(crate) tr: Matrix<f64>,
    /// Variances between speakers along these rows, `[e]`; those within a speaker are 1.
    pub(crate) psi: Vec<f64>,
}

/// A model of voices.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plda {
    mean1: Vec<f64>,
    mean2: Vec<f64>,
    /// The projection, turned: `[e, d]`.
    lda: Matrix<f64>,
    mu: Vec<f64>,
    /// Rows in the order of `phi`, `[features, e]`.
    rows: Matrix<f64>,
    phi: Vec<f64>,
}

impl Plda {
    /// A model of the given arrays.
    ///
    /// The original solves a generalised eigenproblem of `tr` and `psi`. For a square `tr` that can be inverted its
    /// eigenvalues are `psi` and its eigenvectors the rows of `tr` up to their signs, which change nothing later; so it is
    /// enough to sort.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the arrays do not fit together or a variance is not positive.
    pub(crate) fn new(parameters: PldaParameters) -> Result<Self> {
        check(&parameters)?;
        let PldaParameters {
            mean1,
            mean2,
            lda,
            mu,
            tr,
            psi,
        } = parameters;
        let mut order: Vec<usize> = (0..psi.len()).collect();
        order.sort_by(|a, b| psi[*b].total_cmp(&psi[*a]));
        order.truncate(MOST_FEATURES);
        let rows: Vec<f64> = order.iter().flat_map(|row| tr.row(*row)).copied().collect();
        let turned: Vec<f64> = (0..lda.columns())
            .flat_map(|column| lda.iter().map(move |row| row[column]))
            .collect();
        Ok(Self {
            lda: Matrix::new(lda.columns(), lda.rows(), turned)?,
            rows: Matrix::new(order.len(), tr.columns(), rows)?,
            phi: order.into_iter().map(|row| psi[row]).collect(),
            mean1,
            mean2,
            mu,
        })
    }

    /// Variances between speakers of the features, falling.
    pub(super) fn phi(&self) -> &[f64] {
        &self.phi
    }

    /// Width of the embeddings.
    pub(crate) fn width(&self) -> usize {
        self.mean1.len()
    }

    /// The features of embeddings `[n, d]`, `[n, features]`.
    pub(super) fn features(&self, vectors: &Matrix<f32>) -> Matrix<f64> {
        let mut features = Matrix::filled(vectors.rows(), self.rows.rows(), 0.0);
        for (at, vector) in vectors.iter().enumerate() {
            let centred: Vec<f64> = self
                .projected(vector)
                .iter()
                .zip(&self.mu)
                .map(|(value, mean)| value - mean)
                .collect();
            for (feature, row) in features.row_mut(at).iter_mut().zip(self.rows.iter()) {
                *feature = dot(&centred, row);
            }
        }
        features
    }

    /// Centred, brought to length √d, projected, centred, brought to length √e: `[e]`.
    fn projected(&self, vector: &[f32]) -> Vec<f64> {
        let centred = vector
            .iter()
            .zip(&self.mean1)
            .map(|(value, mean)| f64::from(*value) - mean);
        let whitened = with_length(centred.collect(), (self.mean1.len() as f64).sqrt());
        let projected = self
            .lda
            .iter()
            .zip(&self.mean2)
            .map(|(row, mean)| dot(&whitened, row) - mean);
        with_length(projected.collect(), (self.mean2.len() as f64).sqrt())
    }
}

fn with_length(mut vector: Vec<f64>, length: f64) -> Vec<f64> {
    let factor = length / dot(&vector, &vector).sqrt();
    for value in &mut vector {
        *value *= factor;
    }
    vector
}

fn check(parameters: &PldaParameters) -> Result<()> {
    let (d, e) = (parameters.mean1.len(), parameters.mean2.len());
    let (lda, tr) = (&parameters.lda, &parameters.tr);
    let shapes = [
        ("lda", vec![lda.rows(), lda.columns()], vec![d, e]),
        ("mu", vec![parameters.mu.len()], vec![e]),
        ("tr", vec![tr.rows(), tr.columns()], vec![e, e]),
        ("psi", vec![parameters.psi.len()], vec![e]),
    ];
    for (name, found, expected) in shapes {
        if found != expected {
            return Err(Error::bad_model(format!(
                "PLDA array {name}: shape {found:?}, {expected:?} by mean1 and mean2; xvec_transform.npz and plda.npz belong \
                 to different models"
            )));
        }
    }
    if d == 0 || e == 0 {
        return Err(Error::bad_model(
            "PLDA arrays mean1 and mean2 are empty; download the model again",
        ));
    }
    let all = [&parameters.mean1, &parameters.mean2, &parameters.mu, &parameters.psi]
        .into_iter()
        .flatten();
    let finite = all
        .chain(lda.values())
        .chain(tr.values())
        .all(|value| value.is_finite());
    if !finite || parameters.psi.iter().any(|variance| *variance <= 0.0) {
        return Err(Error::bad_model(
            "PLDA arrays hold values that are no numbers, or variances psi that are not positive; download the model again",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::assert_close;
    use crate::diarization::golden::plda;

    #[test]
    fn features_are_those_of_the_original_up_to_signs() {
        let golden = Golden::open("stages/vbx.safetensors");
        let model = Plda::new(plda()).unwrap();
        assert_close(model.phi(), &golden.f64("plda.phi"), 1e-8, "phi");
        let input = Matrix::new(7, 32, golden.f32("plda.input")).unwrap();
        let projected: Vec<f64> = input.iter().flat_map(|row| model.projected(row)).collect();
        assert_close(&projected, &golden.f64("plda.xvec"), 1e-6, "xvec");
        let found = model.features(&input);
        let expected = Matrix::new(7, 16, golden.f64("plda.output")).unwrap();
        for column in 0..16 {
            let of = |matrix: &Matrix<f64>| matrix.iter().map(|row| row[column]).collect::<Vec<_>>();
            let (found, expected) = (of(&found), of(&expected));
            let sign = if found[0] * expected[0] < 0.0 { -1.0 } else { 1.0 };
            let found: Vec<f64> = found.iter().map(|value| sign * value).collect();
            assert_close(&found, &expected, 1e-6, &format!("feature {column}"));
        }
    }

    #[test]
    fn arrays_of_another_model_are_refused_by_name() {
        let mut wrong = plda();
        wrong.mu.pop();
        let error = Plda::new(wrong).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        assert!(error.to_string().contains("mu: shape [15], [16] by"), "{error}");
    }

    #[test]
    fn a_variance_of_nothing_is_refused() {
        let mut wrong = plda();
        wrong.psi[3] = 0.0;
        assert!(Plda::new(wrong).unwrap_err().to_string().contains("psi"));
    }
}
