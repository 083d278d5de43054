//! Scores and probabilities of one segment, and how segments are merged.
//!
//! Rows are queries: `heads x tokens x group`. Scores and probabilities share one buffer `[rows][256]`.
//!
//! Few queries read keys and values from memory once and compute little: what counts is that memory is read in long
//! stretches. The heads of a block stand one after another, so that several heads are computed together, block by block.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::ahead::Ahead;
use super::cache::{BLOCK_TOKENS, CacheElement};
use super::keys;
use super::outputs::outputs;
use crate::simd::{Simd, exp2, float_tiers};

/// Positions of a segment.
pub(super) const SEGMENT: usize = 256;

/// What stands for minus infinity: finite, so that differences of it are numbers.
pub(super) const LOWEST: f32 = f32::MIN;

/// Rows of a head up to which memory is the limit, where values are bfloat16 and a vector is a line. Lines are asked for and read one
/// by one then, between arithmetic, which gets most from memory; else each query or probability is taken into a register once for
/// several vectors.
pub(super) const FEW: usize = 2;

/// One segment of a unit.
pub(super) struct Segment<'a> {
    /// First value of each query.
    pub(super) queries: &'a [*const f32],
    /// For each row, the positions in the segment that it sees: from the first up to the second.
    pub(super) visible: &'a [(usize, usize)],
    /// Keys and values of the first head in each block of the segment, and in the one that follows it in the context, if any.
    pub(super) blocks: &'a [[*const u8; 2]],
    /// Kv heads that are computed together. Each has as many rows as any other, one head after another.
    pub(super) heads: usize,
    /// From a head's keys in a block to those of the next head.
    pub(super) head_bytes: usize,
    /// Values per head.
    pub(super) width: usize,
    pub(super) element: CacheElement,
    pub(super) scale: f32,
    /// `[rows][SEGMENT]`, working memory.
    pub(super) scores: *mut f32,
    /// `[rows][width]`.
    pub(super) out: *mut f32,
    /// `[rows]`: greatest score, scaled and times log2 e, and sum of the probabilities relative to it.
    pub(super) state: *mut [f32; 2],
}

impl Segment<'_> {
    /// Positions that some row sees; empty when none does.
    #[inline(always)]
    fn range(&self) -> (usize, usize) {
        let seen = self.visible.iter().filter(|(first, end)| first < end);
        let range = seen.fold((SEGMENT, 0), |(a, b), &(first, end)| (a.min(first), b.max(end)));
        (range.0.min(range.1), range.1)
    }

    /// Rows of a head.
    #[inline(always)]
    pub(super) fn rows_of(&self, head: usize) -> Range<usize> {
        let rows = self.queries.len() / self.heads;
        head * rows..(head + 1) * rows
    }

    /// Keys (0) or values (1) of a block and head.
    #[inline(always)]
    pub(super) fn piece(&self, [block, head]: [usize; 2], part: usize) -> *const u8 {
        self.blocks[block][part].wrapping_add(head * self.head_bytes)
    }
}

float_tiers! {
    /// Computes output, greatest score and sum for all rows of a segment.
    pub(super) fn segment(segment: &Segment<'_>) = attend;
}
float_tiers! {
    /// Merges rows of a segment into what came before it; both outputs hold `width` values a row.
    pub(super) fn merge(total: (&mut [[f32; 2]], *mut f32), next: (&[[f32; 2]], *const f32), width: usize) = merge_rows;
}
float_tiers! {
    /// Writes `values / sum`, or zeros when nothing was seen.
    pub(super) fn finish(sum: f32, values: *const f32, out: *mut f32, width: usize) = divide;
}

#[inline(always)]
unsafe fn attend<S: Simd>(segment: &Segment<'_>) {
    let (first, end) = segment.range();
    if first == end {
        for row in 0..segment.queries.len() {
            *segment.state.add(row) = [LOWEST, 0.0];
        }
        return;
    }
    let blocks = first / BLOCK_TOKENS..end.div_ceil(BLOCK_TOKENS);
    for block in blocks.clone() {
        let mut head = 0;
        while head < segment.heads {
            head += scores_of_block::<S>(segment, &blocks, [block, head]);
        }
    }
    outputs::<S>(segment, blocks, end);
}

/// Scores of a head, or of two; returns how many.
#[inline(always)]
unsafe fn scores_of_block<S: Simd>(segment: &Segment<'_>, blocks: &Range<usize>, piece: [usize; 2]) -> usize {
    let left = segment.heads - piece[1];
    match (segment.element, S::LANES, segment.rows_of(piece[1]).len()) {
        (CacheElement::Int8, 16, 1) if left >= 2 => scores_of_two_heads::<S, 1>(segment, blocks, piece),
        (CacheElement::Int8, 16, 2) if left >= 2 => scores_of_two_heads::<S, 2>(segment, blocks, piece),
        _ => scores_of_head::<S>(segment, blocks, piece),
    }
}

/// All R rows of a head and of the next, in 8 bits.
#[inline(always)]
unsafe fn scores_of_two_heads<S: Simd, const R: usize>(
    segment: &Segment<'_>,
    blocks: &Range<usize>,
    [block, head]: [usize; 2],
) -> usize {
    let row = segment.rows_of(head).start;
    let keys = [segment.piece([block, head], 0), segment.piece([block, head + 1], 0)];
    let queries = [queries::<R>(segment, row), queries::<R>(segment, row + R)];
    let ahead = Ahead::of(segment, blocks, [block, head], 0);
    let [first, second] = keys::of_int8::<S, 2, R, 2>(segment.width, keys, queries, ahead);
    store_scores::<S, R, 2>(segment, [row, block], first);
    store_scores::<S, R, 2>(segment, [row + R, block], second);
    2
}

/// Rows of a head by 32 tokens: two vectors of 16 lanes or four of 8.
#[inline(always)]
unsafe fn scores_of_head<S: Simd>(segment: &Segment<'_>, blocks: &Range<usize>, piece: [usize; 2]) -> usize {
    let rows = segment.rows_of(piece[1]).len();
    let (mut row, mut ahead) = (0, Ahead::of(segment, blocks, piece, 0));
    while row < rows {
        // One or two rows have too few sums to hide the latency of the multiply-add: they are not left over where it can be helped.
        row += match (rows - row, S::LANES) {
            (1, 16) => scores::<S, 1, 2>(segment, piece, row, ahead),
            (2, 16) => scores::<S, 2, 2>(segment, piece, row, ahead),
            (3, 16) => scores::<S, 3, 2>(segment, piece, row, ahead),
            (4, 16) => scores::<S, 4, 2>(segment, piece, row, ahead),
            (5, 16) => scores::<S, 5, 2>(segment, piece, row, ahead),
            (6 | 9 | 10 | 11, 16) => scores::<S, 6, 2>(segment, piece, row, ahead),
            (7 | 13 | 14, 16) => scores::<S, 7, 2>(segment, piece, row, ahead),
            (8, 16) => scores::<S, 8, 2>(segment, piece, row, ahead),
            (_, 16) => scores::<S, 12, 2>(segment, piece, row, ahead),
            (1, _) => scores::<S, 1, 4>(segment, piece, row, ahead),
            (2, _) => scores::<S, 2, 4>(segment, piece, row, ahead),
            _ => scores::<S, 3, 4>(segment, piece, row, ahead),
        };
        ahead = Ahead::NOTHING;
    }
    1
}

/// R rows, from number `row` of the head on.
#[inline(always)]
unsafe fn scores<S: Simd, const R: usize, const V: usize>(
    segment: &Segment<'_>,
    piece: [usize; 2],
    row: usize,
    ahead: Ahead,
) -> usize {
    let row = segment.rows_of(piece[1]).start + row;
    let keys = segment.piece(piece, 0);
    let queries = queries::<R>(segment, row);
    let sums = match segment.element {
        CacheElement::Bf16 => keys::of_bf16::<S, R, V>(segment.width, keys, queries, ahead),
        CacheElement::F32 => keys::of_f32::<S, R, V>(segment.width, keys, queries, ahead),
        CacheElement::Int8 => keys::of_int8::<S, 1, R, V>(segment.width, [keys], [queries], ahead)[0],
    };
    store_scores::<S, R, V>(segment, [row, piece[0]], sums);
    R
}

#[inline(always)]
fn queries<const R: usize>(segment: &Segment<'_>, row: usize) -> [*const f32; R] {
    let mut queries = [std::ptr::null(); R];
    queries.copy_from_slice(&segment.queries[row..row + R]);
    queries
}

#[inline(always)]
unsafe fn store_scores<S: Simd, const R: usize, const V: usize>(
    segment: &Segment<'_>,
    [row, block]: [usize; 2],
    sums: [[S::F; V]; R],
) {
    for r in 0..R {
        let target = segment.scores.add((row + r) * SEGMENT + block * BLOCK_TOKENS);
        for v in 0..V {
            S::store(target.add(v * S::LANES), sums[r][v]);
        }
    }
}

/// Positions of the lanes of a vector.
static LANE_NUMBERS: [f32; 16] = [
    0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
];

/// Turns the scores of a head into probabilities.
#[inline(always)]
pub(super) unsafe fn probabilities<S: Simd>(segment: &Segment<'_>, blocks: &Range<usize>, head: usize) {
    for row in segment.rows_of(head) {
        *segment.state.add(row) = probabilities_of_row::<S>(segment, row, blocks);
    }
}

/// Turns the scores of a row into probabilities; returns the greatest scaled score and the sum.
///
/// What the row does not see is replaced, never multiplied: it may be anything.
#[inline(always)]
unsafe fn probabilities_of_row<S: Simd>(segment: &Segment<'_>, row: usize, blocks: &Range<usize>) -> [f32; 2] {
    let scores = segment.scores.add(row * SEGMENT);
    let (first, end) = segment.visible[row];
    let range = blocks.start * BLOCK_TOKENS..blocks.end * BLOCK_TOKENS;
    if first >= end {
        for at in range.step_by(S::LANES) {
            S::store(scores.add(at), S::splat(0.0));
        }
        return [LOWEST, 0.0];
    }
    let lowest = S::splat(LOWEST);
    let mut greatest = lowest;
    for at in range.clone().step_by(S::LANES) {
        let mut score = S::load(scores.add(at));
        if at < first || at + S::LANES > end {
            let position = S::add(S::load(LANE_NUMBERS.as_ptr()), S::splat(at as f32));
            score = S::select_lt(position, S::splat(end as f32), score, lowest);
            score = S::select_lt(position, S::splat(first as f32), lowest, score);
            S::store(scores.add(at), score);
        }
        // The second operand survives where the first is NaN: the NaN itself surfaces as a probability.
        greatest = S::max(score, greatest);
    }
    let greatest = S::reduce_max(greatest);
    // Where every score is hidden or minus infinity, none may be the greatest: all are far below zero (see `check_scale`).
    let shift = S::splat(if greatest > LOWEST { greatest } else { 0.0 });
    let factor = segment.scale * LOG2_E;
    let scale = S::splat(factor);
    let mut sum = S::splat(0.0);
    for at in range.step_by(S::LANES) {
        let score = S::load(scores.add(at));
        let probability = exp2::<S>(S::mul(S::sub(score, shift), scale));
        S::store(scores.add(at), probability);
        sum = S::add(sum, probability);
    }
    [greatest * factor, S::reduce_add(sum)]
}

/// Multiplies the probabilities of a block and head by the scales of the values that they are going to meet, which takes fewer
/// operations than to multiply the values. Beyond the context it makes numbers that nobody reads.
#[inline(always)]
pub(super) unsafe fn scale_by_values<S: Simd>(segment: &Segment<'_>, [block, head]: [usize; 2]) {
    let scales = segment.piece([block, head], 1).cast::<f32>();
    for row in segment.rows_of(head) {
        let probabilities = segment.scores.add(row * SEGMENT + block * BLOCK_TOKENS);
        for at in (0..BLOCK_TOKENS).step_by(S::LANES) {
            let scaled = S::mul(S::load(probabilities.add(at)), S::load(scales.add(at)));
            S::store(probabilities.add(at), scaled);
        }
    }
}

#[inline(always)]
unsafe fn merge_rows<S: Simd>(
    (totals, total_out): (&mut [[f32; 2]], *mut f32),
    (states, out): (&[[f32; 2]], *const f32),
    width: usize,
) {
    for (row, (total, state)) in totals.iter_mut().zip(states).enumerate() {
        merge_row::<S>(total, total_out.add(row * width), (state, out.add(row * width)), width);
    }
}

/// Merges a row, unless it saw nothing of the segment.
#[inline(always)]
unsafe fn merge_row<S: Simd>(
    total: &mut [f32; 2],
    total_out: *mut f32,
    (&[greatest, sum], out): (&[f32; 2], *const f32),
    width: usize,
) {
    if sum == 0.0 {
        return;
    }
    let [total_greatest, total_sum] = *total;
    if total_sum == 0.0 {
        *total = [greatest, sum];
        for at in (0..width).step_by(S::LANES) {
            S::store(total_out.add(at), S::load(out.add(at)));
        }
        return;
    }
    // A NaN sum is kept by both ways.
    let (own, other) = if greatest > total_greatest {
        (greatest, total_greatest)
    } else {
        (total_greatest, greatest)
    };
    let mut lanes = [0.0_f32; 16];
    S::store(lanes.as_mut_ptr(), exp2::<S>(S::splat(other - own)));
    let factor = lanes[0];
    let (old, new) = if greatest > total_greatest {
        (factor, 1.0)
    } else {
        (1.0, factor)
    };
    *total = [own, total_sum * old + sum * new];
    for at in (0..width).step_by(S::LANES) {
        let scaled = S::mul(S::load(total_out.add(at)), S::splat(old));
        S::store(total_out.add(at), S::fma(S::load(out.add(at)), S::splat(new), scaled));
    }
}

#[inline(always)]
unsafe fn divide<S: Simd>(sum: f32, values: *const f32, out: *mut f32, width: usize) {
    for at in (0..width).step_by(S::LANES) {
        let value = if sum == 0.0 {
            S::splat(0.0)
        } else {
            S::div(S::load(values.add(at)), S::splat(sum))
        };
        S::store(out.add(at), value);
    }
}
