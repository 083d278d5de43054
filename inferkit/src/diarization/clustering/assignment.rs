//! The assignment problem: each row gets a column of its own so that the total is greatest.

/// Assigns rows to columns, one to one, for the greatest sum of `value(row, column)`.
///
/// Returns the column of each row; with fewer columns than rows some rows get none. Values must be finite.
///
/// Shortest augmenting paths with potentials (Crouse, "On implementing 2D rectangular assignment algorithms", 2016): for
/// `r` rows and `c` columns, the smaller number squared times the greater.
pub(in crate::diarization) fn assign(
    rows: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f64,
) -> Vec<Option<usize>> {
    if rows <= columns {
        return Matching::new(rows, columns, |row, column| -value(row, column)).columns();
    }
    let mut assigned = vec![None; rows];
    let turned = Matching::new(columns, rows, |column, row| -value(row, column));
    for (column, row) in turned.columns().into_iter().enumerate() {
        if let Some(row) = row {
            assigned[row] = Some(column);
        }
    }
    assigned
}

/// Rows matched with columns, `rows ≤ columns`, and the potentials that prove the matching to be the cheapest.
struct Matching<F> {
    cost: F,
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    row_of: Vec<Option<usize>>,
}

/// The tree of shortest paths that grows from one row.
struct Tree {
    start: usize,
    /// Length of the path to each column so far.
    length: Vec<f64>,
    /// The column before each on its path; `None` where the path comes from the start.
    before: Vec<Option<usize>>,
    inside: Vec<bool>,
}

impl<F: Fn(usize, usize) -> f64> Matching<F> {
    /// Matches every row, for the least sum of costs.
    fn new(rows: usize, columns: usize, cost: F) -> Self {
        let mut matching = Self {
            cost,
            row_potential: vec![0.0; rows],
            column_potential: vec![0.0; columns],
            row_of: vec![None; columns],
        };
        for row in 0..rows {
            matching.add(row);
        }
        matching
    }

    /// Matches one more row: the rows on the way to a free column move on by one column each.
    fn add(&mut self, start: usize) {
        let columns = self.row_of.len();
        let mut tree = Tree {
            start,
            length: vec![f64::INFINITY; columns],
            before: vec![None; columns],
            inside: vec![false; columns],
        };
        let mut last = None;
        while let Some(column) = self.nearest(&mut tree, last) {
            self.enter(&mut tree, column);
            last = Some(column);
            if self.row_of[column].is_none() {
                break;
            }
        }
        while let Some(column) = last {
            last = tree.before[column];
            self.row_of[column] = last.map_or(Some(start), |before| self.row_of[before]);
        }
    }

    /// The column outside the tree that is nearest to it; `last` is the one that came in before.
    fn nearest(&self, tree: &mut Tree, last: Option<usize>) -> Option<usize> {
        let row = last.and_then(|column| self.row_of[column]).unwrap_or(tree.start);
        let mut nearest: Option<usize> = None;
        for column in 0..self.row_of.len() {
            if tree.inside[column] {
                continue;
            }
            let step = (self.cost)(row, column) - self.row_potential[row] - self.column_potential[column];
            if step < tree.length[column] {
                tree.length[column] = step;
                tree.before[column] = last;
            }
            if nearest.is_none_or(|nearest| tree.length[column] < tree.length[nearest]) {
                nearest = Some(column);
            }
        }
        nearest
    }

    /// Takes `column` into the tree: the potentials move so that the path to it costs nothing.
    fn enter(&mut self, tree: &mut Tree, column: usize) {
        let length = tree.length[column];
        self.row_potential[tree.start] += length;
        for other in 0..self.row_of.len() {
            if tree.inside[other] {
                self.column_potential[other] -= length;
                if let Some(row) = self.row_of[other] {
                    self.row_potential[row] += length;
                }
            } else {
                tree.length[other] -= length;
            }
        }
        tree.inside[column] = true;
    }

    /// The column of each row.
    fn columns(&self) -> Vec<Option<usize>> {
        let mut columns = vec![None; self.row_potential.len()];
        for (column, row) in self.row_of.iter().enumerate() {
            if let Some(row) = row {
                columns[*row] = Some(column);
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(values: &[&[f64]], assigned: &[Option<usize>]) -> f64 {
        let pairs = assigned
            .iter()
            .enumerate()
            .filter_map(|(row, column)| Some(values[row][(*column)?]));
        pairs.sum()
    }

    /// The greatest total over all assignments, by trying them.
    fn best(values: &[&[f64]], row: usize, taken: &mut Vec<bool>) -> f64 {
        if row == values.len() {
            return 0.0;
        }
        let free = taken.iter().filter(|taken| !**taken).count();
        let mut most = if free < values.len() - row {
            best(values, row + 1, taken)
        } else {
            f64::NEG_INFINITY
        };
        for column in 0..taken.len() {
            if !taken[column] {
                taken[column] = true;
                most = most.max(values[row][column] + best(values, row + 1, taken));
                taken[column] = false;
            }
        }
        most
    }

    #[test]
    fn the_greedy_choice_is_given_up_for_a_better_total() {
        let values: [&[f64]; 2] = [&[3.0, 2.0], &[2.0, 0.0]];
        let assigned = assign(2, 2, |row, column| values[row][column]);
        assert_eq!(assigned, [Some(1), Some(0)]);
    }

    #[test]
    fn of_too_many_rows_the_least_valuable_gets_nothing() {
        let values = [1.0, 3.0, 2.0];
        assert_eq!(assign(3, 1, |row, _| values[row]), [None, Some(0), None]);
        assert_eq!(assign(2, 0, |_, _| 0.0), [None, None]);
        assert_eq!(assign(0, 2, |_, _| 0.0), []);
    }

    proptest::proptest! {
        #[test]
        fn no_other_assignment_is_worth_more(
            rows in 1_usize..5,
            columns in 1_usize..5,
            values in proptest::collection::vec(-9_i8..9, 16),
        ) {
            let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            let table: Vec<&[f64]> = (0..rows).map(|row| &values[row * 4..row * 4 + columns]).collect();
            let assigned = assign(rows, columns, |row, column| table[row][column]);
            let used: Vec<usize> = assigned.iter().flatten().copied().collect();
            let mut once = used.clone();
            once.sort_unstable();
            once.dedup();
            proptest::prop_assert_eq!(once.len(), used.len());
            proptest::prop_assert_eq!(used.len(), rows.min(columns));
            proptest::prop_assert_eq!(total(&table, &assigned), best(&table, 0, &mut vec![false; columns]));
        }
    }
}
