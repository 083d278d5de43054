//! Stretches of time, and sets of them.

/// Stretches no longer than this are none (pyannote.core `segment.py`, `SEGMENT_PRECISION`).
const LEAST_SECONDS: f64 = 1e-6;

/// From a start to an end, in seconds; empty where the end is not after the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Interval {
    pub(super) fn seconds(&self) -> f64 {
        if self.is_real() { self.end - self.start } else { 0.0 }
    }

    /// Whether it is long enough to count.
    pub(super) fn is_real(&self) -> bool {
        self.end - self.start > LEAST_SECONDS
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        Self {
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        }
    }
}

/// From the least start to the greatest end.
pub(super) fn extent(intervals: impl Iterator<Item = Interval>) -> Option<Interval> {
    intervals.reduce(|all, one| Interval {
        start: all.start.min(one.start),
        end: all.end.max(one.end),
    })
}

/// The same stretches, sorted, joined where they touch.
pub(super) fn union(intervals: impl Iterator<Item = Interval>) -> Vec<Interval> {
    let mut sorted: Vec<Interval> = intervals.filter(Interval::is_real).collect();
    sorted.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut joined: Vec<Interval> = Vec::with_capacity(sorted.len());
    for interval in sorted {
        match joined.last_mut() {
            Some(last) if interval.start <= last.end => last.end = last.end.max(interval.end),
            _ => joined.push(interval),
        }
    }
    joined
}

/// What of `from` lies outside `holes`; both sorted and disjoint, and so is the result.
pub(super) fn subtract(from: &[Interval], holes: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    for interval in from {
        let mut start = interval.start;
        let first = holes.partition_point(|hole| hole.end <= start);
        for hole in holes[first..].iter().take_while(|hole| hole.start < interval.end) {
            left.push(Interval { start, end: hole.start });
            start = hole.end;
        }
        left.push(Interval {
            start,
            end: interval.end,
        });
    }
    left.retain(Interval::is_real);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(pairs: &[(f64, f64)]) -> Vec<Interval> {
        pairs
            .iter()
            .map(|(start, end)| Interval {
                start: *start,
                end: *end,
            })
            .collect()
    }

    #[test]
    fn stretches_that_touch_become_one() {
        let found = union(intervals(&[(3.0, 4.0), (0.0, 1.0), (1.0, 2.0), (3.5, 3.7), (6.0, 6.0)]).into_iter());
        assert_eq!(found, intervals(&[(0.0, 2.0), (3.0, 4.0)]));
    }

    #[test]
    fn holes_cut_and_swallow() {
        let from = intervals(&[(0.0, 4.0), (5.0, 6.0), (8.0, 9.0)]);
        let holes = intervals(&[(1.0, 2.0), (3.0, 5.5), (7.0, 10.0)]);
        assert_eq!(
            subtract(&from, &holes),
            intervals(&[(0.0, 1.0), (2.0, 3.0), (5.5, 6.0)])
        );
    }

    #[test]
    fn nothing_has_no_extent() {
        assert_eq!(extent(std::iter::empty()), None);
        let parts = intervals(&[(0.0, 1.0), (2.0, 2.0)]);
        assert_eq!(parts[0].intersection(&parts[1]).seconds(), 0.0);
    }
}
