//! The tokens of overlapping chunks as one sequence: what both heard stands once.
//!
//! Source: NeMo 3.0.0, `nemo/collections/asr/parts/utils/streaming_utils.py`, `longest_common_subsequence_merge`, called by
//! `chunking_utils.py`, `merge_parallel_chunks`.

/// First tokens of a chunk that may repeat the end of the one before: 0.6 of the twelve frames of a second.
const HEAD_TOKENS: usize = 7;

/// Last tokens of what is merged so far that are compared with them: twice the frames of a second.
const TAIL_TOKENS: usize = 24;

/// The tokens of overlapping chunks, joined one chunk after another.
///
/// All but the last [`TAIL_TOKENS`] are settled: whoever tells them need not take them back. The original, which joins when it has
/// all chunks, may reach further back after chunks of so few tokens that the whole has become shorter; here it ends at what is settled.
#[derive(Debug, Clone)]
pub(in super::super) struct Merged<T> {
    items: Vec<T>,
    settled: usize,
}

impl<T> Default for Merged<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            settled: 0,
        }
    }
}

impl<T: Copy> Merged<T> {
    /// Adds the tokens of the next chunk; `id` tells which token an item is.
    pub(in super::super) fn push(&mut self, chunk: &[T], id: impl Fn(&T) -> u32) {
        let (head, tail) = chunk.split_at(chunk.len().min(HEAD_TOKENS));
        let base = self.settled.max(self.items.len().saturating_sub(TAIL_TOKENS));
        join(&mut self.items, base, head, id);
        self.items.extend_from_slice(tail);
        self.settled = self.settled.max(self.items.len().saturating_sub(TAIL_TOKENS));
    }

    /// All tokens as they are by now.
    pub(in super::super) fn items(&self) -> &[T] {
        &self.items
    }

    /// How many of the first no chunk to come will change.
    pub(in super::super) const fn settled(&self) -> usize {
        self.settled
    }
}

/// What two sequences share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Common {
    /// Where it begins in the end of the first.
    tail: usize,
    /// Where it begins in the second.
    head: usize,
    length: usize,
}

/// Adds `head` to `buffer`, without the tokens that both have where they meet, which is looked for from `base` on.
fn join<T: Copy>(buffer: &mut Vec<T>, base: usize, head: &[T], id: impl Fn(&T) -> u32) {
    let ids = |items: &[T]| items.iter().map(&id).collect::<Vec<u32>>();
    let common = common(&ids(&buffer[base..]), &ids(head));
    let (kept, rest) = match common {
        Some(common) => (base + common.tail + common.length, common.head + common.length),
        None => (buffer.len(), 0),
    };
    buffer.truncate(kept);
    buffer.extend_from_slice(&head[rest.min(head.len())..]);
}

/// What the end of `tail` and `head` share, if that is enough to cut there.
fn common(tail: &[u32], head: &[u32]) -> Option<Common> {
    let runs = Runs::new(tail, head);
    let (row, column, length) = runs.longest()?;
    if row == tail.len() {
        return Some(Common {
            tail: row - length,
            head: column - length,
            length,
        });
    }
    runs.with_gaps()
}

/// Lengths of the common runs that end at each pair of tokens.
struct Runs {
    /// `rows[i][j]`: the run that ends with token `i − 1` of the one and `j − 1` of the other.
    rows: Vec<Vec<usize>>,
}

impl Runs {
    fn new(tail: &[u32], head: &[u32]) -> Self {
        let mut rows = vec![vec![0; head.len() + 1]];
        for one in tail {
            let above = &rows[rows.len() - 1];
            let run = |(other, diagonal): (&u32, &usize)| if one == other { diagonal + 1 } else { 0 };
            let row = std::iter::once(0).chain(head.iter().zip(above).map(run)).collect();
            rows.push(row);
        }
        Self { rows }
    }

    fn at(&self, row: usize, column: usize) -> usize {
        self.rows.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0)
    }

    /// Row, column and length of the longest run, the last of equals; `None` if nothing is common.
    fn longest(&self) -> Option<(usize, usize, usize)> {
        let mut best = None;
        for (row, lengths) in self.rows.iter().enumerate() {
            for (column, length) in lengths.iter().enumerate() {
                let found = best.map_or(0, |(_, _, length)| length);
                if *length > 0 && *length >= found {
                    best = Some((row, column, *length));
                }
            }
        }
        best
    }

    /// A common part that does not reach the end of the first sequence: gaps in it are stepped over.
    ///
    /// This follows the original step by step; what it finds is tested against the original's answers.
    fn with_gaps(&self) -> Option<Common> {
        let last_row = self.rows.len() - 1;
        let width = self.rows[0].len() - 1;
        let (mut row, mut column) = self.leftmost_longest(width)?;
        let (mut extent, mut skipped, mut next) = (0, 0, column + 1);
        for below in row + 1..=last_row {
            let mut missed = 0;
            for right in next..=next + skipped {
                if right > width {
                    continue;
                }
                if self.at(below, right) == 0 {
                    missed = 1;
                } else {
                    extent = 1 + skipped + missed;
                }
            }
            skipped += missed;
            next += 1;
        }
        column += extent;
        let (mut count, mut gaps) = (0, 0);
        while row > 0 && column > 0 {
            if self.at(row, column) == 0 {
                column -= 1;
                gaps += 1;
            }
            if column > 0 {
                count += 1;
                row -= 1;
                column -= 1;
            }
        }
        let length = count + gaps;
        (length > 0).then_some(Common {
            tail: row,
            head: column,
            length,
        })
    }

    /// The longest run that lies lowest, and left of those below it; `None` if no run has two tokens.
    fn leftmost_longest(&self, width: usize) -> Option<(usize, usize)> {
        let (mut best, mut bound, mut place) = (0, width, None);
        for (row, lengths) in self.rows.iter().enumerate().rev() {
            for (column, length) in lengths.iter().enumerate() {
                if *length > best && column <= bound {
                    best = *length;
                    bound = column;
                    place = Some((row, column));
                }
            }
        }
        place.filter(|_| best > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn merged(chunks: &[Vec<u32>]) -> Vec<u32> {
        let mut merged = Merged::default();
        for chunk in chunks {
            merged.push(chunk, |id| *id);
        }
        merged.items().to_vec()
    }

    #[test]
    fn sequences_join_like_the_golden_ones() {
        let cases = testing::golden("algorithms.json");
        let cases = cases["lcs_merge"].as_array().unwrap();
        assert_eq!(cases.len(), 160);
        for case in cases {
            let (buffer, head) = (testing::ids(&case["buffer"]), testing::ids(&case["data"]));
            let expected = testing::ids(&case["merged"]);
            let mut found = buffer.clone();
            join(&mut found, buffer.len().saturating_sub(TAIL_TOKENS), &head, |id| *id);
            assert_eq!(found, expected, "{buffer:?} and {head:?}");
        }
    }

    #[test]
    fn the_chunks_of_the_golden_recording_become_its_text() {
        let expected = testing::golden("canary-1b-v2.transcribe.json");
        let chunks: Vec<Vec<u32>> = expected["long_per_chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|chunk| testing::ids(&chunk["ids"]))
            .collect();
        let text = testing::single_tokenizer().decode(&merged(&chunks));
        assert_eq!(text, expected["long_chunked"]["text"].as_str().unwrap());
    }

    #[test]
    fn what_both_chunks_end_and_begin_with_stands_once() {
        assert_eq!(merged(&[vec![1, 2, 3, 4], vec![3, 4, 5, 6]]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(merged(&[vec![1, 2], vec![3, 4]]), [1, 2, 3, 4]);
        assert_eq!(merged(&[vec![], vec![3, 4], vec![]]), [3, 4]);
        assert!(merged(&[]).is_empty());
    }

    #[test]
    fn only_the_first_tokens_of_a_chunk_may_be_dropped() {
        let second: Vec<u32> = (100..107).chain([1, 2, 3]).collect();
        let merged = merged(&[vec![1, 2, 3], second.clone()]);
        assert_eq!(merged, [vec![1, 2, 3], second].concat());
    }

    #[test]
    fn what_is_settled_stays_though_chunks_of_few_tokens_shorten_the_whole() {
        let chunks = [(0..60).collect(), vec![38, 39, 1000], vec![18, 19, 2000, 2001]];
        let mut merged = Merged::default();
        let mut settled = Vec::new();
        for chunk in &chunks {
            merged.push(chunk, |id| *id);
            assert!(merged.items().starts_with(&settled), "{settled:?} of {merged:?}");
            settled = merged.items()[..merged.settled()].to_vec();
        }
        assert_eq!(settled, (0..36).collect::<Vec<u32>>());
        // The original would find 18 and 19 of the first chunk again, and give up all behind them.
        let expected = [(0..40).collect(), vec![1000], chunks[2].clone()].concat();
        assert_eq!(merged.items(), expected);
    }

    #[test]
    fn settled_tokens_stay_whatever_chunks_repeat() {
        let mut state = 7_u32;
        let mut next = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % bound
        };
        for case in 0..2_000 {
            let mut merged = Merged::default();
            let mut settled = Vec::new();
            for _ in 0..6 {
                let length = if next(2) == 0 { next(8) } else { next(60) };
                let chunk: Vec<u32> = (0..length).map(|_| next(5)).collect();
                merged.push(&chunk, |id| *id);
                assert!(
                    merged.items().starts_with(&settled),
                    "case {case}: {settled:?} of {merged:?}"
                );
                settled = merged.items()[..merged.settled()].to_vec();
            }
        }
    }
}
