//! Outputs of a segment: probabilities times values.
//!
//! Each output is one chain of multiply-adds over ascending positions. One head keeps its sums in registers over a whole
//! segment; several heads take turns block by block, and what they have so far waits in the output.

use std::ops::Range;

use super::ahead::{Ahead, LINE};
use super::cache::{BLOCK_TOKENS, CacheElement, SCALE_BYTES};
use super::kernels::{FEW, SEGMENT, Segment, probabilities, scale_by_values};
use crate::simd::Simd;

/// Blocks whose values are added, in one head.
#[derive(Clone)]
struct Span<'a> {
    /// All blocks of the segment.
    segment: &'a Range<usize>,
    blocks: Range<usize>,
    /// Position behind the last.
    end: usize,
    head: usize,
}

/// Turns scores into probabilities and adds the values of `blocks`, those of the last one up to position `end`.
///
/// With several heads, probabilities of each are computed right before its first values are read: what was asked for arrives
/// meanwhile.
#[inline(always)]
pub(super) unsafe fn outputs<S: Simd>(segment: &Segment<'_>, blocks: Range<usize>, end: usize) {
    let step = if segment.heads == 1 { blocks.len() } else { 1 };
    for first in blocks.clone().step_by(step) {
        for head in 0..segment.heads {
            if first == blocks.start {
                probabilities::<S>(segment, &blocks, head);
            }
            let span = Span {
                segment: &blocks,
                blocks: first..first + step,
                end,
                head,
            };
            if segment.element == CacheElement::Int8 {
                for block in span.blocks.clone() {
                    scale_by_values::<S>(segment, [block, head]);
                }
            }
            outputs_of_span::<S>(segment, &span);
        }
    }
}

#[inline(always)]
unsafe fn outputs_of_span<S: Simd>(segment: &Segment<'_>, span: &Span<'_>) {
    let rows = segment.rows_of(span.head);
    let mut column = 0;
    while column < segment.width {
        let left = segment.width - column;
        column += match S::LANES {
            // Whole rows of values are read in the order in which they stand.
            16 if left >= 128 && rows.len() <= FEW => columns::<S, 8>(segment, rows.clone(), column, span),
            16 if left >= 64 => columns::<S, 4>(segment, rows.clone(), column, span),
            16 => columns::<S, 1>(segment, rows.clone(), column, span),
            _ => columns::<S, 2>(segment, rows.clone(), column, span),
        };
    }
}

#[inline(always)]
unsafe fn columns<S: Simd, const V: usize>(
    segment: &Segment<'_>,
    mut rows: Range<usize>,
    column: usize,
    span: &Span<'_>,
) -> usize {
    while !rows.is_empty() {
        let place = [rows.start, column];
        rows.start += match rows.len() {
            1 => output::<S, 1, V>(segment, place, span),
            2 => output::<S, 2, V>(segment, place, span),
            // Never met, and no code for more rows is made.
            _ if const { V == 8 } => output::<S, 2, V>(segment, place, span),
            3 => output::<S, 3, V>(segment, place, span),
            // Seven are four and three, eight are four and four: one row alone would wait for its own sums.
            4 | 7 | 8 => output::<S, 4, V>(segment, place, span),
            5 => output::<S, 5, V>(segment, place, span),
            _ => output::<S, 6, V>(segment, place, span),
        };
    }
    V * S::LANES
}

#[inline(always)]
unsafe fn output<S: Simd, const R: usize, const V: usize>(
    segment: &Segment<'_>,
    [row, column]: [usize; 2],
    span: &Span<'_>,
) -> usize {
    let probabilities = segment.scores.add(row * SEGMENT);
    let out = segment.out.add(row * segment.width + column);
    let mut sums = [[S::splat(0.0); V]; R];
    if span.blocks.start > span.segment.start {
        for r in 0..R {
            for v in 0..V {
                sums[r][v] = S::load(out.add(r * segment.width + v * S::LANES));
            }
        }
    }
    for block in span.blocks.clone() {
        let piece = [block, span.head];
        let at = block * BLOCK_TOKENS;
        let tokens = BLOCK_TOKENS.min(span.end - at);
        // What the first rows read, those after them find in a cache.
        let ahead = if row == segment.rows_of(span.head).start {
            Ahead::of(segment, span.segment, piece, 1)
        } else {
            Ahead::NOTHING
        };
        let (p, values) = (probabilities.add(at), segment.piece(piece, 1));
        let place = [column, segment.width, tokens];
        match segment.element {
            CacheElement::Bf16 => add_bf16::<S, R, V>(&mut sums, p, values, place, ahead),
            CacheElement::F32 => add_f32::<S, R, V>(&mut sums, p, values, place, ahead),
            CacheElement::Int8 => add_int8::<S, R, V>(&mut sums, p, values, place, ahead),
        }
    }
    for r in 0..R {
        for v in 0..V {
            S::store(out.add(r * segment.width + v * S::LANES), sums[r][v]);
        }
    }
    R
}

/// Adds the first `tokens` rows of a block of values.
#[inline(always)]
unsafe fn add_bf16<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    p: *const f32,
    values: *const u8,
    place: [usize; 3],
    ahead: Ahead,
) {
    let [column, width, tokens] = place;
    let values = values.cast::<i32>().add(column);
    if const { R <= FEW && S::LANES == 16 } && ahead.asks() {
        add_bf16_line_by_line::<S, R, V>(sums, p, values, place, ahead);
    } else {
        for pair in 0..tokens / 2 {
            let (p, values) = (p.add(2 * pair), values.add(pair * width));
            let mut x = [S::splat(0.0); V];
            for v in 0..V {
                if v * S::LANES % 16 == 0 {
                    ahead.ask(4 * (pair * width + column + v * S::LANES));
                }
                x[v] = S::bf16_low(S::load_i(values.add(v * S::LANES)));
            }
            add_products::<S, R, V>(sums, p, &x);
            // Loaded once more, since all sums and both halves are more than there are registers.
            for v in 0..V {
                x[v] = S::bf16_high(S::load_i(values.add(v * S::LANES)));
            }
            add_products::<S, R, V>(sums, p.add(1), &x);
        }
    }
    // The other half of the last pair may never have been written.
    if tokens % 2 == 1 {
        let values = values.add(tokens / 2 * width);
        for v in 0..V {
            let low = S::bf16_low(S::load_i(values.add(v * S::LANES)));
            add_product::<S, R, V>(sums, p.add(tokens - 1), low, v);
        }
    }
}

/// All pairs of tokens, for few rows. A vector is a line.
#[inline(always)]
unsafe fn add_bf16_line_by_line<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    p: *const f32,
    values: *const i32,
    [column, width, tokens]: [usize; 3],
    ahead: Ahead,
) {
    for pair in 0..tokens / 2 {
        let (p, values) = (p.add(2 * pair), values.add(pair * width));
        let asked = ahead.lines(4 * (pair * width + column));
        for v in 0..V {
            asked.ask(v * LINE);
            let two = S::load_i(values.add(v * S::LANES));
            add_product::<S, R, V>(sums, p, S::bf16_low(two), v);
            add_product::<S, R, V>(sums, p.add(1), S::bf16_high(two), v);
        }
    }
}

#[inline(always)]
unsafe fn add_f32<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    p: *const f32,
    values: *const u8,
    [column, width, tokens]: [usize; 3],
    ahead: Ahead,
) {
    let mut values = values.cast::<f32>().add(column);
    for token in 0..tokens {
        let mut x = [S::splat(0.0); V];
        for v in 0..V {
            if v * S::LANES % 16 == 0 {
                ahead.ask(4 * (token * width + column + v * S::LANES));
            }
            x[v] = S::load(values.add(v * S::LANES));
        }
        add_products::<S, R, V>(sums, p.add(token), &x);
        // The address behind the last row may lie outside of the allocation.
        values = values.wrapping_add(width);
    }
}

/// The probabilities hold the scales of the values already.
#[inline(always)]
unsafe fn add_int8<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    p: *const f32,
    values: *const u8,
    [column, width, tokens]: [usize; 3],
    ahead: Ahead,
) {
    let mut values = values.add(SCALE_BYTES).cast::<i8>().add(column);
    if column == 0 {
        for line in 0..const { SCALE_BYTES / LINE } {
            ahead.ask(line * LINE);
        }
    }
    for token in 0..tokens {
        let mut x = [S::splat(0.0); V];
        for v in 0..V {
            if (column + v * S::LANES) % LINE == 0 {
                ahead.ask(SCALE_BYTES + token * width + column + v * S::LANES);
            }
            x[v] = S::load_i8(values.add(v * S::LANES));
        }
        add_products::<S, R, V>(sums, p.add(token), &x);
        // The address behind the last row may lie outside of the allocation.
        values = values.wrapping_add(width);
    }
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

/// Adds the products with one vector.
#[inline(always)]
unsafe fn add_product<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    p: *const f32,
    x: S::F,
    v: usize,
) {
    for r in 0..R {
        sums[r][v] = S::fma(S::splat(*p.add(r * SEGMENT)), x, sums[r][v]);
    }
}
