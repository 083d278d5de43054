//! bfloat16 weights and activations with BFMMLA: two rows by two columns over four k in one instruction.
//!
//! Weights stand in pairs of k, as for every other tier; two rows of pairs are zipped into columns of four k on the way, once for
//! all rows of a tile. A row without a partner is its own: the other half of the result is the same again.
//!
//! The instruction flushes denormals and rounds its sums to odd: results differ from products in f32 in the last bits, and a row's
//! do not depend on its partner.

use std::arch::aarch64::{
    float32x4_t, int32x4_t, vcombine_s32, vcreate_s32, vdupq_n_f32, vdupq_n_s32, vld1_s32, vld1q_f32, vld1q_s32,
    vreinterpretq_f32_f64, vreinterpretq_f64_f32, vst1q_f32, vzip1q_f64, vzip1q_s32, vzip2q_f64, vzip2q_s32,
};
use std::arch::asm;

use super::super::tiles::{Ahead, Block, for_tiles};
use super::{STRIDE, ask_for_rows};
use crate::Isa;

/// Columns of a panel, four columns at a time, and the most pairs of rows of a tile: 24 of 32 registers hold sums.
const PANEL: usize = 16;
const FOURS: usize = PANEL / 4;
const MOST_ROW_PAIRS: usize = 3;

/// Sums of each pair of rows and of columns: row 0, columns 0 and 1; row 1, columns 0 and 1.
type Sums = [[[float32x4_t; 2]; FOURS]; MOST_ROW_PAIRS];

/// Both are bfloat16. The processor has BFMMLA.
pub(super) unsafe fn bf16_matrix_block(_: Isa, block: &Block) {
    debug_assert_eq!(block.panel, PANEL, "panels of NEON are 16 wide");
    for_tiles!(block, 6, |at, R| tile::<R>(block, at));
}

#[inline(always)]
unsafe fn tile<const R: usize>(block: &Block, at: usize) {
    let mut rows = [std::ptr::null::<i32>(); R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = block
            .rows
            .get(block.first + at + r)
            .cast::<i32>()
            .add(block.k_start / 2);
    }
    let mut weights = block.weights.cast::<i32>();
    let mut sums = begin::<R>(block, at);
    let mut ahead = Ahead::new(block, [at, R], block.k_len / 2 / STRIDE);
    let pairs = block.k_len.div_ceil(2);
    let mut pair = 0;
    while pair + 1 < pairs {
        if R > 1 && pair % STRIDE == 0 {
            ahead.step();
            ask_for_rows(block, &rows, pair);
        }
        let mut a = [vdupq_n_s32(0); MOST_ROW_PAIRS];
        for of_rows in 0..R.div_ceil(2) {
            let (first, second) = (rows[2 * of_rows], rows[partner::<R>(of_rows)]);
            a[of_rows] = vcombine_s32(vld1_s32(first.add(pair)), vld1_s32(second.add(pair)));
        }
        for four in 0..FOURS {
            let halves = [weights, weights.add(PANEL)].map(|row| vld1q_s32(row.add(4 * four)));
            multiply::<R>(&mut sums, &a, four, halves);
        }
        weights = weights.add(2 * PANEL);
        pair += 2;
    }
    if pair < pairs {
        // A single pair is left: the other half of the four k is zero in both operands, and not read.
        let single = |row: *const i32| vcreate_s32(u64::from(row.add(pair).cast::<u32>().read_unaligned()));
        let mut a = [vdupq_n_s32(0); MOST_ROW_PAIRS];
        for of_rows in 0..R.div_ceil(2) {
            a[of_rows] = vcombine_s32(single(rows[2 * of_rows]), single(rows[partner::<R>(of_rows)]));
        }
        for four in 0..FOURS {
            multiply::<R>(&mut sums, &a, four, [vld1q_s32(weights.add(4 * four)), vdupq_n_s32(0)]);
        }
    }
    end::<R>(block, at, &sums);
}

/// Adds the products of all rows with four columns, whose first two k and last two k are the `halves`.
#[inline(always)]
unsafe fn multiply<const R: usize>(
    sums: &mut Sums,
    a: &[int32x4_t; MOST_ROW_PAIRS],
    four: usize,
    [first, last]: [int32x4_t; 2],
) {
    let columns = [vzip1q_s32(first, last), vzip2q_s32(first, last)];
    for of_rows in 0..R.div_ceil(2) {
        for (sum, w) in sums[of_rows][four].iter_mut().zip(columns) {
            // The intrinsic for it is not stable in Rust.
            asm!(
                ".arch_extension bf16",
                "bfmmla {sum:v}.4s, {a:v}.8h, {w:v}.8h",
                sum = inout(vreg) *sum,
                a = in(vreg) a[of_rows],
                w = in(vreg) w,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
    }
}

/// The second row of a pair: the first again where there is none.
#[inline(always)]
const fn partner<const R: usize>(pair: usize) -> usize {
    if 2 * pair + 1 < R { 2 * pair + 1 } else { R - 1 }
}

#[inline(always)]
unsafe fn begin<const R: usize>(block: &Block, at: usize) -> Sums {
    let mut sums = [[[vdupq_n_f32(0.0); 2]; FOURS]; MOST_ROW_PAIRS];
    if block.k_start == 0 {
        return sums;
    }
    for of_rows in 0..R.div_ceil(2) {
        let pair = [2 * of_rows, partner::<R>(of_rows)].map(|row| block.sums.add((at + row) * PANEL));
        for four in 0..FOURS {
            let [first, second] = pair.map(|row| vreinterpretq_f64_f32(vld1q_f32(row.add(4 * four))));
            sums[of_rows][four] = [
                vreinterpretq_f32_f64(vzip1q_f64(first, second)),
                vreinterpretq_f32_f64(vzip2q_f64(first, second)),
            ];
        }
    }
    sums
}

#[inline(always)]
unsafe fn end<const R: usize>(block: &Block, at: usize, sums: &Sums) {
    for of_rows in 0..R.div_ceil(2) {
        let (first, second) = (2 * of_rows, partner::<R>(of_rows));
        for four in 0..FOURS {
            let [left, right] = sums[of_rows][four].map(|sum| vreinterpretq_f64_f32(sum));
            let row = |row: usize| block.sums.add((at + row) * PANEL + 4 * four);
            vst1q_f32(row(first), vreinterpretq_f32_f64(vzip1q_f64(left, right)));
            if second != first {
                vst1q_f32(row(second), vreinterpretq_f32_f64(vzip2q_f64(left, right)));
            }
        }
    }
}
