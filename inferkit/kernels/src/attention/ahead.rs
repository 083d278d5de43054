//! Which part of a cache is asked for while another is read.
//!
//! The block table is random to the hardware, which follows a stream only within a block, and arithmetic fills the window in
//! which a processor would meet the next loads. So each line that is read asks for lines that are read some way later, in the
//! order of reading: keys of all blocks of a segment, values of all its blocks, keys of the next segment. A processor drops what
//! is asked for while its queue to memory is full, so each line is asked for several times, from further and further near; where
//! it is there already, that costs an instruction. Asks stand one by one between arithmetic: many at once fill the queue.
//! (Where values are read strip by strip of their columns, a strip asks for its own lines; rows of f32 or of over 128 values are
//! longer than the way then, and a few lines are asked for that are there.)

use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

use super::kernels::Segment;
use crate::simd::prefetch;

/// Bytes from what is read to what is asked for: what one core keeps under way at the speed of its memory. A whole number of
/// pages is measurably worse: asked and read lines have the same place in a page then.
const WAY: usize = 130 * LINE;

/// The same where a line is asked for again and again.
const WAYS: [usize; 5] = [208 * LINE, 168 * LINE, 128 * LINE, 88 * LINE, 48 * LINE];

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// What is read after a piece (a head of a block).
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// Where the piece begins; null where nothing is asked for.
    here: *const u8,
    /// Bytes from there to the end of its block.
    left: usize,
    /// As far before the block that is read next.
    next: *const u8,
    /// Most bytes to what is asked for: less than a block, since the one after the next is not known here.
    most: usize,
}

/// Lines that are asked for while one is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines([*const u8; WAYS.len()]);

impl Ahead {
    /// Asks for nothing.
    pub(super) const NOTHING: Self = Self {
        here: std::ptr::null(),
        left: 0,
        next: std::ptr::null(),
        most: 0,
    };

    /// While keys (`part` 0) or values (1) of a piece (block and head) are read; `blocks` are those of the segment.
    #[inline(always)]
    pub(super) fn of(segment: &Segment<'_>, blocks: &Range<usize>, [block, head]: [usize; 2], part: usize) -> Self {
        let whole = segment.heads * segment.head_bytes;
        let left = whole - head * segment.head_bytes;
        let next = match part {
            _ if block + 1 < blocks.end => segment.piece([block + 1, 0], part),
            0 => segment.piece([blocks.start, 0], 1),
            _ => segment.piece([(block + 1).min(segment.blocks.len() - 1), 0], 0),
        };
        Self {
            here: segment.piece([block, head], part),
            left,
            next: next.wrapping_sub(left),
            most: whole - 2 * LINE,
        }
    }

    /// Whether it asks for anything.
    #[inline(always)]
    pub(super) fn asks(self) -> bool {
        !self.here.is_null()
    }

    /// Asks once while the line is read that stands `at` bytes from the beginning of the piece: where arithmetic takes longer than
    /// memory, more would only take longer.
    #[inline(always)]
    pub(super) fn ask(self, at: usize) {
        if self.asks() {
            prefetch(self.line(at, WAY));
        }
    }

    /// What is asked for while that line is read, again and again. It serves for the few lines after that, too, as if what they
    /// ask for stood in the same block.
    #[inline(always)]
    pub(super) fn lines(self, at: usize) -> Lines {
        Lines(WAYS.map(|way| self.line(at, way)))
    }

    #[inline(always)]
    fn line(self, at: usize, way: usize) -> *const u8 {
        let asked = at + way.min(self.most);
        let base = if asked < self.left { self.here } else { self.next };
        base.wrapping_add(asked)
    }
}

impl Lines {
    /// Asks while the line is read that stands `after` bytes behind the first.
    #[inline(always)]
    pub(super) fn ask(self, after: usize) {
        for line in self.0 {
            prefetch(line.wrapping_add(after));
        }
        // To a compiler their order means nothing: it would ask for all lines of a loop's turn at once.
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Ahead, LINE, WAY, WAYS};
    use crate::attention::CacheElement;
    use crate::attention::kernels::Segment;

    /// Lines in the order of reading, and those that are asked for meanwhile, so far ahead, of a segment of three blocks and the next
    /// one's first.
    fn read_and_asked(heads: usize, head_bytes: usize, way: usize) -> [Vec<usize>; 2] {
        let blocks: Vec<_> = [7_usize, 2, 5, 0]
            .map(|block| [0, 1].map(|part| std::ptr::without_provenance((2 * block + part + 1) << 20)))
            .into();
        let segment = Segment {
            queries: &[],
            visible: &[],
            blocks: &blocks,
            heads,
            head_bytes,
            width: 16,
            element: CacheElement::Bf16,
            scale: 1.0,
            scores: std::ptr::null_mut(),
            out: std::ptr::null_mut(),
            state: std::ptr::null_mut(),
        };
        let mut lines = [Vec::new(), Vec::new()];
        for part in [0, 1] {
            for block in 0..3 {
                for head in 0..heads {
                    let ahead = Ahead::of(&segment, &(0..3), [block, head], part);
                    for at in (0..head_bytes).step_by(LINE) {
                        lines[0].push(segment.piece([block, head], part).wrapping_add(at).addr());
                        lines[1].push(ahead.line(at, way).addr());
                    }
                }
            }
        }
        let next = (0..heads * head_bytes).step_by(LINE);
        lines[0].extend(next.map(|at| segment.piece([3, 0], 0).wrapping_add(at).addr()));
        lines
    }

    #[test]
    fn the_line_that_is_read_some_way_later_is_asked_for() {
        for [heads, head_bytes] in [[8, 8_192], [2, 8_192], [4, 4_224], [16, 1_024]] {
            for way in WAYS.into_iter().chain([WAY]) {
                let [read, asked] = read_and_asked(heads, head_bytes, way);
                assert_eq!(
                    asked,
                    &read[way / LINE..][..asked.len()],
                    "{heads} heads of {head_bytes}, {way} bytes"
                );
            }
        }
    }

    #[test]
    fn where_a_block_is_shorter_than_the_way_the_way_is_shortened() {
        let [read, asked] = read_and_asked(1, 4_096, WAY);
        assert_eq!(asked, &read[4_096 / LINE - 2..][..asked.len()]);
    }
}
