//! Which part of a cache is asked for while another is read.
//!
//! The block table is random to the hardware, which follows a stream only within a block, and arithmetic fills the window in
//! which a processor would meet the next loads. So each line that is read asks for lines that are read some way later, in the
//! order of reading: keys of all blocks of a segment, values of all its blocks, keys of the next segment. Asks stand one by one
//! between arithmetic: many at once fill the queue to memory, and what is read now waits behind them.
//!
//! A processor drops what is asked for while that queue is full. Where memory is the limit, each line is asked for several
//! times, first from far, then nearer; once it is there, that costs an instruction. It also slows asking down to about the pace
//! of memory, which gains by itself; how much each gives was not separated. Where arithmetic is the limit, it is asked for once.
//! (Where values are read strip by strip of their columns, strips may ask for each other's lines. Heads of f32 or of over 128 values
//! are longer than the ways, and a few lines are asked for in vain.)

use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

use super::kernels::Segment;
use crate::simd::prefetch;

/// Bytes from what is read to what is asked for once: what one core keeps under way at the speed of its memory. A whole number of
/// pages is measurably worse: asked and read lines have the same place in a page then.
const ONCE: usize = 130 * LINE;

/// Times that a line is asked for where memory is the limit.
const TIMES: usize = 5;

/// Bytes from what is read to what is asked for the first time, and how many less it is each other time. None of these ways is a
/// whole number of pages.
const FAR: usize = 208 * LINE;
const NEARER: usize = 32 * LINE;

/// Bytes that are read with one look at where the block ends. (Where rows are no whole number of groups, those at the end of a block
/// ask for a few lines behind it.)
pub(super) const GROUP: usize = 8 * LINE;

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
    /// The constants above, less where a block is shorter: the one after the next is not known here.
    once: usize,
    far: usize,
    nearer: usize,
}

/// Lines that are asked for while one is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines([*const u8; TIMES]);

impl Ahead {
    /// Asks for nothing.
    pub(super) const NOTHING: Self = Self {
        here: std::ptr::null(),
        left: 0,
        next: std::ptr::null(),
        once: 0,
        far: 0,
        nearer: 0,
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
        let far = FAR.min((whole / GROUP).saturating_sub(1) * GROUP);
        Self {
            here: segment.piece([block, head], part),
            left,
            next: next.wrapping_sub(left),
            once: ONCE.min(whole - 3 * LINE),
            far,
            nearer: NEARER.min(far / TIMES / GROUP * GROUP),
        }
    }

    /// Whether it asks for anything.
    #[inline(always)]
    pub(super) fn asks(self) -> bool {
        !self.here.is_null()
    }

    /// Asks once, while the line is read that stands `at` bytes from the beginning of the piece.
    #[inline(always)]
    pub(super) fn ask(self, at: usize) {
        if self.asks() {
            prefetch(self.line(at + self.once));
        }
    }

    /// What is asked for while that line and those after it are read, up to the end of their group.
    #[inline(always)]
    pub(super) fn lines(self, at: usize) -> Lines {
        Lines(std::array::from_fn(|time| {
            self.line(at + self.far - time * self.nearer)
        }))
    }

    /// The line that stands so many bytes from the beginning of the piece, in the order of reading.
    #[inline(always)]
    fn line(self, at: usize) -> *const u8 {
        let base = if at < self.left { self.here } else { self.next };
        base.wrapping_add(at)
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
    use super::{Ahead, GROUP, LINE, TIMES};
    use crate::attention::CacheElement;
    use crate::attention::kernels::Segment;

    /// Lines in the order of reading of a segment of three blocks and the next one's first, and what is asked for meanwhile: once,
    /// and each of several times.
    fn read_and_asked(heads: usize, head_bytes: usize) -> (Vec<usize>, Vec<usize>, [Vec<usize>; TIMES]) {
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
        let (mut read, mut once, mut times) = (Vec::new(), Vec::new(), [const { Vec::new() }; TIMES]);
        for (part, block) in [0, 1]
            .into_iter()
            .flat_map(|part| (0..3).map(move |block| (part, block)))
        {
            for head in 0..heads {
                let ahead = Ahead::of(&segment, &(0..3), [block, head], part);
                for at in (0..head_bytes).step_by(LINE) {
                    read.push(segment.piece([block, head], part).wrapping_add(at).addr());
                    once.push(ahead.line(at + ahead.once).addr());
                    let lines = ahead.lines(at / GROUP * GROUP).0;
                    for (time, line) in times.iter_mut().zip(lines) {
                        time.push(line.wrapping_add(at % GROUP).addr());
                    }
                }
            }
        }
        let next = (0..heads * head_bytes).step_by(LINE);
        read.extend(next.map(|at| segment.piece([3, 0], 0).wrapping_add(at).addr()));
        (read, once, times)
    }

    #[test]
    fn lines_are_asked_for_in_the_order_of_reading() {
        for [heads, head_bytes] in [[8, 8_192], [2, 8_192], [16, 1_024], [3, 5_120]] {
            let (read, once, times) = read_and_asked(heads, head_bytes);
            assert_eq!(once, &read[130..][..once.len()], "{heads} heads of {head_bytes}");
            for (lines, way) in times.iter().zip([208, 176, 144, 112, 80]) {
                assert_eq!(
                    lines,
                    &read[way..][..lines.len()],
                    "{heads} heads of {head_bytes}, {way}"
                );
            }
        }
        // A head of 8 bits is no whole number of groups, and asks once.
        let (read, once, _) = read_and_asked(4, 4_224);
        assert_eq!(once, &read[130..][..once.len()]);
    }

    #[test]
    fn ways_are_as_short_as_blocks_are() {
        for (head_bytes, ways) in [
            (8_192, [120, 96, 72, 48, 24]),
            (4_096, [56, 48, 40, 32, 24]),
            (1_024, [8; TIMES]),
        ] {
            let (read, once, times) = read_and_asked(1, head_bytes);
            let way = (head_bytes / LINE - 3).min(130);
            assert_eq!(once, &read[way..][..once.len()], "{head_bytes}");
            for (lines, way) in times.iter().zip(ways) {
                assert_eq!(lines, &read[way..][..lines.len()], "{head_bytes}, {way}");
            }
        }
    }
}
