//! Queries times the keys of a block, for each way keys are kept.
//!
//! Each takes R queries of H heads and gives their scores with the 32 tokens of the block, as V vectors.

use super::ahead::Ahead;
use super::cache::{BLOCK_TOKENS, SCALE_BYTES};
use crate::simd::Simd;

/// Bytes that are asked for at once. With few queries memory is the limit: many lines would fill the queue to it, and what is
/// read now would wait behind them. With many it is arithmetic, and asking seldom costs least of it.
const fn burst(queries: usize) -> usize {
    if queries <= 4 { 256 } else { 1_024 }
}

/// Scores `[H][R][V]`.
type Sums<S, const H: usize, const R: usize, const V: usize> = [[[<S as Simd>::F; V]; R]; H];

#[inline(always)]
pub(super) unsafe fn of_bf16<S: Simd, const H: usize, const R: usize, const V: usize>(
    width: usize,
    keys: [*const u8; H],
    queries: [[*const f32; R]; H],
    ahead: [Ahead; H],
) -> Sums<S, H, R, V> {
    let mut sums = [[[S::splat(0.0); V]; R]; H];
    for pair in 0..width / 2 {
        for h in 0..H {
            if pair % (const { burst(H * R) } / BLOCK_TOKENS / 4) == 0 {
                ahead[h].ask(4 * pair * BLOCK_TOKENS, const { burst(H * R) });
            }
            let keys = keys[h].cast::<i32>().add(pair * BLOCK_TOKENS);
            let mut k = [S::splat(0.0); V];
            for v in 0..V {
                k[v] = S::bf16_low(S::load_i(keys.add(v * S::LANES)));
            }
            add::<S, R, V>(&mut sums[h], &queries[h], 2 * pair, &k);
            for v in 0..V {
                k[v] = S::bf16_high(S::load_i(keys.add(v * S::LANES)));
            }
            add::<S, R, V>(&mut sums[h], &queries[h], 2 * pair + 1, &k);
        }
    }
    sums
}

#[inline(always)]
pub(super) unsafe fn of_f32<S: Simd, const H: usize, const R: usize, const V: usize>(
    width: usize,
    keys: [*const u8; H],
    queries: [[*const f32; R]; H],
    ahead: [Ahead; H],
) -> Sums<S, H, R, V> {
    let mut sums = [[[S::splat(0.0); V]; R]; H];
    for i in 0..width {
        for h in 0..H {
            if i % (const { burst(H * R) } / BLOCK_TOKENS / 4) == 0 {
                ahead[h].ask(4 * i * BLOCK_TOKENS, const { burst(H * R) });
            }
            let keys = keys[h].cast::<f32>().add(i * BLOCK_TOKENS);
            let mut k = [S::splat(0.0); V];
            for v in 0..V {
                k[v] = S::load(keys.add(v * S::LANES));
            }
            add::<S, R, V>(&mut sums[h], &queries[h], i, &k);
        }
    }
    sums
}

/// Quants are summed up as they are; the scale of each token follows once.
#[inline(always)]
pub(super) unsafe fn of_int8<S: Simd, const H: usize, const R: usize, const V: usize>(
    width: usize,
    keys: [*const u8; H],
    queries: [[*const f32; R]; H],
    ahead: [Ahead; H],
) -> Sums<S, H, R, V> {
    let mut sums = [[[S::splat(0.0); V]; R]; H];
    for h in 0..H {
        ahead[h].ask(0, SCALE_BYTES);
    }
    for i in 0..width {
        for h in 0..H {
            if i % (const { burst(H * R) } / BLOCK_TOKENS) == 0 {
                ahead[h].ask(SCALE_BYTES + i * BLOCK_TOKENS, const { burst(H * R) });
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
