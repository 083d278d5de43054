//! Dynamic time warping: the path through a matrix that collects most.

/// How a cell of the path was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// From the row and the column before.
    Both,
    /// From the row before.
    Row,
    /// From the column before.
    Column,
}

/// The path from the first to the last cell of `[rows, columns]` with the greatest sum, as rows and columns; each step goes
/// on by one row, one column, or both.
pub(crate) fn best_path(values: &[f32], columns: usize) -> Vec<(usize, usize)> {
    if columns == 0 || values.is_empty() {
        return Vec::new();
    }
    let rows = values.len() / columns;
    // Costs of the row before and of this row, with a column before the first.
    let mut before = vec![f32::INFINITY; columns + 1];
    let mut costs = before.clone();
    if let Some(origin) = before.first_mut() {
        *origin = 0.0;
    }
    let mut steps = Vec::with_capacity(rows * columns);
    for row in values.chunks_exact(columns) {
        let mut left = f32::INFINITY;
        for (column, value) in row.iter().enumerate() {
            let at = |costs: &[f32], index: usize| costs.get(index).copied().unwrap_or(f32::INFINITY);
            let (both, above) = (at(&before, column), at(&before, column + 1));
            // Ties go to the column, as in the original.
            let (cost, step) = if both < above && both < left {
                (both, Step::Both)
            } else if above < both && above < left {
                (above, Step::Row)
            } else {
                (left, Step::Column)
            };
            left = cost - value;
            if let Some(kept) = costs.get_mut(column + 1) {
                *kept = left;
            }
            steps.push(step);
        }
        std::mem::swap(&mut before, &mut costs);
        if let Some(border) = before.first_mut() {
            *border = f32::INFINITY;
        }
    }
    trace(&steps, rows, columns)
}

fn trace(steps: &[Step], rows: usize, columns: usize) -> Vec<(usize, usize)> {
    let (mut row, mut column) = (rows - 1, columns - 1);
    let mut path = vec![(row, column)];
    while row > 0 || column > 0 {
        let step = steps.get(row * columns + column).copied().unwrap_or(Step::Both);
        match step {
            // At the border there is one way.
            _ if row == 0 => column -= 1,
            _ if column == 0 => row -= 1,
            Step::Both => (row, column) = (row - 1, column - 1),
            Step::Row => row -= 1,
            Step::Column => column -= 1,
        }
        path.push((row, column));
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_ridge() {
        #[rustfmt::skip]
        let values = [
            5.0, 5.0, -1.0, -1.0,
            -1.0, -1.0, 5.0, -1.0,
            -1.0, -1.0, -1.0, 5.0,
        ];
        assert_eq!(best_path(&values, 4), [(0, 0), (0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn more_rows_than_columns_share_a_column() {
        assert_eq!(best_path(&[1.0, 1.0, 1.0], 1), [(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn nothing_has_no_path() {
        assert_eq!(best_path(&[], 0), []);
    }
}
