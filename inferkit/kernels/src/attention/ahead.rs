//! Which part of a cache is asked for while another is read.
//!
//! The block table is random to the hardware, which follows a stream only within a block, and arithmetic fills the window in
//! which a processor would meet the next loads. So each line that is read asks for the one that is read some way later, in the
//! order of reading: keys of all blocks of a segment, values of all its blocks, keys of the next segment. Lines are asked for one
//! by one, between arithmetic: as many at once fill the queue to memory, and what is read now waits behind them.
//! (Where values are read strip by strip of their columns, a strip asks for its own lines; rows of f32 or of over 128 values are
//! longer than the way then, and a few lines are asked for that are there.)

use std::ops::Range;

use super::kernels::Segment;
use crate::simd::prefetch;

/// Bytes from what is read to what is asked for: what one core keeps under way at the speed of its memory. A whole number of
/// pages is measurably worse: asked and read lines have the same place in a page then.
const AHEAD: usize = 130 * LINE;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Addresses that correspond to the beginning of the piece (a head of a block) that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// While it is asked within the same block.
    here: *const u8,
    /// Bytes of the piece for which this is so.
    left: usize,
    /// After that: in the block that is read next.
    next: *const u8,
}

impl Ahead {
    /// Asks for nothing.
    pub(super) const NOTHING: Self = Self {
        here: std::ptr::null(),
        left: 0,
        next: std::ptr::null(),
    };

    /// While keys (`part` 0) or values (1) of a piece (block and head) are read; `blocks` are those of the segment.
    #[inline(always)]
    pub(super) fn of(segment: &Segment<'_>, blocks: &Range<usize>, [block, head]: [usize; 2], part: usize) -> Self {
        let whole = segment.heads * segment.head_bytes;
        // Less than a block, since the one after the next is not known here, and no whole number of pages.
        let distance = AHEAD.min(whole - 2 * LINE);
        let end = head * segment.head_bytes + distance;
        let next = match part {
            _ if block + 1 < blocks.end => segment.piece([block + 1, 0], part),
            0 => segment.piece([blocks.start, 0], 1),
            _ => segment.piece([(block + 1).min(segment.blocks.len() - 1), 0], 0),
        };
        Self {
            here: segment.piece([block, head], part).wrapping_add(distance),
            left: whole.saturating_sub(end),
            next: next.wrapping_add(end.wrapping_sub(whole)),
        }
    }

    /// Asks for the line that corresponds to the one `at` bytes from the beginning of the piece.
    #[inline(always)]
    pub(super) fn ask(self, at: usize) {
        if !self.here.is_null() {
            prefetch(self.line(at));
        }
    }

    #[inline(always)]
    fn line(self, at: usize) -> *const u8 {
        let base = if at < self.left { self.here } else { self.next };
        base.wrapping_add(at)
    }
}

#[cfg(test)]
mod tests {
    use super::{AHEAD, Ahead, LINE};
    use crate::attention::CacheElement;
    use crate::attention::kernels::Segment;

    /// Lines in the order of reading, and those that are asked for meanwhile, of a segment of three blocks and the next one's first.
    fn read_and_asked(heads: usize, head_bytes: usize) -> [Vec<usize>; 2] {
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
                        lines[1].push(ahead.line(at).addr());
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
        for [heads, head_bytes] in [[8, 8_192], [2, 8_192], [3, 4_224], [16, 1_024]] {
            let [read, asked] = read_and_asked(heads, head_bytes);
            assert_eq!(
                asked,
                &read[AHEAD / LINE..][..asked.len()],
                "{heads} heads of {head_bytes}"
            );
        }
    }

    #[test]
    fn where_a_block_is_shorter_than_the_way_the_way_is_shortened() {
        let [read, asked] = read_and_asked(1, 4_096);
        assert_eq!(asked, &read[4_096 / LINE - 2..][..asked.len()]);
    }
}
