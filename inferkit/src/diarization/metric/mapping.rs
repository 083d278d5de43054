//! Which speaker of the hypothesis is which of the reference.

use crate::diarization::array::Matrix;
use crate::diarization::clustering::assignment::assign;
use crate::diarization::metric::Piece;

/// Seconds that each speaker of the hypothesis (row) and of the reference (column) speak at the same time.
///
/// Pieces of a speaker that overlap each other count twice, as in the original.
pub(super) fn together(hypothesis: &[Piece], rows: usize, reference: &[Piece], columns: usize) -> Matrix<f64> {
    let mut seconds = Matrix::filled(rows, columns, 0.0);
    for ours in hypothesis {
        for theirs in reference {
            seconds.row_mut(ours.speaker)[theirs.speaker] += ours.interval.intersection(&theirs.interval).seconds();
        }
    }
    seconds
}

/// The partner of each row, for the greatest time together.
pub(super) fn optimal(together: &Matrix<f64>) -> Vec<Option<usize>> {
    let partners = assign(together.rows(), together.columns(), |row, column| {
        together.row(row)[column]
    });
    let pairs = partners.into_iter().enumerate();
    pairs
        .map(|(row, partner)| partner.filter(|column| together.row(row)[*column] > 0.0))
        .collect()
}

/// The partner of each row: the most time first, the first row and column on ties.
pub(super) fn greedy(together: &Matrix<f64>) -> Vec<Option<usize>> {
    let mut partners = vec![None; together.rows()];
    let mut taken = vec![false; together.columns()];
    loop {
        let mut best: Option<(usize, usize, f64)> = None;
        for row in (0..together.rows()).filter(|row| partners[*row].is_none()) {
            for (column, seconds) in together
                .row(row)
                .iter()
                .enumerate()
                .filter(|(column, _)| !taken[*column])
            {
                if *seconds > best.map_or(0.0, |(_, _, most)| most) {
                    best = Some((row, column, *seconds));
                }
            }
        }
        let Some((row, column, _)) = best else { return partners };
        partners[row] = Some(column);
        taken[column] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greedy_pairing_can_be_worse() {
        let together = Matrix::new(2, 2, vec![5.0, 4.0, 4.0, 0.0]).unwrap();
        assert_eq!(optimal(&together), [Some(1), Some(0)]);
        assert_eq!(greedy(&together), [Some(0), None]);
    }

    #[test]
    fn those_who_never_speak_together_are_no_pair() {
        assert_eq!(optimal(&Matrix::filled(1, 1, 0.0)), [None]);
        assert_eq!(greedy(&Matrix::filled(1, 0, 0.0)), [None]);
    }
}
