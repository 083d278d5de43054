//! Agglomerative clustering as the pipelines use it: a threshold, clusters of a least size, and a number where asked for.
//!
//! Source: pyannote.audio 4.0 `pipelines/clustering.py`, `AgglomerativeClustering`.

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::clustering::bounds::SpeakerBounds;
use crate::diarization::clustering::linkage::Merge;
use crate::diarization::clustering::linkage::centroid_linkage;
use crate::diarization::clustering::numeric::arg_max;
use crate::diarization::clustering::numeric::cluster_means;
use crate::diarization::clustering::numeric::cosine;
use crate::diarization::clustering::tree::cut;
use crate::diarization::clustering::tree::sizes;
use crate::error::Result;

/// Least part of the vectors that is ever asked of a large cluster (`clustering.py`, `cluster`).
const GREATEST_SHARE: f64 = 0.1;

/// The clusters of unit vectors `[n, d]`, n ≥ 1, by a plain threshold; numbered from 0 without gaps.
///
/// # Errors
/// That of `check`.
pub(super) fn by_threshold(
    vectors: &Matrix<f32>,
    threshold: f64,
    pool: &Pool,
    check: &dyn Fn() -> Result<()>,
) -> Result<Vec<usize>> {
    let merges = centroid_linkage(vectors, pool, check)?;
    Ok(cut(&merges, |merge| merges[merge].height, threshold))
}

/// How to cut the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agglomerative {
    /// Greatest distance of the centroids of clusters that merge.
    pub(super) threshold: f64,
    /// Clusters with fewer vectors join the large one next to them.
    pub(super) min_cluster_size: usize,
    /// How many large clusters there may be.
    pub(super) bounds: SpeakerBounds,
}

impl Agglomerative {
    /// The cluster of each unit vector of `[n, d]`, n ≥ 1, numbered from 0 without gaps.
    ///
    /// # Errors
    /// That of `check`.
    pub(super) fn labels(
        &self,
        vectors: &Matrix<f32>,
        pool: &Pool,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<usize>> {
        let n = vectors.rows();
        let bounds = self.bounds.within(n);
        let merges = centroid_linkage(vectors, pool, check)?;
        let large = self.large(n);
        let labels = cut(&merges, |merge| merges[merge].height, self.threshold);
        let found = count_large(&labels, large);
        let target = bounds.nearest(found);
        let labels = if target == found {
            labels
        } else {
            let at = self.best_cut(&merges, large, target);
            // Cut where merge `at` is the last that is done: heights are the numbers of the merges.
            cut(&merges, |merge| merge as f64, at as f64)
        };
        Ok(absorb_small(vectors, &labels, large))
    }

    /// Vectors that make a cluster large: fewer than `min_cluster_size` in short recordings.
    fn large(&self, n: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of n")]
        let share = (GREATEST_SHARE * n as f64).round_ties_even() as usize;
        self.min_cluster_size.min(share.max(1))
    }

    /// The last merge to be done so that `target` large clusters are left, or nearly: of those that come equally near,
    /// the one whose height is nearest to the threshold.
    fn best_cut(&self, merges: &[Merge], large: usize, target: usize) -> usize {
        let left = large_after(merges, large);
        let mut order: Vec<usize> = (0..merges.len()).filter(|merge| merges[*merge].size >= large).collect();
        let distance = |merge: usize| (merges[merge].height - self.threshold).abs();
        order.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        let mut best = (merges.len(), 1);
        for merge in order {
            if left[merge].abs_diff(target) < usize::abs_diff(best.1, target) {
                best = (merge, left[merge]);
            }
            if left[merge] == target {
                break;
            }
        }
        best.0
    }
}

/// Clusters of at least `large` vectors that are left after each merge, if merges are done in their order.
fn large_after(merges: &[Merge], large: usize) -> Vec<usize> {
    let n = merges.len() + 1;
    let size = |cluster: usize| cluster.checked_sub(n).map_or(1, |merge| merges[merge].size);
    let mut left = if large <= 1 { n } else { 0 };
    let after = merges.iter().map(|merge| {
        left += usize::from(merge.size >= large);
        left -= usize::from(size(merge.left) >= large) + usize::from(size(merge.right) >= large);
        left
    });
    after.collect()
}

fn count_large(labels: &[usize], large: usize) -> usize {
    sizes(labels).iter().filter(|size| **size >= large).count()
}

/// Moves vectors of small clusters to the large cluster whose centroid is nearest by angle, and closes gaps in the numbers.
fn absorb_small(vectors: &Matrix<f32>, labels: &[usize], large: usize) -> Vec<usize> {
    let sizes = sizes(labels);
    let is_large = |cluster: &usize| sizes[*cluster] >= large;
    let large_clusters: Vec<usize> = (0..sizes.len()).filter(is_large).collect();
    if large_clusters.is_empty() {
        return vec![0; labels.len()];
    }
    if large_clusters.len() == sizes.len() {
        return labels.to_vec();
    }
    let means = cluster_means(vectors, labels, sizes.len()).map(f64::from);
    let home = (0..sizes.len()).map(|cluster| {
        large_clusters.binary_search(&cluster).unwrap_or_else(|_| {
            let likeness: Vec<f64> = large_clusters
                .iter()
                .map(|large| cosine(means.row(*large), means.row(cluster)))
                .collect();
            arg_max(&likeness)
        })
    });
    let home: Vec<usize> = home.collect();
    labels.iter().map(|label| home[*label]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(left: usize, right: usize, height: f64, size: usize) -> Merge {
        Merge {
            left,
            right,
            height,
            size,
        }
    }

    #[test]
    fn large_clusters_are_counted_after_each_merge() {
        // Two pairs, then both together, then a fifth vector.
        let merges = [
            merge(0, 1, 0.1, 2),
            merge(2, 3, 0.2, 2),
            merge(5, 6, 0.3, 4),
            merge(4, 7, 0.4, 5),
        ];
        assert_eq!(large_after(&merges, 2), [1, 2, 1, 1]);
        assert_eq!(large_after(&merges, 1), [4, 3, 2, 1]);
    }

    #[test]
    fn the_least_size_shrinks_with_the_recording() {
        let clustering = |min_cluster_size| Agglomerative {
            threshold: 0.7,
            min_cluster_size,
            bounds: SpeakerBounds::new(None, None).unwrap(),
        };
        // A tenth of 25 is 2.5, which rounds to the even 2.
        assert_eq!([3, 25, 35, 500].map(|n| clustering(12).large(n)), [1, 2, 4, 12]);
    }

    #[test]
    fn a_small_cluster_joins_the_large_one_in_its_direction() {
        let vectors = Matrix::new(5, 2, vec![1.0, 0.0, 1.0, 0.0, 0.1, 1.0, 0.0, 1.0, 0.0, 1.0]).unwrap();
        assert_eq!(absorb_small(&vectors, &[0, 0, 1, 2, 2], 2), [0, 0, 1, 1, 1]);
        assert_eq!(absorb_small(&vectors, &[0, 1, 2, 3, 4], 2), [0; 5]);
    }
}
