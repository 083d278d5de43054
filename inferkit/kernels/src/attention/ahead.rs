//! Which part of a cache is asked for while another is read.
//!
//! The block table is random to the hardware, which follows a stream only within a block. With one head, that is the keys two
//! blocks on, and this block's values, which are needed once all scores are there. With several heads it is what is read
//! next: the heads of a block stand one after another, so that hardware follows the same stream, which has been measured to
//! be worth more than either alone.

use std::ops::Range;

use super::kernels::Segment;
use crate::simd::{prefetch, prefetch_far};

/// How far ahead: blocks where there is one head, pieces of a head and block where there are several.
pub(super) const AHEAD: usize = 2;

/// Addresses that correspond to the beginning of the piece that is read; null for nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// Into the first level.
    near: *const u8,
    /// Into the second level.
    far: *const u8,
}

impl Ahead {
    pub(super) const NOTHING: Self = Self {
        near: std::ptr::null(),
        far: std::ptr::null(),
    };

    /// While the keys of a piece (block and head) are read.
    #[inline(always)]
    pub(super) fn of_keys(segment: &Segment<'_>, blocks: &Range<usize>, piece: [usize; 2]) -> Self {
        if segment.heads > 1 {
            return Self::following(segment, blocks, piece, 0);
        }
        let block = (piece[0] + AHEAD).min(segment.blocks.len() - 1);
        Self {
            near: segment.piece([block, 0], 0),
            far: segment.piece(piece, 1),
        }
    }

    /// While the values of a piece of several heads are read.
    #[inline(always)]
    pub(super) fn of_values(segment: &Segment<'_>, blocks: &Range<usize>, piece: [usize; 2]) -> Self {
        Self::following(segment, blocks, piece, 1)
    }

    /// A segment of several heads is read in this order: keys of all blocks, values of all blocks, keys of the next segment.
    #[inline(always)]
    fn following(segment: &Segment<'_>, blocks: &Range<usize>, [block, head]: [usize; 2], part: usize) -> Self {
        let heads = segment.heads;
        let (number, end) = (block * heads + head + AHEAD, blocks.end * heads);
        let (number, part) = if number < end {
            (number, part)
        } else if part == 0 {
            (number - end + blocks.start * heads, 1)
        } else {
            (number, 0)
        };
        let block = (number / heads).min(segment.blocks.len() - 1);
        Self {
            near: segment.piece([block, number % heads], part),
            far: std::ptr::null(),
        }
    }

    /// Asks for the bytes from `start` on.
    #[inline(always)]
    pub(super) fn ask(self, start: usize, bytes: usize) {
        if !self.near.is_null() {
            for line in (start..start + bytes).step_by(64) {
                prefetch(self.near.wrapping_add(line));
            }
        }
        if !self.far.is_null() {
            for line in (start..start + bytes).step_by(64) {
                prefetch_far(self.far.wrapping_add(line));
            }
        }
    }
}
