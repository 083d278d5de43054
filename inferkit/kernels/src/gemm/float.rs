//! Tiles of plain numbers: f32, half-precision or bfloat16 weights.
//!
//! A tile of R rows by a whole panel keeps all its sums in registers: 6 rows by 64 columns are 24 of the 32 registers of
//! AVX-512, 6 by 16 are 12 of the 16 of AVX2. For each k it loads the weights once and spreads one activation per row.
//! A panel is four vectors wide, or two where it is narrow.

#[cfg(target_arch = "aarch64")]
mod matrix;

#[cfg(target_arch = "aarch64")]
use matrix::bf16_matrix_block;

#[cfg(target_arch = "x86_64")]
use super::tile_unit;
use super::tiles::{Ahead, Block, Kernel, STREAM, ask, for_tiles};
use crate::Isa;
#[cfg(target_arch = "x86_64")]
use crate::Tier;
use crate::simd::{Simd, float_tiers, prefetch};

float_tiers! {
    /// f32 weights, f32 activations.
    pub(super) fn f32_block(block: &Block) = f32_tiles;
}
float_tiers! {
    /// Half-precision weights, f32 activations: the sums are those of weights that were widened before.
    pub(super) fn f16_block(block: &Block) = f16_tiles;
}
float_tiers! {
    /// bfloat16 weights, f32 activations.
    pub(super) fn bf16_block(block: &Block) = bf16_tiles;
}

#[inline(always)]
unsafe fn f32_tiles<S: Simd>(block: &Block) {
    for_tiles!(block, 6, |at, R| {
        if block.panel == 4 * S::LANES {
            f32_tile::<S, R, 4>(block, at)
        } else {
            f32_tile::<S, R, 2>(block, at)
        }
    });
}

#[inline(always)]
unsafe fn f16_tiles<S: Simd>(block: &Block) {
    for_tiles!(block, 6, |at, R| {
        if block.panel == 4 * S::LANES {
            f16_tile::<S, R, 4>(block, at)
        } else {
            f16_tile::<S, R, 2>(block, at)
        }
    });
}

#[inline(always)]
unsafe fn bf16_tiles<S: Simd>(block: &Block) {
    for_tiles!(block, 6, |at, R| {
        if block.panel == 4 * S::LANES {
            bf16_tile::<S, R, 4>(block, at)
        } else {
            bf16_tile::<S, R, 2>(block, at)
        }
    });
}

/// The most rows of a block whose first tile of f32, or of VDPBF16PS, asks memory for its own weights: with few rows it waits for
/// them longer than all other tiles compute. Weights that are widened on the way gained nothing by it.
const ASKING_ROWS: usize = 10;

/// Steps along k between two looks ahead.
const STRIDE: usize = 4;

/// Sums of R rows by V vectors.
type Sums<S, const R: usize, const V: usize> = [[<S as Simd>::F; V]; R];

#[inline(always)]
unsafe fn begin<S: Simd, const R: usize, const V: usize>(block: &Block, at: usize) -> Sums<S, R, V> {
    let mut sums = [[S::splat(0.0); V]; R];
    if block.k_start > 0 {
        for r in 0..R {
            for v in 0..V {
                sums[r][v] = S::load(block.sums.add(((at + r) * V + v) * S::LANES));
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn end<S: Simd, const R: usize, const V: usize>(block: &Block, at: usize, sums: &Sums<S, R, V>) {
    for r in 0..R {
        for v in 0..V {
            S::store(block.sums.add(((at + r) * V + v) * S::LANES), sums[r][v]);
        }
    }
}

#[inline(always)]
unsafe fn row_pointers<const R: usize>(block: &Block, at: usize) -> [*const f32; R] {
    let mut rows = [std::ptr::null(); R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = block.rows.get(block.first + at + r).cast::<f32>().add(block.k_start);
    }
    rows
}

/// Asks for what the next tile reads of its rows while this one is at 32-bit number `at` of its own.
///
/// Long rows of many do not fit the second-level cache, and a slice of one is too short for the processor to follow it.
#[inline(always)]
unsafe fn ask_for_rows<const R: usize, T>(block: &Block, rows: &[*const T; R], at: usize) {
    if R >= 4 && at.is_multiple_of(16) {
        for row in rows {
            prefetch(row.wrapping_byte_add(R * block.rows.stride + 4 * at));
        }
    }
}

#[inline(always)]
unsafe fn f32_tile<S: Simd, const R: usize, const V: usize>(block: &Block, at: usize) {
    let rows = row_pointers::<R>(block, at);
    let mut weights = block.weights.cast::<f32>();
    let mut sums = begin::<S, R, V>(block, at);
    let mut ahead = Ahead::new(block, [at, R], block.k_len / STRIDE);
    let is_first = R > 1 && at == 0 && block.m <= ASKING_ROWS;
    for k in 0..block.k_len {
        if is_first {
            ask::<STREAM>(weights.cast(), 4 * V * S::LANES);
        } else if R > 1 && k % STRIDE == 0 {
            ahead.step();
            ask_for_rows(block, &rows, k);
        }
        let mut w = [S::splat(0.0); V];
        for v in 0..V {
            w[v] = S::load(weights.add(v * S::LANES));
        }
        for r in 0..R {
            let a = S::splat(*rows[r].add(k));
            for v in 0..V {
                sums[r][v] = S::fma(a, w[v], sums[r][v]);
            }
        }
        weights = weights.add(V * S::LANES);
    }
    end::<S, R, V>(block, at, &sums);
}

#[inline(always)]
unsafe fn f16_tile<S: Simd, const R: usize, const V: usize>(block: &Block, at: usize) {
    let rows = row_pointers::<R>(block, at);
    let mut weights = block.weights.cast::<u16>();
    let mut sums = begin::<S, R, V>(block, at);
    let mut ahead = Ahead::new(block, [at, R], block.k_len / STRIDE);
    for k in 0..block.k_len {
        if R > 1 && k % STRIDE == 0 {
            ahead.step();
            ask_for_rows(block, &rows, k);
        }
        let mut w = [S::splat(0.0); V];
        for v in 0..V {
            w[v] = S::load_f16(weights.add(v * S::LANES));
        }
        for r in 0..R {
            let a = S::splat(*rows[r].add(k));
            for v in 0..V {
                sums[r][v] = S::fma(a, w[v], sums[r][v]);
            }
        }
        weights = weights.add(V * S::LANES);
    }
    end::<S, R, V>(block, at, &sums);
}

#[inline(always)]
unsafe fn bf16_tile<S: Simd, const R: usize, const V: usize>(block: &Block, at: usize) {
    let rows = row_pointers::<R>(block, at);
    let mut weights = block.weights.cast::<i32>();
    let mut sums = begin::<S, R, V>(block, at);
    // Both halves of each number and the sums of more rows than these fill the registers: there a look ahead was seen to halve the
    // speed of this loop.
    let looks_ahead = const { R > 1 && R <= 4 };
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 2 / STRIDE);
    for pair in 0..block.k_len / 2 {
        if looks_ahead && pair % STRIDE == 0 {
            ahead.step();
            ask_for_rows(block, &rows, 2 * pair);
        }
        let mut w = [S::splat(0.0); V];
        for v in 0..V {
            w[v] = S::bf16_low(S::load_i(weights.add(v * S::LANES)));
        }
        for r in 0..R {
            let a = S::splat(*rows[r].add(2 * pair));
            for v in 0..V {
                sums[r][v] = S::fma(a, w[v], sums[r][v]);
            }
        }
        for v in 0..V {
            w[v] = S::bf16_high(S::load_i(weights.add(v * S::LANES)));
        }
        for r in 0..R {
            let a = S::splat(*rows[r].add(2 * pair + 1));
            for v in 0..V {
                sums[r][v] = S::fma(a, w[v], sums[r][v]);
            }
        }
        weights = weights.add(V * S::LANES);
    }
    if block.k_len % 2 == 1 {
        // The row of activations ends here: its other half must not be read.
        for v in 0..V {
            let w = S::bf16_low(S::load_i(weights.add(v * S::LANES)));
            for r in 0..R {
                sums[r][v] = S::fma(S::splat(*rows[r].add(block.k_len - 1)), w, sums[r][v]);
            }
        }
    }
    end::<S, R, V>(block, at, &sums);
}

/// The kernel for bfloat16 weights and rounded activations, with the instructions of that tier.
pub(super) fn rounded_kernel(isa: Isa) -> Kernel {
    #[cfg(target_arch = "x86_64")]
    match isa.tier() {
        Tier::AmxBf16 => return tile_unit::bf16_block,
        Tier::Avx512Bf16 => return bf16_dot_block,
        _ => {}
    }
    #[cfg(target_arch = "aarch64")]
    if isa.tier().multiplies_bf16() {
        return bf16_matrix_block;
    }
    let _ = isa;
    bf16_block
}

/// bfloat16 weights and activations with VDPBF16PS: two products a lane and step, denormals flushed.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn bf16_dot_block(_: Isa, block: &Block) {
    for_tiles!(block, 6, |at, R| {
        if block.panel == 64 {
            bf16_dot_tile::<R, 4>(block, at)
        } else {
            bf16_dot_tile::<R, 2>(block, at)
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn bf16_dot_tile<const R: usize, const V: usize>(block: &Block, at: usize) {
    use crate::simd::V512;
    use std::arch::x86_64::{__m512bh, __m512i, _mm512_dpbf16_ps};
    let mut rows = [std::ptr::null(); R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = block
            .rows
            .get(block.first + at + r)
            .cast::<i32>()
            .add(block.k_start / 2);
    }
    let mut weights = block.weights.cast::<i32>();
    let mut sums = begin::<V512, R, V>(block, at);
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 2 / STRIDE);
    let is_first = R > 1 && at == 0 && block.m <= ASKING_ROWS;
    for pair in 0..block.k_len.div_ceil(2) {
        if is_first {
            ask::<STREAM>(weights.cast(), 4 * V * V512::LANES);
        } else if R > 1 && pair % STRIDE == 0 {
            ahead.step();
            ask_for_rows(block, &rows, pair);
        }
        let mut w = [V512::splat_i(0); V];
        for v in 0..V {
            w[v] = V512::load_i(weights.add(v * V512::LANES));
        }
        for r in 0..R {
            let a = V512::splat_i(rows[r].add(pair).read_unaligned());
            for v in 0..V {
                let (w, a) = (
                    std::mem::transmute::<__m512i, __m512bh>(w[v]),
                    std::mem::transmute::<__m512i, __m512bh>(a),
                );
                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], w, a);
            }
        }
        weights = weights.add(V * V512::LANES);
    }
    end::<V512, R, V>(block, at, &sums);
}
