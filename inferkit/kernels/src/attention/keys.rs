//! Queries times the keys of a block, for each way keys are kept.
//!
//! Each takes R queries and gives their scores with the 32 tokens of the block, as V vectors.

use super::ahead::{Ahead, GROUP, LINE};
use super::cache::{BLOCK_TOKENS, SCALE_BYTES};
use super::kernels::FEW;
use crate::simd::Simd;

/// Scores `[R][V]`.
type Sums<S, const R: usize, const V: usize> = [[<S as Simd>::F; V]; R];

#[inline(always)]
pub(super) unsafe fn of_bf16<S: Simd, const R: usize, const V: usize>(
    width: usize,
    keys: *const u8,
    queries: [*const f32; R],
    ahead: Ahead,
) -> Sums<S, R, V> {
    if const { R <= FEW && S::LANES == 16 } && ahead.asks() {
        return of_bf16_line_by_line::<S, R, V>(width, keys, queries, ahead);
    }
    let mut sums = [[S::splat(0.0); V]; R];
    for pair in 0..width / 2 {
        let keys = keys.cast::<i32>().add(pair * BLOCK_TOKENS);
        for line in 0..const { 4 * BLOCK_TOKENS / LINE } {
            ahead.ask(4 * pair * BLOCK_TOKENS + line * LINE);
        }
        let mut k = [S::splat(0.0); V];
        for v in 0..V {
            k[v] = S::bf16_low(S::load_i(keys.add(v * S::LANES)));
        }
        add::<S, R, V>(&mut sums, &queries, 2 * pair, &k);
        for v in 0..V {
            k[v] = S::bf16_high(S::load_i(keys.add(v * S::LANES)));
        }
        add::<S, R, V>(&mut sums, &queries, 2 * pair + 1, &k);
    }
    sums
}

/// Pairs that are read with one look at what is asked for; a width is a multiple of 16.
const TOGETHER: usize = GROUP / (4 * BLOCK_TOKENS);

/// For few rows. A vector is a line.
#[inline(always)]
unsafe fn of_bf16_line_by_line<S: Simd, const R: usize, const V: usize>(
    width: usize,
    keys: *const u8,
    queries: [*const f32; R],
    ahead: Ahead,
) -> Sums<S, R, V> {
    let mut sums = [[S::splat(0.0); V]; R];
    for first in (0..width / 2).step_by(TOGETHER) {
        let asked = ahead.lines(4 * first * BLOCK_TOKENS);
        for i in 0..TOGETHER {
            let keys = keys.cast::<i32>().add((first + i) * BLOCK_TOKENS);
            for v in 0..V {
                asked.ask((i * V + v) * LINE);
                let two = S::load_i(keys.add(v * S::LANES));
                let (low, high) = (S::bf16_low(two), S::bf16_high(two));
                for r in 0..R {
                    sums[r][v] = S::fma(S::splat(*queries[r].add(2 * (first + i))), low, sums[r][v]);
                }
                for r in 0..R {
                    sums[r][v] = S::fma(S::splat(*queries[r].add(2 * (first + i) + 1)), high, sums[r][v]);
                }
            }
        }
    }
    sums
}

#[inline(always)]
pub(super) unsafe fn of_f32<S: Simd, const R: usize, const V: usize>(
    width: usize,
    keys: *const u8,
    queries: [*const f32; R],
    ahead: Ahead,
) -> Sums<S, R, V> {
    let mut sums = [[S::splat(0.0); V]; R];
    for i in 0..width {
        for line in 0..const { 4 * BLOCK_TOKENS / LINE } {
            ahead.ask(4 * i * BLOCK_TOKENS + line * LINE);
        }
        let keys = keys.cast::<f32>().add(i * BLOCK_TOKENS);
        let mut k = [S::splat(0.0); V];
        for v in 0..V {
            k[v] = S::load(keys.add(v * S::LANES));
        }
        add::<S, R, V>(&mut sums, &queries, i, &k);
    }
    sums
}

/// Quants are summed up as they are; the scale of each token follows once.
///
/// With H = 2, a head and the next are read side by side, since few rows of one head are too few chains of multiply-adds to keep up
/// with memory at 8 bits a value. Lines are asked for in the order in which they stand all the same.
#[inline(always)]
pub(super) unsafe fn of_int8<S: Simd, const H: usize, const R: usize, const V: usize>(
    width: usize,
    keys: [*const u8; H],
    queries: [[*const f32; R]; H],
    ahead: Ahead,
) -> [Sums<S, R, V>; H] {
    let mut sums = [[[S::splat(0.0); V]; R]; H];
    for line in 0..const { H * SCALE_BYTES / LINE } {
        ahead.ask(line * LINE);
    }
    for i in 0..width {
        for h in 0..H {
            if i % const { LINE / BLOCK_TOKENS } == 0 {
                ahead.ask(H * (SCALE_BYTES + i * BLOCK_TOKENS) + h * LINE);
            }
            let keys = keys[h].add(SCALE_BYTES + i * BLOCK_TOKENS).cast::<i8>();
            let mut k = [S::splat(0.0); V];
            for v in 0..V {
                k[v] = S::load_i8(keys.add(v * S::LANES));
            }
            add::<S, R, V>(&mut sums[h], &queries[h], i, &k);
        }
    }
    for h in 0..H {
        for v in 0..V {
            let scales = S::load(keys[h].cast::<f32>().add(v * S::LANES));
            for r in 0..R {
                sums[h][r][v] = S::mul(sums[h][r][v], scales);
            }
        }
    }
    sums
}

/// Adds value number `at` of each query times that of the keys.
#[inline(always)]
unsafe fn add<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::F; V]; R],
    queries: &[*const f32; R],
    at: usize,
    k: &[S::F; V],
) {
    for r in 0..R {
        let q = S::splat(*queries[r].add(at));
        for v in 0..V {
            sums[r][v] = S::fma(q, k[v], sums[r][v]);
        }
    }
}
