//! Distances between the centroids of clusters that are being merged.
//!
//! A cluster lives in a slot: vector `i` in slot `i`, the merger of slots `x < y` in slot `y`.

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::clustering::numeric::squared_distance;
use crate::diarization::clustering::parallel::for_each_part;

/// The two clusters that merge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    /// The slot that becomes empty.
    pub(super) x: usize,
    /// The slot of the merger, above `x`.
    pub(super) y: usize,
    /// Their distance.
    pub(super) distance: f64,
}

/// Where clusters lie to each other.
pub(super) trait Space {
    /// The distance of the clusters in slots `x < y`.
    fn distance(&self, x: usize, y: usize) -> f64;

    /// Distances of slot `x` to the slots above it, `[n − 1 − x]`; what empty slots get is of no account.
    fn above(&mut self, x: usize, into: &mut Vec<f64>);

    /// Merges `pair`; writes the distances of all slots to the merger, `[n]`. `sizes` are those before, 0 for empty slots.
    fn merge(&mut self, pair: Pair, sizes: &[usize], into: &mut [f64]);
}

/// All distances, stored: 4·n² bytes, and the same arithmetic as scipy's, distance by distance (Lance and Williams).
#[derive(Debug)]
pub(super) struct Stored {
    vectors: usize,
    /// Row after row: of 0 to 1..n, of 1 to 2..n, and so on.
    distances: Vec<f64>,
}

impl Stored {
    /// Bytes for the distances of `vectors` vectors.
    pub(super) const fn bytes(vectors: usize) -> usize {
        vectors.saturating_mul(vectors) / 2 * size_of::<f64>()
    }

    /// Distances between the rows of `vectors`.
    pub(super) fn new(vectors: &Matrix<f64>, pool: &Pool) -> Self {
        let n = vectors.rows();
        let mut distances = vec![0.0; n * n.saturating_sub(1) / 2];
        let mut rest = distances.as_mut_slice();
        let mut rows = Vec::with_capacity(n);
        for x in 0..n {
            let (row, after) = rest.split_at_mut(n - 1 - x);
            rows.push(row);
            rest = after;
        }
        for_each_part(pool, rows, |x, row| {
            let own = vectors.row(x);
            for (y, distance) in (x + 1..n).zip(row) {
                *distance = squared_distance(own, vectors.row(y)).sqrt();
            }
        });
        Self { vectors: n, distances }
    }

    /// Where the distance of `x < y` is stored.
    const fn place(&self, x: usize, y: usize) -> usize {
        // Rows 0..x hold x·n − x·(x + 1)/2 distances; that of x itself begins with x + 1.
        x * self.vectors + y - 1 - x * (x + 3) / 2
    }
}

impl Space for Stored {
    fn distance(&self, x: usize, y: usize) -> f64 {
        self.distances[self.place(x, y)]
    }

    fn above(&mut self, x: usize, into: &mut Vec<f64>) {
        into.clear();
        if x + 1 < self.vectors {
            let first = self.place(x, x + 1);
            into.extend_from_slice(&self.distances[first..first + self.vectors - 1 - x]);
        }
    }

    fn merge(&mut self, pair: Pair, sizes: &[usize], into: &mut [f64]) {
        let (x_size, y_size) = (sizes[pair.x] as f64, sizes[pair.y] as f64);
        let both = x_size + y_size;
        let between = x_size * y_size * pair.distance * pair.distance / both;
        for z in (0..self.vectors).filter(|z| sizes[*z] > 0 && *z != pair.x && *z != pair.y) {
            let to_x = self.distance(z.min(pair.x), z.max(pair.x));
            let place = self.place(z.min(pair.y), z.max(pair.y));
            let to_y = self.distances[place];
            let square = (x_size * to_x * to_x + y_size * to_y * to_y - between) / both;
            // Rounding may take a distance of nothing below 0.
            let distance = square.max(0.0).sqrt();
            self.distances[place] = distance;
            into[z] = distance;
        }
    }
}

/// Centroids alone: 8·n·d bytes; distances are computed when they are asked for.
#[derive(Debug)]
pub(super) struct Centroids<'a> {
    centroids: Matrix<f64>,
    pool: &'a Pool,
}

/// Distances that one thread computes at a time.
const STRIPE: usize = 256;

impl<'a> Centroids<'a> {
    pub(super) const fn new(vectors: Matrix<f64>, pool: &'a Pool) -> Self {
        Self {
            centroids: vectors,
            pool,
        }
    }

    /// Distances of slot `from` to the slots from `first` on.
    fn fill(&self, from: usize, first: usize, into: &mut [f64]) {
        let own = self.centroids.row(from);
        for_each_part(self.pool, into.chunks_mut(STRIPE).collect(), |stripe, part| {
            for (slot, distance) in (first + stripe * STRIPE..).zip(part) {
                *distance = squared_distance(own, self.centroids.row(slot)).sqrt();
            }
        });
    }
}

impl Space for Centroids<'_> {
    fn distance(&self, x: usize, y: usize) -> f64 {
        squared_distance(self.centroids.row(x), self.centroids.row(y)).sqrt()
    }

    fn above(&mut self, x: usize, into: &mut Vec<f64>) {
        into.clear();
        into.resize(self.centroids.rows() - 1 - x, 0.0);
        self.fill(x, x + 1, into);
    }

    fn merge(&mut self, pair: Pair, sizes: &[usize], into: &mut [f64]) {
        let (x_size, y_size) = (sizes[pair.x] as f64, sizes[pair.y] as f64);
        let x = self.centroids.row(pair.x).to_vec();
        for (y, x) in self.centroids.row_mut(pair.y).iter_mut().zip(x) {
            *y = (x_size * x + y_size * *y) / (x_size + y_size);
        }
        self.fill(pair.y, 0, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_distances_are_found_where_they_were_put() {
        // On a line, so that each distance tells its pair.
        let places = [0.0, 1.0, 3.0, 7.0, 15.0];
        let vectors = Matrix::new(5, 1, places.to_vec()).unwrap();
        let mut space = Stored::new(&vectors, &Pool::new(1));
        let mut above = Vec::new();
        for x in 0..5 {
            space.above(x, &mut above);
            assert_eq!(above.len(), 4 - x);
            for y in x + 1..5 {
                assert_eq!(space.distance(x, y), places[y] - places[x]);
                assert_eq!(above[y - x - 1], places[y] - places[x]);
            }
        }
    }

    #[test]
    fn both_spaces_put_the_merger_between_its_parts() {
        let vectors = Matrix::new(3, 1, vec![0.0, 4.0, 10.0]).unwrap();
        let pool = Pool::new(1);
        let pair = Pair {
            x: 0,
            y: 1,
            distance: 4.0,
        };
        let spaces: [Box<dyn Space>; 2] = [
            Box::new(Stored::new(&vectors, &pool)),
            Box::new(Centroids::new(vectors, &pool)),
        ];
        for mut space in spaces {
            let mut to_merger = vec![0.0; 3];
            space.merge(pair, &[3, 1, 1], &mut to_merger);
            // Three at 0 and one at 4 have their centre at 1.
            assert!((to_merger[2] - 9.0).abs() < 1e-12 && (space.distance(1, 2) - 9.0).abs() < 1e-12);
        }
    }
}
