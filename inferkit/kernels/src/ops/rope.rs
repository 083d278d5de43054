//! Rotary position embedding: pairs of values are turned by an angle that grows with the position.

use super::for_rows;
use crate::simd::{Simd, float_tiers};
use crate::{Isa, Pool, RowsMut};

/// Cosines and sines of every position, computed in f64 and kept in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeTable {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    /// Pairs that are turned: half the rotary width.
    pairs: usize,
}

impl RopeTable {
    /// For `positions` positions and the frequencies `theta^(-2 i / width)`.
    ///
    /// # Panics
    /// When `width` is zero or odd.
    pub fn new(width: usize, theta: f64, positions: usize) -> Self {
        assert!(width > 0 && width.is_multiple_of(2), "a rotary width of {width}");
        let frequencies: Vec<f64> = (0..width / 2)
            .map(|i| theta.powf(-2.0 * i as f64 / width as f64))
            .collect();
        Self::from_frequencies(&frequencies, 1.0, positions)
    }

    /// For frequencies that a scaling rule has changed (YaRN, Llama 3), in radians per position; cosines and sines are
    /// multiplied by `magnitude`.
    pub fn from_frequencies(frequencies: &[f64], magnitude: f64, positions: usize) -> Self {
        let angles = || (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        Self {
            cosines: angles().map(|angle| (angle.cos() * magnitude) as f32).collect(),
            sines: angles().map(|angle| (angle.sin() * magnitude) as f32).collect(),
            pairs: frequencies.len(),
        }
    }

    /// Values of a head that are turned.
    pub fn width(&self) -> usize {
        2 * self.pairs
    }

    /// Positions that the table covers.
    pub fn positions(&self) -> usize {
        self.cosines.len().checked_div(self.pairs).unwrap_or(0)
    }

    /// Turns the first [`width`](Self::width) values of each head: value i together with value i + width / 2.
    ///
    /// * `x`: `[t, heads * d]`; `d` values a head; `positions`: one for each row
    ///
    /// # Panics
    /// When a row does not hold whole heads, heads are narrower than the table, or a position is beyond it.
    pub fn apply(&self, pool: &Pool, isa: Isa, mut x: RowsMut<'_>, d: usize, positions: &[u32]) {
        assert!(
            d >= self.width() && x.width().is_multiple_of(d),
            "heads of {d} in rows of {}",
            x.width()
        );
        assert_eq!(positions.len(), x.rows(), "one position for each row");
        let end = self.positions();
        assert!(
            positions.iter().all(|&position| (position as usize) < end),
            "a position beyond the table of {end}"
        );
        let (target, stride, width) = (x.shared(), x.stride(), x.width());
        for_rows(pool, x.rows(), width, |row| {
            let at = positions[row] as usize * self.pairs;
            let (cosines, sines) = (&self.cosines[at..at + self.pairs], &self.sines[at..at + self.pairs]);
            for head in (0..width).step_by(d) {
                // SAFETY: the head has at least twice as many values as there are cosines; each row belongs to one unit.
                unsafe { turn_head(isa, target.get().add(row * stride + head), cosines, sines) };
            }
        });
    }
}

float_tiers! {
    fn turn_head(x: *mut f32, cosines: &[f32], sines: &[f32]) = turn;
}

#[inline(always)]
unsafe fn turn<S: Simd>(x: *mut f32, cosines: &[f32], sines: &[f32]) {
    let pairs = cosines.len();
    for start in (0..pairs).step_by(S::LANES) {
        let lanes = S::LANES.min(pairs - start);
        let (low, high) = (x.add(start), x.add(pairs + start));
        let (a, b) = (S::load_head(low, lanes), S::load_head(high, lanes));
        let cosine = S::load_head(cosines.as_ptr().add(start), lanes);
        let sine = S::load_head(sines.as_ptr().add(start), lanes);
        S::store_head(low, lanes, S::sub(S::mul(a, cosine), S::mul(b, sine)));
        S::store_head(high, lanes, S::add(S::mul(b, cosine), S::mul(a, sine)));
    }
}
