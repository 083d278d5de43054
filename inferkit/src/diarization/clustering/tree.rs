//! The tree of merges, cut into flat clusters.

use crate::diarization::clustering::linkage::Merge;

/// The cluster of each of the `merges.len() + 1` vectors when merges above `threshold` are undone, numbered from 0.
///
/// `height` tells the height of a merge by its number; a cluster holds no merge above the threshold anywhere in it. The
/// numbers are those of scipy's `fcluster`, since they decide names: depth first, left before right, and vectors that hang
/// at a merge after the merges below it.
pub(super) fn cut(merges: &[Merge], height: impl Fn(usize) -> f64, threshold: f64) -> Vec<usize> {
    let n = merges.len() + 1;
    let Some(root) = merges.len().checked_sub(1) else {
        return vec![0];
    };
    let highest = highest_below(merges, height);
    let mut labels = vec![0; n];
    let mut clusters = 0;
    // The merge at which the open cluster begins, if one is open.
    let mut leader = None;
    let mut visited = vec![false; merges.len()];
    let mut path = vec![root];
    while let Some(node) = path.last().copied() {
        if leader.is_none() && highest[node] <= threshold {
            leader = Some(node);
            clusters += 1;
        }
        let children = [merges[node].left, merges[node].right];
        let next = children
            .iter()
            .filter_map(|child| child.checked_sub(n))
            .find(|child| !visited[*child]);
        if let Some(child) = next {
            visited[child] = true;
            path.push(child);
            continue;
        }
        for leaf in children.into_iter().filter(|child| *child < n) {
            if leader.is_none() {
                clusters += 1;
            }
            labels[leaf] = clusters - 1;
        }
        if leader == Some(node) {
            leader = None;
        }
        path.pop();
    }
    labels
}

/// Of each merge the greatest height in its tree.
fn highest_below(merges: &[Merge], height: impl Fn(usize) -> f64) -> Vec<f64> {
    let n = merges.len() + 1;
    let mut highest: Vec<f64> = Vec::with_capacity(merges.len());
    for (number, merge) in merges.iter().enumerate() {
        let below = [merge.left, merge.right]
            .into_iter()
            .filter_map(|child| highest.get(child.checked_sub(n)?));
        let most = below.fold(height(number), |most, below| most.max(*below));
        highest.push(most);
    }
    highest
}

/// Number of members of each cluster.
pub(super) fn sizes(labels: &[usize]) -> Vec<usize> {
    let mut sizes = vec![0; labels.iter().max().map_or(0, |last| last + 1)];
    for label in labels {
        sizes[*label] += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use inferkit_kernels::Pool;

    use super::*;
    use crate::diarization::clustering::linkage::centroid_linkage;
    use crate::diarization::clustering::numeric::unit_rows;
    use crate::diarization::clustering::training::train_of_golden;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::json;

    #[test]
    fn clusters_are_those_of_the_original() {
        let golden = Golden::open("stages/ahc.safetensors");
        let mut compared = 0;
        for name in json("stages/ahc.json").as_object().unwrap().keys() {
            let vectors = unit_rows(&train_of_golden(&golden, name).vectors);
            let merges = centroid_linkage(&vectors, &Pool::new(1), &|| Ok(())).unwrap();
            for threshold in ["0.3", "0.6", "0.7", "0.75", "0.8", "0.85", "1.0"] {
                let expected = format!("{name}.fcluster_{threshold}");
                if golden.has(&expected) {
                    let found = cut(&merges, |row| merges[row].height, threshold.parse().unwrap());
                    let found: Vec<i32> = found.iter().map(|label| *label as i32 + 1).collect();
                    assert_eq!(found, golden.i32(&expected), "{expected}");
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 33);
    }

    fn merge(left: usize, right: usize, height: f64) -> Merge {
        Merge {
            left,
            right,
            height,
            size: 2,
        }
    }

    #[test]
    fn a_high_merge_below_a_low_one_keeps_both_apart() {
        // 0 and 1 merge at 0.9, then 2 joins at 0.5: nothing is a cluster at 0.6.
        let merges = [merge(0, 1, 0.9), merge(2, 3, 0.5)];
        assert_eq!(cut(&merges, |row| merges[row].height, 0.6), [0, 1, 2]);
        assert_eq!(cut(&merges, |row| merges[row].height, 0.9), [0, 0, 0]);
    }

    #[test]
    fn vectors_that_hang_at_a_merge_are_numbered_after_the_merges_below() {
        let merges = [merge(1, 2, 0.1), merge(0, 3, 0.9)];
        assert_eq!(cut(&merges, |row| merges[row].height, 0.5), [1, 0, 0]);
    }

    #[test]
    fn one_vector_is_one_cluster() {
        assert_eq!(cut(&[], |_| 0.0, 0.5), [0]);
        assert_eq!(sizes(&[1, 0, 1]), [1, 2]);
    }
}
