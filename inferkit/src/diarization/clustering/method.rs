//! From embeddings to clusters, by whichever method a pipeline names.

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;
use crate::diarization::clustering::ahc::Agglomerative;
use crate::diarization::clustering::ahc::by_threshold;
use crate::diarization::clustering::bounds::SpeakerBounds;
use crate::diarization::clustering::kmeans::kmeans;
use crate::diarization::clustering::numeric::cluster_means;
use crate::diarization::clustering::numeric::mean_row;
use crate::diarization::clustering::numeric::unit_rows;
use crate::diarization::clustering::plda::Plda;
use crate::diarization::clustering::score::most_alike;
use crate::diarization::clustering::score::one_each;
use crate::diarization::clustering::score::scores;
use crate::diarization::clustering::training::Training;
use crate::diarization::clustering::vbx::Factors;
use crate::diarization::clustering::vbx::Posterior;
use crate::diarization::clustering::vbx::refine;
use crate::diarization::reconstruct::Assignment;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;

/// Share of a cluster below which VBx has given it up (`clustering.py`, `VBxClustering`).
const LEAST_SHARE: f64 = 1e-7;

/// How local speakers become speakers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// Centroid linkage and a threshold.
    Agglomerative {
        /// Greatest distance of the centroids, of unit vectors, of clusters that merge.
        threshold: f64,
        /// Clusters with fewer vectors join the large one next to them.
        min_cluster_size: usize,
    },
    /// K-means; needs a number of speakers.
    KMeans,
    /// Centroid linkage as a start, then VBx on PLDA features.
    Vbx {
        /// Greatest distance of the centroids of clusters that merge at the start.
        threshold: f64,
        /// Scales what the vectors say.
        fa: f64,
        /// Scales how strongly speakers are drawn to be few.
        fb: f64,
        /// The model of voices.
        plda: Box<Plda>,
    },
}

/// What is clustered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voices<'a> {
    /// The voice of each local speaker, `[c, s, d]`; whatever it holds for silent ones is never used.
    pub(crate) embeddings: &'a Windows<f32>,
    /// Who is active, `[c, f, s]`.
    pub(crate) active: &'a Windows<bool>,
}

/// What the work runs on, and whether it is still wanted.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// The threads.
    pub(crate) pool: &'a Pool,
    /// Fails once nobody wants the result any more; asked now and then.
    pub(crate) check: &'a dyn Fn() -> Result<()>,
}

/// Which local speakers are the same person.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clusters {
    /// The cluster of each (window, local speaker), `[c, s]`; silent speakers have any or none.
    pub(crate) assignment: Assignment,
    /// The mean voice of each cluster, `[k, d]`.
    pub(crate) centroids: Matrix<f32>,
}

impl Method {
    /// Finds the clusters of `voices`, as many as `bounds` allow where that can be reached.
    ///
    /// Fewer than two voices heard well enough are one cluster, whatever was asked for.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for numbers of speakers that the method cannot give, the error of `work.check`, and
    /// [`Error::Internal`] for embeddings that are no numbers.
    pub(crate) fn cluster(&self, voices: Voices<'_>, bounds: SpeakerBounds, work: Work<'_>) -> Result<Clusters> {
        let training = Training::new(voices.embeddings, voices.active);
        match self {
            Self::Agglomerative {
                threshold,
                min_cluster_size,
            } => {
                let clustering = Agglomerative {
                    threshold: *threshold,
                    min_cluster_size: *min_cluster_size,
                    bounds,
                };
                agglomerative(clustering, &training, voices, work)
            }
            Self::KMeans => by_kmeans(&training, voices, bounds, work),
            Self::Vbx {
                threshold,
                fa,
                fb,
                plda,
            } => {
                let vbx = Vbx {
                    threshold: *threshold,
                    factors: Factors { fa: *fa, fb: *fb },
                    plda,
                };
                vbx.cluster(&training, voices, bounds, work)
            }
        }
    }
}

/// Everybody in one cluster.
fn one_cluster(training: &Training, voices: Voices<'_>) -> Result<Clusters> {
    let [windows, speakers, width] = voices.embeddings.shape();
    let mean = mean_row(&training.vectors, 0..training.vectors.rows());
    Ok(Clusters {
        assignment: Matrix::filled(windows, speakers, Some(0)),
        centroids: Matrix::new(1, width, mean)?,
    })
}

/// Everybody in the nearest of `clusters` clusters, by the means of the vectors that `labels` put there.
///
/// A cluster without vectors has no mean, and what is no number is the greatest: everybody ends there, in the original too
/// (K-means leaves clusters empty when fewer different vectors than clusters exist).
fn by_nearest_mean(
    training: &Training,
    (labels, clusters): (&[usize], usize),
    voices: Voices<'_>,
    work: Work<'_>,
) -> Clusters {
    let centroids = cluster_means(&training.vectors, labels, clusters);
    let [_, speakers, _] = voices.embeddings.shape();
    Clusters {
        assignment: most_alike(
            &scores(voices.embeddings, &centroids.map(f64::from), work.pool),
            speakers,
        ),
        centroids,
    }
}

fn agglomerative(
    clustering: Agglomerative,
    training: &Training,
    voices: Voices<'_>,
    work: Work<'_>,
) -> Result<Clusters> {
    let one_at_most = clustering.bounds.within(training.vectors.rows()).nearest(usize::MAX) < 2;
    if one_at_most {
        return one_cluster(training, voices);
    }
    let labels = clustering.labels(&unit_rows(&training.vectors), work.pool, work.check)?;
    Ok(by_nearest_mean(training, (&labels, count(&labels)), voices, work))
}

fn by_kmeans(training: &Training, voices: Voices<'_>, bounds: SpeakerBounds, work: Work<'_>) -> Result<Clusters> {
    let Some(speakers) = bounds.forced() else {
        return Err(Error::invalid(
            RequestFault::InvalidValue,
            "num_speakers",
            "this pipeline clusters by K-means, which must be told the number of speakers; give num_speakers",
        ));
    };
    let n = training.vectors.rows();
    if n < 2 || speakers < 2 {
        return one_cluster(training, voices);
    }
    let labels = if n < speakers {
        (0..n).collect()
    } else {
        kmeans(&unit_rows(&training.vectors), speakers, work.check)?.labels
    };
    Ok(by_nearest_mean(training, (&labels, count(&labels)), voices, work))
}

fn count(labels: &[usize]) -> usize {
    labels.iter().max().map_or(0, |last| last + 1)
}

/// VBx over a start by linkage.
struct Vbx<'a> {
    threshold: f64,
    factors: Factors,
    plda: &'a Plda,
}

impl Vbx<'_> {
    fn cluster(
        &self,
        training: &Training,
        voices: Voices<'_>,
        bounds: SpeakerBounds,
        work: Work<'_>,
    ) -> Result<Clusters> {
        let n = training.vectors.rows();
        if n < 2 {
            return one_cluster(training, voices);
        }
        let units = unit_rows(&training.vectors);
        let start = by_threshold(&units, self.threshold, work.pool, work.check)?;
        let features = self.plda.features(&training.vectors);
        let posterior = refine(
            &start,
            &features,
            self.plda.phi(),
            self.factors,
            (work.pool, work.check),
        )?;
        let centroids = centroids(&posterior, &training.vectors);
        let wanted = bounds.nearest(centroids.rows());
        if wanted == centroids.rows() {
            let scores = scores(voices.embeddings, &centroids, work.pool);
            return Ok(Clusters {
                assignment: one_each(&scores, voices.active),
                centroids: centroids.map(narrow),
            });
        }
        if wanted > n {
            return Err(Error::invalid(
                RequestFault::InvalidValue,
                "min_speakers",
                format!(
                    "{wanted} speakers were asked for, and the recording holds only {n} voice samples; ask for at most {n}"
                ),
            ));
        }
        let labels = kmeans(&units, wanted, work.check)?.labels;
        Ok(by_nearest_mean(training, (&labels, wanted), voices, work))
    }
}

/// The mean voice of each speaker that VBx kept, weighed by the responsibilities.
///
/// In f64: speakers that VBx left almost equal differ beyond the digits of f32, and the assignment sees it.
fn centroids(posterior: &Posterior, vectors: &Matrix<f32>) -> Matrix<f64> {
    let kept: Vec<usize> = (0..posterior.pi.len())
        .filter(|cluster| posterior.pi[*cluster] > LEAST_SHARE)
        .collect();
    let mut centroids = Matrix::filled(kept.len(), vectors.columns(), 0.0_f64);
    for (row, cluster) in kept.into_iter().enumerate() {
        let centroid = centroids.row_mut(row);
        let mut weight = 0.0;
        for (gamma, vector) in posterior.gamma.iter().zip(vectors.iter()) {
            weight += gamma[cluster];
            for (sum, value) in centroid.iter_mut().zip(vector) {
                *sum += gamma[cluster] * f64::from(*value);
            }
        }
        for value in centroid {
            *value /= weight;
        }
    }
    centroids
}

#[expect(clippy::cast_possible_truncation, reason = "as precise as the embeddings")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
