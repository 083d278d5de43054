//! Scores, probabilities and outputs of one segment.
//!
//! Rows are queries of one kv head: `tokens x group`. Scores and probabilities share one buffer `[rows][256]`.

use super::cache::BLOCK_TOKENS;
use crate::simd::{Simd, exp, float_tiers, prefetch, prefetch_far};

/// Positions of a segment.
pub(super) const SEGMENT: usize = 256;

/// What stands for minus infinity: finite, so that differences of it are numbers.
pub(super) const LOWEST: f32 = f32::MIN;

/// One segment of a unit.
pub(super) struct Segment<'a> {
    /// First value of each query.
    pub(super) queries: &'a [*const f32],
    /// For each row, the positions in the segment that it sees: from the first up to the second.
    pub(super) visible: &'a [(usize, usize)],
    /// Keys and values of each block of the segment, and of a few that follow it in the context.
    pub(super) blocks: &'a [[*const u8; 2]],
    /// Values per head.
    pub(super) width: usize,
    pub(super) is_bf16: bool,
    pub(super) scale: f32,
    /// `[rows][SEGMENT]`, working memory.
    pub(super) scores: *mut f32,
    /// `[rows][width]`.
    pub(super) out: *mut f32,
    /// `[rows]`: greatest scaled score, and sum of the probabilities relative to it.
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
}

float_tiers! {
    /// Computes output, greatest score and sum for all rows of a segment.
    pub(super) fn segment(segment: &Segment<'_>) = attend;
}
float_tiers! {
    /// Merges a segment (`state`, `out`) into what came before it, for a row of `width` values.
    pub(super) fn merge(total: *mut [f32; 2], total_out: *mut f32, next: (&[f32; 2], *const f32), width: usize) = merge_row;
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
        scores_of_block::<S>(segment, block);
    }
    for row in 0..segment.queries.len() {
        *segment.state.add(row) = probabilities::<S>(segment, row, &blocks);
    }
    outputs::<S>(segment, blocks.start * BLOCK_TOKENS, end);
}

/// Blocks ahead of the current one whose keys are asked for.
pub(super) const AHEAD: usize = 2;

/// Values of the inner dimension between two looks ahead.
const STRIDE: usize = 16;

/// The block table is random to the hardware: while the keys of `block` are read at `at..at + STRIDE`, asks for the same part
/// of the keys two blocks further on, and of this block's values, which are needed once all scores are there.
#[inline(always)]
unsafe fn look_ahead(segment: &Segment<'_>, block: usize, at: usize) {
    let value_bytes = if segment.is_bf16 { 2 } else { 4 };
    let (start, size) = (at * BLOCK_TOKENS * value_bytes, STRIDE * BLOCK_TOKENS * value_bytes);
    let values = segment.blocks[block][1].wrapping_add(start);
    let keys = segment.blocks[(block + AHEAD).min(segment.blocks.len() - 1)][0].wrapping_add(start);
    for line in (0..size).step_by(64) {
        prefetch(keys.wrapping_add(line));
        prefetch_far(values.wrapping_add(line));
    }
}

/// Rows by 32 tokens: two vectors of 16 lanes or four of 8.
#[inline(always)]
unsafe fn scores_of_block<S: Simd>(segment: &Segment<'_>, block: usize) {
    let rows = segment.queries.len();
    let mut row = 0;
    while row < rows {
        // Twelve sums hide the latency of the multiply-add, and fit sixteen registers.
        row += match (rows - row, S::LANES) {
            (1, 16) => scores::<S, 1, 2>(segment, block, row),
            (2, 16) => scores::<S, 2, 2>(segment, block, row),
            (3, 16) => scores::<S, 3, 2>(segment, block, row),
            (4 | 5, 16) => scores::<S, 4, 2>(segment, block, row),
            (6..12, 16) => scores::<S, 6, 2>(segment, block, row),
            (_, 16) => scores::<S, 12, 2>(segment, block, row),
            (1, _) => scores::<S, 1, 4>(segment, block, row),
            (2, _) => scores::<S, 2, 4>(segment, block, row),
            _ => scores::<S, 3, 4>(segment, block, row),
        };
    }
}

#[inline(always)]
unsafe fn scores<S: Simd, const R: usize, const V: usize>(segment: &Segment<'_>, block: usize, row: usize) -> usize {
    let mut queries = [std::ptr::null::<f32>(); R];
    queries.copy_from_slice(&segment.queries[row..row + R]);
    let keys = segment.blocks[block][0];
    let mut sums = [[S::splat(0.0); V]; R];
    if segment.is_bf16 {
        let mut keys = keys.cast::<i32>();
        for pair in 0..segment.width / 2 {
            if row == 0 && pair % (STRIDE / 2) == 0 {
                look_ahead(segment, block, 2 * pair);
            }
            let mut k = [S::splat(0.0); V];
            for v in 0..V {
                k[v] = S::bf16_low(S::load_i(keys.add(v * S::LANES)));
            }
            for r in 0..R {
                let q = S::splat(*queries[r].add(2 * pair));
                for v in 0..V {
                    sums[r][v] = S::fma(q, k[v], sums[r][v]);
                }
            }
            for v in 0..V {
                k[v] = S::bf16_high(S::load_i(keys.add(v * S::LANES)));
            }
            for r in 0..R {
                let q = S::splat(*queries[r].add(2 * pair + 1));
                for v in 0..V {
                    sums[r][v] = S::fma(q, k[v], sums[r][v]);
                }
            }
            keys = keys.add(V * S::LANES);
        }
    } else {
        let mut keys = keys.cast::<f32>();
        for i in 0..segment.width {
            if row == 0 && i % STRIDE == 0 {
                look_ahead(segment, block, i);
            }
            let mut k = [S::splat(0.0); V];
            for v in 0..V {
                k[v] = S::load(keys.add(v * S::LANES));
            }
            for r in 0..R {
                let q = S::splat(*queries[r].add(i));
                for v in 0..V {
                    sums[r][v] = S::fma(q, k[v], sums[r][v]);
                }
            }
            keys = keys.add(V * S::LANES);
        }
    }
    for r in 0..R {
        for v in 0..V {
            S::store(
                segment
                    .scores
                    .add((row + r) * SEGMENT + block * BLOCK_TOKENS + v * S::LANES),
                sums[r][v],
            );
        }
    }
    R
}

/// Positions of the lanes of a vector.
static LANE_NUMBERS: [f32; 16] = [
    0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
];

/// Turns the scores of a row into probabilities; returns the greatest scaled score and the sum.
///
/// What the row does not see is replaced, never multiplied: it may be anything.
#[inline(always)]
unsafe fn probabilities<S: Simd>(segment: &Segment<'_>, row: usize, blocks: &std::ops::Range<usize>) -> [f32; 2] {
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
    let (shift, scale) = (S::splat(greatest), S::splat(segment.scale));
    let mut sum = S::splat(0.0);
    for at in range.step_by(S::LANES) {
        let score = S::load(scores.add(at));
        let probability = S::select_lt(
            lowest,
            score,
            exp::<S>(S::mul(S::sub(score, shift), scale)),
            hidden::<S>(score),
        );
        S::store(scores.add(at), probability);
        sum = S::add(sum, probability);
    }
    [greatest * segment.scale, S::reduce_add(sum)]
}

/// Zero for a score that is hidden or minus infinity, NaN for a NaN.
#[inline(always)]
unsafe fn hidden<S: Simd>(score: S::F) -> S::F {
    let zero = S::splat(0.0);
    S::select_lt(score, zero, zero, score)
}

#[inline(always)]
unsafe fn outputs<S: Simd>(segment: &Segment<'_>, first: usize, end: usize) {
    let mut column = 0;
    while column < segment.width {
        column += if S::LANES == 16 && segment.width - column >= 64 {
            output_columns::<S, 4>(segment, column, first, end)
        } else if S::LANES == 16 {
            output_columns::<S, 1>(segment, column, first, end)
        } else {
            output_columns::<S, 2>(segment, column, first, end)
        };
    }
}

#[inline(always)]
unsafe fn output_columns<S: Simd, const V: usize>(
    segment: &Segment<'_>,
    column: usize,
    first: usize,
    end: usize,
) -> usize {
    let rows = segment.queries.len();
    let mut row = 0;
    while row < rows {
        row += match rows - row {
            1 => output::<S, 1, V>(segment, row, column, (first, end)),
            2 => output::<S, 2, V>(segment, row, column, (first, end)),
            3 => output::<S, 3, V>(segment, row, column, (first, end)),
            4 | 5 => output::<S, 4, V>(segment, row, column, (first, end)),
            _ => output::<S, 6, V>(segment, row, column, (first, end)),
        };
    }
    V * S::LANES
}

#[inline(always)]
unsafe fn output<S: Simd, const R: usize, const V: usize>(
    segment: &Segment<'_>,
    row: usize,
    column: usize,
    (first, end): (usize, usize),
) -> usize {
    let probabilities = segment.scores.add(row * SEGMENT);
    let mut sums = [[S::splat(0.0); V]; R];
    let mut at = first;
    while at < end {
        let tokens = BLOCK_TOKENS.min(end - at);
        let values = segment.blocks[at / BLOCK_TOKENS][1];
        let p = probabilities.add(at);
        if segment.is_bf16 {
            let mut values = values.cast::<i32>().add(column);
            let mut token = 0;
            while token < tokens {
                let mut x = [S::splat(0.0); V];
                for v in 0..V {
                    x[v] = S::bf16_low(S::load_i(values.add(v * S::LANES)));
                }
                add_products::<S, R, V>(&mut sums, p.add(token), &x);
                // The other half of the last pair may never have been written.
                if token + 1 < tokens {
                    for v in 0..V {
                        x[v] = S::bf16_high(S::load_i(values.add(v * S::LANES)));
                    }
                    add_products::<S, R, V>(&mut sums, p.add(token + 1), &x);
                }
                values = values.add(segment.width);
                token += 2;
            }
        } else {
            let mut values = values.cast::<f32>().add(column);
            for token in 0..tokens {
                let mut x = [S::splat(0.0); V];
                for v in 0..V {
                    x[v] = S::load(values.add(v * S::LANES));
                }
                add_products::<S, R, V>(&mut sums, p.add(token), &x);
                values = values.add(segment.width);
            }
        }
        at += tokens;
    }
    for r in 0..R {
        for v in 0..V {
            S::store(
                segment.out.add((row + r) * segment.width + column + v * S::LANES),
                sums[r][v],
            );
        }
    }
    R
}

#[inline(always)]
unsafe fn add_products<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    p: *const f32,
    x: &[S::F; V],
) {
    for r in 0..R {
        let p = S::splat(*p.add(r * SEGMENT));
        for v in 0..V {
            sums[r][v] = S::fma(p, x[v], sums[r][v]);
        }
    }
}

#[inline(always)]
unsafe fn merge_row<S: Simd>(
    total: *mut [f32; 2],
    total_out: *mut f32,
    (&[greatest, sum], out): (&[f32; 2], *const f32),
    width: usize,
) {
    let [total_greatest, total_sum] = *total;
    // A NaN sum is kept by both ways.
    let (own, other) = if greatest > total_greatest {
        (greatest, total_greatest)
    } else {
        (total_greatest, greatest)
    };
    let mut lanes = [0.0_f32; 16];
    S::store(lanes.as_mut_ptr(), exp::<S>(S::splat(other - own)));
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
