//! Sequences of unequal length in one batch, without padding.

use std::ops::Range;

/// A batch whose sequences stand one after the other as rows of one matrix: `[t1 + t2 + …, d]`.
///
/// Layers that look at single rows take the matrix as it is; those that look along a sequence take it sequence by
/// sequence. No row is padding, hence nothing needs a mask and a sequence gives the same result alone and in a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sequences {
    lengths: Vec<usize>,
}

impl Sequences {
    /// Sequences of these lengths.
    pub(crate) const fn new(lengths: Vec<usize>) -> Self {
        Self { lengths }
    }

    /// Rows of each.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Rows of the longest; zero if there is none.
    pub(crate) fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// Rows of all.
    pub(crate) fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Where each stands among the rows.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.lengths.iter().scan(0, |start, length| {
            let range = *start..*start + length;
            *start = range.end;
            Some(range)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_stand_one_after_the_other() {
        let sequences = Sequences::new(vec![2, 0, 3]);
        assert_eq!(sequences.ranges().collect::<Vec<_>>(), [0..2, 2..2, 2..5]);
        assert_eq!((sequences.rows(), sequences.longest()), (5, 3));
        assert_eq!(Sequences::default().longest(), 0);
    }
}
