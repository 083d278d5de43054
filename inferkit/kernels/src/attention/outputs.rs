//! Outputs of a segment: probabilities times values.
//!
//! Each output is one chain of multiply-adds over ascending positions. One head keeps its sums in registers over a whole
//! segment; several heads take turns block by block, and what they have so far waits in the output.

use std::ops::Range;

use super::ahead::Ahead;
use super::cache::{BLOCK_TOKENS, CacheElement, SCALE_BYTES};
use super::kernels::{SEGMENT, Segment};
use crate::simd::Simd;

/// Positions whose values are added.
#[derive(Clone, Copy)]
struct Span {
    /// Multiples of a block, but for the end of the last.
    first: usize,
    end: usize,
    head: usize,
    /// Whether these are the first of the segment.
    is_first: bool,
    ahead: Ahead,
}

/// Adds the values of `blocks`, those of the last one up to position `end`.
#[inline(always)]
pub(super) unsafe fn outputs<S: Simd>(segment: &Segment<'_>, blocks: Range<usize>, end: usize) {
    if segment.heads == 1 {
        let span = Span {
            first: blocks.start * BLOCK_TOKENS,
            end,
            head: 0,
            is_first: true,
            ahead: Ahead::NOTHING,
        };
        return outputs_of_span::<S>(segment, span);
    }
    for block in blocks.clone() {
        for head in 0..segment.heads {
            let span = Span {
                first: block * BLOCK_TOKENS,
                end: end.min((block + 1) * BLOCK_TOKENS),
                head,
                is_first: block == blocks.start,
                ahead: Ahead::of_values(segment, &blocks, [block, head]),
            };
            outputs_of_span::<S>(segment, span);
        }
    }
}

#[inline(always)]
unsafe fn outputs_of_span<S: Simd>(segment: &Segment<'_>, mut span: Span) {
    let rows = segment.rows_of(span.head);
    let mut column = 0;
    while column < segment.width {
        let left = segment.width - column;
        column += match S::LANES {
            // Whole rows of values are read in the order in which they stand.
            16 if left >= 128 && rows.len() <= 2 => columns::<S, 8>(segment, rows.clone(), column, span),
            16 if left >= 64 => columns::<S, 4>(segment, rows.clone(), column, span),
            16 => columns::<S, 1>(segment, rows.clone(), column, span),
            _ => columns::<S, 2>(segment, rows.clone(), column, span),
        };
        span.ahead = Ahead::NOTHING;
    }
}

#[inline(always)]
unsafe fn columns<S: Simd, const V: usize>(
    segment: &Segment<'_>,
    mut rows: Range<usize>,
    column: usize,
    mut span: Span,
) -> usize {
    while !rows.is_empty() {
        let place = [rows.start, column];
        if const { V == 8 } {
            rows.start += match rows.len() {
                1 => output::<S, 1, V>(segment, place, span),
                _ => output::<S, 2, V>(segment, place, span),
            };
            span.ahead = Ahead::NOTHING;
            continue;
        }
        rows.start += match rows.len() {
            1 => output::<S, 1, V>(segment, place, span),
            2 => output::<S, 2, V>(segment, place, span),
            3 => output::<S, 3, V>(segment, place, span),
            4 | 5 => output::<S, 4, V>(segment, place, span),
            _ => output::<S, 6, V>(segment, place, span),
        };
        span.ahead = Ahead::NOTHING;
    }
    V * S::LANES
}

#[inline(always)]
unsafe fn output<S: Simd, const R: usize, const V: usize>(
    segment: &Segment<'_>,
    [row, column]: [usize; 2],
    span: Span,
) -> usize {
    let probabilities = segment.scores.add(row * SEGMENT);
    let out = segment.out.add(row * segment.width + column);
    let mut sums = [[S::splat(0.0); V]; R];
    if !span.is_first {
        for r in 0..R {
            for v in 0..V {
                sums[r][v] = S::load(out.add(r * segment.width + v * S::LANES));
            }
        }
    }
    let mut at = span.first;
    while at < span.end {
        let tokens = BLOCK_TOKENS.min(span.end - at);
        let values = segment.piece([at / BLOCK_TOKENS, span.head], 1);
        let p = probabilities.add(at);
        match segment.element {
            CacheElement::Bf16 => {
                add_bf16::<S, R, V>(&mut sums, p, values, [column, segment.width, tokens], span.ahead);
            }
            CacheElement::F32 => add_f32::<S, R, V>(&mut sums, p, values, [column, segment.width, tokens], span.ahead),
            CacheElement::Int8 => {
                add_int8::<S, R, V>(&mut sums, p, values, [column, segment.width, tokens], span.ahead);
            }
        }
        at += tokens;
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
    [column, width, tokens]: [usize; 3],
    ahead: Ahead,
) {
    let mut values = values.cast::<i32>().add(column);
    let mut token = 0;
    while token < tokens {
        ahead.ask(2 * token * width, 2 * width);
        let mut x = [S::splat(0.0); V];
        for v in 0..V {
            x[v] = S::bf16_low(S::load_i(values.add(v * S::LANES)));
        }
        add_products::<S, R, V>(sums, p.add(token), &x);
        // The other half of the last pair may never have been written.
        if token + 1 < tokens {
            ahead.ask(2 * (token + 1) * width, 2 * width);
            for v in 0..V {
                x[v] = S::bf16_high(S::load_i(values.add(v * S::LANES)));
            }
            add_products::<S, R, V>(sums, p.add(token + 1), &x);
        }
        // The address behind the last row may lie outside of the allocation.
        values = values.wrapping_add(width);
        token += 2;
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
        ahead.ask(4 * token * width, 4 * width);
        let mut x = [S::splat(0.0); V];
        for v in 0..V {
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
    ahead.ask(0, SCALE_BYTES);
    for token in 0..tokens {
        ahead.ask(SCALE_BYTES + token * width, width);
        let mut x = [S::splat(0.0); V];
        for v in 0..V {
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
