//! Scores, probabilities and outputs of a unit.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::packed::{PANEL, value_width};
use crate::simd::{Simd, exp2, float_tiers};

/// Queries against panels.
pub(super) struct Product<'a> {
    /// `[rows][width]`.
    pub(super) queries: &'a [f32],
    pub(super) rows: usize,
    pub(super) width: usize,
    /// `[panels][width][32]`.
    pub(super) panels: &'a [f32],
    /// `[rows][panels * 32]`.
    pub(super) out: &'a mut [f32],
}

/// One query's scores.
pub(super) struct Row<'a> {
    /// Products with the keys of the unit; becomes the probabilities.
    pub(super) scores: &'a mut [f32],
    /// Products with the positions of the same keys.
    pub(super) positions: &'a [f32],
    /// Keys that it sees.
    pub(super) visible: Range<usize>,
    pub(super) scale: f32,
}

/// Probabilities and what they weigh.
pub(super) struct Weighted<'a> {
    /// `[rows][stride]`.
    pub(super) probabilities: &'a [f32],
    pub(super) stride: usize,
    /// `[rows]`: what each row is divided by.
    pub(super) sums: &'a [f32],
    /// `[keys][width, padded]`.
    pub(super) values: &'a [f32],
    pub(super) width: usize,
}

float_tiers! {
    pub(super) fn products(product: Product<'_>) = multiply;
}
float_tiers! {
    /// Returns the sum of the probabilities, relative to that of the greatest score.
    pub(super) fn probabilities(row: &mut Row<'_>) -> f32 = normalise;
}
float_tiers! {
    /// Writes `width` values for each row, `out_stride` apart; zeros for a row that sees nothing.
    pub(super) fn weighted_sums(weighted: &Weighted<'_>, out: *mut f32, out_stride: usize) = weigh;
}

#[inline(always)]
unsafe fn multiply<S: Simd>(mut product: Product<'_>) {
    let panel = PANEL * product.width;
    let panels = product.panels.len() / panel;
    assert!(
        product.queries.len() >= product.rows * product.width && product.out.len() >= product.rows * panels * PANEL,
        "room for every row"
    );
    for number in 0..panels {
        let mut row = 0;
        while row < product.rows {
            // Twelve sums hide the latency of the multiply-add, and fit sixteen registers.
            row += match (product.rows - row, S::LANES) {
                (1, 16) => tile::<S, 1, 2>(&mut product, number, row),
                (2, 16) => tile::<S, 2, 2>(&mut product, number, row),
                (3, 16) => tile::<S, 3, 2>(&mut product, number, row),
                (4 | 5, 16) => tile::<S, 4, 2>(&mut product, number, row),
                (6..12, 16) => tile::<S, 6, 2>(&mut product, number, row),
                (_, 16) => tile::<S, 12, 2>(&mut product, number, row),
                (1, _) => tile::<S, 1, 4>(&mut product, number, row),
                (2, _) => tile::<S, 2, 4>(&mut product, number, row),
                _ => tile::<S, 3, 4>(&mut product, number, row),
            };
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(product: &mut Product<'_>, number: usize, row: usize) -> usize {
    let width = product.width;
    let queries = product.queries.as_ptr().add(row * width);
    let mut panel = product.panels.as_ptr().add(number * PANEL * width);
    let mut sums = [[S::splat(0.0); V]; R];
    for i in 0..width {
        let mut keys = [S::splat(0.0); V];
        for v in 0..V {
            keys[v] = S::load(panel.add(v * S::LANES));
        }
        for r in 0..R {
            let query = S::splat(*queries.add(r * width + i));
            for v in 0..V {
                sums[r][v] = S::fma(query, keys[v], sums[r][v]);
            }
        }
        panel = panel.add(PANEL);
    }
    let stride = product.panels.len() / width;
    let out = product.out.as_mut_ptr().add(row * stride + number * PANEL);
    for r in 0..R {
        for v in 0..V {
            S::store(out.add(r * stride + v * S::LANES), sums[r][v]);
        }
    }
    R
}

#[inline(always)]
unsafe fn normalise<S: Simd>(row: &mut Row<'_>) -> f32 {
    let Range { start, end } = row.visible.clone();
    assert!(
        start <= end && end <= row.scores.len() && end <= row.positions.len(),
        "scores of every key"
    );
    row.scores[..start].fill(0.0);
    row.scores[end..].fill(0.0);
    let (scores, positions) = (row.scores.as_mut_ptr(), row.positions.as_ptr());
    let whole = start + (end - start) / S::LANES * S::LANES;
    let mut greatest = S::splat(f32::MIN);
    for at in (start..whole).step_by(S::LANES) {
        let score = S::add(S::load(scores.add(at)), S::load(positions.add(at)));
        S::store(scores.add(at), score);
        // The second operand survives where the first is NaN: the NaN itself surfaces as a probability.
        greatest = S::max(score, greatest);
    }
    let mut greatest = S::reduce_max(greatest);
    for at in whole..end {
        let score = *scores.add(at) + *positions.add(at);
        *scores.add(at) = score;
        greatest = greatest.max(score);
    }
    let (shift, scale) = (S::splat(greatest), S::splat(row.scale * LOG2_E));
    let mut sum = S::splat(0.0);
    for at in (start..end).step_by(S::LANES) {
        let lanes = S::LANES.min(end - at);
        let score = S::load_head(scores.add(at), lanes);
        let probability = exp2::<S>(S::mul(S::sub(score, shift), scale));
        S::store_head(scores.add(at), lanes, probability);
        // Lanes beyond the end hold the power of nothing.
        let counted = if lanes == S::LANES {
            probability
        } else {
            S::load_head(scores.add(at), lanes)
        };
        sum = S::add(sum, counted);
    }
    S::reduce_add(sum)
}

#[inline(always)]
unsafe fn weigh<S: Simd>(weighted: &Weighted<'_>, out: *mut f32, out_stride: usize) {
    let rows = weighted.sums.len();
    let keys = weighted.values.len() / value_width(weighted.width);
    assert!(
        keys <= weighted.stride && weighted.probabilities.len() >= rows * weighted.stride,
        "a probability for each key and row"
    );
    let mut column = 0;
    while column < weighted.width {
        let place = (out.add(column), out_stride);
        column += if S::LANES == 16 && weighted.width - column >= 64 {
            columns::<S, 4>(weighted, column, place)
        } else if S::LANES == 16 {
            columns::<S, 1>(weighted, column, place)
        } else {
            columns::<S, 2>(weighted, column, place)
        };
    }
}

#[inline(always)]
unsafe fn columns<S: Simd, const V: usize>(
    weighted: &Weighted<'_>,
    column: usize,
    (out, out_stride): (*mut f32, usize),
) -> usize {
    let rows = weighted.sums.len();
    let mut row = 0;
    while row < rows {
        let place = (out.add(row * out_stride), out_stride);
        row += match rows - row {
            1 => sums::<S, 1, V>(weighted, (row, column), place),
            2 => sums::<S, 2, V>(weighted, (row, column), place),
            3 => sums::<S, 3, V>(weighted, (row, column), place),
            4 | 5 => sums::<S, 4, V>(weighted, (row, column), place),
            _ => sums::<S, 6, V>(weighted, (row, column), place),
        };
    }
    V * S::LANES
}

#[inline(always)]
unsafe fn sums<S: Simd, const R: usize, const V: usize>(
    weighted: &Weighted<'_>,
    (row, column): (usize, usize),
    (out, out_stride): (*mut f32, usize),
) -> usize {
    let step = value_width(weighted.width);
    let probabilities = weighted.probabilities.as_ptr().add(row * weighted.stride);
    let mut values = weighted.values.as_ptr().add(column);
    let mut sums = [[S::splat(0.0); V]; R];
    for key in 0..weighted.values.len() / step {
        let mut value = [S::splat(0.0); V];
        for v in 0..V {
            value[v] = S::load(values.add(v * S::LANES));
        }
        for r in 0..R {
            let probability = S::splat(*probabilities.add(r * weighted.stride + key));
            for v in 0..V {
                sums[r][v] = S::fma(probability, value[v], sums[r][v]);
            }
        }
        // The address behind the last row may lie outside of the allocation.
        values = values.wrapping_add(step);
    }
    for r in 0..R {
        let sum = weighted.sums[row + r];
        for v in 0..V {
            let at = column + v * S::LANES;
            let lanes = S::LANES.min(weighted.width.saturating_sub(at));
            if lanes == 0 {
                break;
            }
            let value = if sum == 0.0 {
                S::splat(0.0)
            } else {
                S::div(sums[r][v], S::splat(sum))
            };
            S::store_head(out.add(r * out_stride + v * S::LANES), lanes, value);
        }
    }
    R
}
