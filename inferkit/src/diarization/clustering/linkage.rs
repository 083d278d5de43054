//! Agglomerative clustering by centroids: which two clusters merge next, until one is left.
//!
//! The generic algorithm of Müllner ("Modern hierarchical, agglomerative clustering algorithms", arXiv 1109.2378, section
//! 3.1): each cluster keeps a candidate for its nearest neighbour among the slots above it, and a lower bound of that
//! distance; a heap of the bounds tells which candidate to look at. A candidate is searched anew only when it has come to the
//! top and is out of date. Time is O(n²) in practice and O(n³) at worst.
//!
//! Memory is 4·n² bytes of distances up to [`STORED_BYTES`]. Above, only centroids are kept, 8·n·d bytes, and distances are
//! computed again and again: the same merges up to rounding, n·d operations for each of them.

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::clustering::heap::Heap;
use crate::diarization::clustering::space::Centroids;
use crate::diarization::clustering::space::Pair;
use crate::diarization::clustering::space::Space;
use crate::diarization::clustering::space::Stored;
use crate::error::Error;
use crate::error::Result;

/// Distances are stored up to this size: 16 384 vectors, some three hours of conversation.
pub(super) const STORED_BYTES: usize = 1 << 30;

/// Merges between two looks at whether the work is still wanted.
const CHECK_EVERY: usize = 64;

/// Two clusters that become one. Clusters `0..n` are the vectors, cluster `n + i` is the result of merge `i`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Merge {
    /// The cluster of the lower number.
    pub(super) left: usize,
    /// The other.
    pub(super) right: usize,
    /// Distance of their centroids. Centroid linkage can merge at a lower height than before.
    pub(super) height: f64,
    /// Vectors in the result.
    pub(super) size: usize,
}

/// Merges the rows of `vectors` `[n, d]` until one cluster is left; returns the n − 1 merges in their order.
///
/// # Errors
/// That of `check`, which is asked now and then; [`Error::Internal`] for vectors that are no numbers.
pub(super) fn centroid_linkage(
    vectors: &Matrix<f32>,
    pool: &Pool,
    check: &dyn Fn() -> Result<()>,
) -> Result<Vec<Merge>> {
    let n = vectors.rows();
    let vectors = vectors.map(f64::from);
    if Stored::bytes(n) <= STORED_BYTES {
        link(n, Stored::new(&vectors, pool), check)
    } else {
        link(n, Centroids::new(vectors, pool), check)
    }
}

/// The state between two merges.
struct Linkage<S> {
    space: S,
    /// Vectors in each slot, 0 when it is empty.
    sizes: Vec<usize>,
    /// The number of the cluster in each slot.
    ids: Vec<usize>,
    /// Of each slot but the last: the candidate for its nearest neighbour above it.
    neighbours: Vec<usize>,
    /// Of the same: a lower bound of the distance to the nearest.
    bounds: Vec<f64>,
    heap: Heap,
    row: Vec<f64>,
}

pub(super) fn link(n: usize, space: impl Space, check: &dyn Fn() -> Result<()>) -> Result<Vec<Merge>> {
    let Some(last) = n.checked_sub(1) else {
        return Ok(Vec::new());
    };
    let mut linkage = Linkage {
        space,
        sizes: vec![1; n],
        ids: (0..n).collect(),
        neighbours: vec![0; last],
        bounds: vec![f64::INFINITY; last],
        heap: Heap::new(Vec::new()),
        row: Vec::new(),
    };
    for x in 0..last {
        if x % CHECK_EVERY == 0 {
            check()?;
        }
        linkage.search(x);
    }
    linkage.heap = Heap::new(linkage.bounds.clone());
    let mut merges = Vec::with_capacity(last);
    for number in 0..last {
        if number % CHECK_EVERY == 0 {
            check()?;
        }
        merges.push(linkage.merge(n + number)?);
    }
    Ok(merges)
}

impl<S: Space> Linkage<S> {
    /// Finds the nearest neighbour of slot `x` among those above it, the first on ties.
    fn search(&mut self, x: usize) {
        let mut row = std::mem::take(&mut self.row);
        self.space.above(x, &mut row);
        self.note_nearest(x, &row);
        self.row = row;
    }

    /// Notes the nearest neighbour of slot `x`, `above` being its distances to the slots above it.
    fn note_nearest(&mut self, x: usize, above: &[f64]) {
        let mut least = f64::INFINITY;
        for (y, distance) in (x + 1..).zip(above) {
            if *distance < least && self.sizes[y] > 0 {
                least = *distance;
                self.neighbours[x] = y;
            }
        }
        self.bounds[x] = least;
    }

    /// The two clusters nearest to each other.
    fn closest(&mut self) -> Result<Pair> {
        let broken = || Error::internal("clustering: embeddings lie at no finite distance of each other");
        let mut searched = None;
        loop {
            let (x, distance) = self.heap.least().ok_or_else(broken)?;
            if !distance.is_finite() {
                return Err(broken());
            }
            let y = self.neighbours[x];
            // A distance is compared with itself: equality is meant.
            #[expect(clippy::float_cmp, reason = "the same number or another one")]
            if searched == Some(x) || self.space.distance(x, y) == distance {
                return Ok(Pair { x, y, distance });
            }
            self.search(x);
            self.heap.change(x, self.bounds[x]);
            searched = Some(x);
        }
    }

    /// Merges the closest two; the result is cluster `id`.
    fn merge(&mut self, id: usize) -> Result<Merge> {
        let pair = self.closest()?;
        self.heap.remove_least();
        let Pair { x, y, distance } = pair;
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        row.resize(self.sizes.len(), 0.0);
        self.space.merge(pair, &self.sizes, &mut row);
        let merge = Merge {
            left: self.ids[x].min(self.ids[y]),
            right: self.ids[x].max(self.ids[y]),
            height: distance,
            size: self.sizes[x] + self.sizes[y],
        };
        (self.sizes[x], self.sizes[y]) = (0, merge.size);
        self.ids[y] = id;
        for z in 0..x {
            // A guess; the bound tells when it is wrong.
            if self.sizes[z] > 0 && self.neighbours[z] == x {
                self.neighbours[z] = y;
            }
        }
        for z in (0..y).filter(|z| self.sizes[*z] > 0) {
            if row[z] < self.bounds[z] {
                self.neighbours[z] = y;
                self.bounds[z] = row[z];
                self.heap.change(z, row[z]);
            }
        }
        // The last slot is never the lower one of a pair, so that every other slot has a live one above it.
        if y < self.neighbours.len() {
            self.note_nearest(y, &row[y + 1..]);
            self.heap.change(y, self.bounds[y]);
        }
        self.row = row;
        Ok(merge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::clustering::numeric::unit_rows;
    use crate::diarization::clustering::training::train_of_golden;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::assert_close;
    use crate::diarization::golden::json;

    fn rows(merges: &[Merge]) -> Vec<[f64; 4]> {
        let row = |merge: &Merge| [merge.left as f64, merge.right as f64, merge.height, merge.size as f64];
        merges.iter().map(row).collect()
    }

    #[test]
    fn merges_are_those_of_the_original() {
        let golden = Golden::open("stages/ahc.safetensors");
        let cases = json("stages/ahc.json");
        let pool = Pool::new(2);
        for name in cases.as_object().unwrap().keys() {
            let vectors = unit_rows(&train_of_golden(&golden, name).vectors);
            let found = rows(&centroid_linkage(&vectors, &pool, &|| Ok(())).unwrap()).concat();
            if golden.has(&format!("{name}.linkage")) {
                // The same f32 vectors in f64 arithmetic: only the order of a sum differs.
                assert_close(&found, &golden.f64(&format!("{name}.linkage")), 1e-9, name);
            } else {
                assert!(found.is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn equal_distances_merge_in_the_order_of_the_original() {
        let golden = Golden::open("stages/ties.safetensors");
        for case in 0..golden.shape("cases")[0] {
            let shape = golden.shape(&format!("{case}.x"));
            let vectors = Matrix::new(shape[0], shape[1], golden.f32(&format!("{case}.x"))).unwrap();
            let found = rows(&centroid_linkage(&vectors, &Pool::new(1), &|| Ok(())).unwrap()).concat();
            assert_close(
                &found,
                &golden.f64(&format!("{case}.linkage")),
                1e-12,
                &format!("case {case}"),
            );
        }
    }

    #[test]
    fn centroids_alone_give_the_same_merges() {
        let golden = Golden::open("stages/ahc.safetensors");
        let pool = Pool::new(2);
        for name in ["many", "twelve_clusters", "four_blurred"] {
            let vectors = unit_rows(&train_of_golden(&golden, name).vectors).map(f64::from);
            let space = Centroids::new(vectors.clone(), &pool);
            let found = rows(&link(vectors.rows(), space, &|| Ok(())).unwrap()).concat();
            assert_close(&found, &golden.f64(&format!("{name}.linkage")), 1e-9, name);
        }
    }

    #[test]
    fn one_vector_has_nothing_to_merge_with() {
        for vectors in [0, 1] {
            let merges = centroid_linkage(&Matrix::filled(vectors, 3, 1.0), &Pool::new(1), &|| Ok(())).unwrap();
            assert_eq!(merges, []);
        }
    }

    #[test]
    fn work_that_nobody_wants_ends() {
        let vectors = Matrix::filled(2, 3, 1.0);
        let error = centroid_linkage(&vectors, &Pool::new(1), &|| Err(Error::cancelled())).unwrap_err();
        assert!(error.is_cancelled());
    }

    #[test]
    fn vectors_that_are_no_numbers_are_an_error_and_no_endless_loop() {
        let vectors = Matrix::filled(3, 2, f32::NAN);
        let error = centroid_linkage(&vectors, &Pool::new(1), &|| Ok(())).unwrap_err();
        assert_eq!(error.code(), "internal_error");
    }
}
