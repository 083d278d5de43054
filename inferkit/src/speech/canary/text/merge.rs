//! The tokens of overlapping chunks as one sequence: what both heard stands once.
//!
//! Source: NeMo 3.0.0, `nemo/collections/asr/parts/utils/streaming_utils.py`, `longest_common_subsequence_merge`, called by
//! `chunking_utils.py`, `merge_parallel_chunks`.

/// First tokens of a chunk that may repeat the end of the one before: 0.6 of the twelve frames of a second.
const HEAD_TOKENS: usize = 7;

/// Last tokens of what is merged so far that are compared with them: twice the frames of a second. Those before them stay as
/// they are.
pub(in super::super) const TAIL_TOKENS: usize = 24;

/// Joins the tokens of overlapping chunks, in their order; `id` tells which token an item is.
pub(in super::super) fn merge_chunks<T: Copy>(chunks: &[Vec<T>], id: impl Fn(&T) -> u32 + Copy) -> Vec<T> {
    let mut merged: Vec<T> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let (head, tail) = chunk.split_at(chunk.len().min(HEAD_TOKENS));
        if index == 0 {
            merged.extend_from_slice(chunk);
        } else {
            merged = join(&merged, head, id);
            merged.extend_from_slice(tail);
        }
    }
    merged
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

/// `buffer` and then `head`, without the tokens that both have where they meet.
fn join<T: Copy>(buffer: &[T], head: &[T], id: impl Fn(&T) -> u32 + Copy) -> Vec<T> {
    let base = buffer.len().saturating_sub(TAIL_TOKENS);
    let ids = |items: &[T]| items.iter().map(id).collect::<Vec<u32>>();
    let common = common(&ids(&buffer[base..]), &ids(head));
    let (kept, rest) = match common {
        Some(common) => (base + common.tail + common.length, common.head + common.length),
        None => (buffer.len(), 0),
    };
    let kept = &buffer[..kept.min(buffer.len())];
    let rest = &head[rest.min(head.len())..];
    [kept, rest].concat()
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
        merge_chunks(chunks, |id| *id)
    }

    #[test]
    fn sequences_join_like_the_golden_ones() {
        let cases = testing::golden("algorithms.json");
        let cases = cases["lcs_merge"].as_array().unwrap();
        assert_eq!(cases.len(), 160);
        for case in cases {
            let (buffer, head) = (testing::ids(&case["buffer"]), testing::ids(&case["data"]));
            let expected = testing::ids(&case["merged"]);
            assert_eq!(join(&buffer, &head, |id| *id), expected, "{buffer:?} and {head:?}");
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
        let text = testing::single_tokenizer().decode(&merge_chunks(&chunks, |id| *id));
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
}
