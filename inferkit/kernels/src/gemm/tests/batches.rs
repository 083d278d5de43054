//! The determinism contract: rows of a batch are the single rows, bit for bit, for any m and any number of threads.

use super::{KINDS, Precision, pack, precisions, product};
use crate::gemm::{Activation, gemm_gated};
use crate::testing::{Random, cut, same_bits};
use crate::{Format, Isa, Pool, Rows, RowsMut};

#[test]
fn rows_of_a_batch_are_the_single_rows_for_any_m_and_any_threads() {
    let pools: Vec<Pool> = [1, 3, 2, 8].into_iter().take(cut(4, 2)).map(Pool::new).collect();
    for isa in Isa::available() {
        for format in KINDS.into_iter().step_by(cut(1, 5)) {
            // More than one slice of k (quants that are not written out as bytes have longer ones), and a panel that is not full.
            let (k, n) = (if format.block().0 == 1 { 768 } else { 1_280 }, cut(70, 19));
            let weight = pack(isa, format, [n, k], 20);
            let most = cut(128, 3);
            let a = Random::new(21).floats(most * k);
            for precision in [Precision::F32, Precision::Bf16] {
                if precision == Precision::Bf16 && format != Format::Bf16 {
                    continue;
                }
                let single: Vec<f32> = a
                    .chunks(k)
                    .flat_map(|row| product(&pools[0], row, precision, &weight))
                    .collect();
                let check = |m: usize, pool: &Pool| {
                    let found = product(pool, &a[..m * k], precision, &weight);
                    let what = format!(
                        "{} {format:?} {precision:?}: {m} rows, {} threads",
                        isa.tier(),
                        pool.threads()
                    );
                    assert!(same_bits(&found, &single[..m * n]), "{what} differ from single rows");
                };
                for m in 1..=cut(40, 2) {
                    check(m, &pools[m % pools.len()]);
                }
                for pool in &pools {
                    check(most, pool);
                    check(1, pool);
                }
            }
        }
    }
}

#[test]
fn gated_rows_of_a_batch_are_the_single_rows_for_any_m_and_any_threads() {
    let pools: Vec<Pool> = [1, 3, 2, 8].into_iter().take(cut(4, 2)).map(Pool::new).collect();
    for isa in Isa::available() {
        for format in KINDS.into_iter().step_by(cut(1, 3)) {
            let (k, n) = (if format.block().0 == 1 { 65 } else { cut(512, 256) }, cut(70, 19));
            let pair = [20, 22].map(|seed| pack(isa, format, [n, k], seed));
            let most = cut(128, 3);
            let a = Random::new(21).floats(most * k);
            for &precision in precisions(format) {
                let gated = |pool: &Pool, a: &[f32]| {
                    let (rows, [gate, up]) = (Rows::new(a, k), &pair);
                    let mut out = vec![f32::NAN; rows.rows() * n];
                    let target = RowsMut::new(&mut out, n);
                    gemm_gated(pool, rows, precision, [gate, up], Activation::Silu, target);
                    out
                };
                let single: Vec<f32> = a.chunks(k).flat_map(|row| gated(&pools[0], row)).collect();
                for (number, m) in (1..=cut(40, 1)).chain([most; cut(4, 1)]).enumerate() {
                    let pool = &pools[number % pools.len()];
                    let found = gated(pool, &a[..m * k]);
                    let what = format!("{} {format:?} {precision:?}: {m} rows", isa.tier());
                    assert!(
                        same_bits(&found, &single[..m * n]),
                        "{what}, {} threads",
                        pool.threads()
                    );
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "hours when interpreted")]
fn blocks_of_rows_do_not_show() {
    let pool = Pool::new(2);
    for format in [Format::F32, Format::Q8_0, Format::Q4K] {
        let weight = pack(Isa::best(), format, [32, 2_048], 22);
        let a = Random::new(23).floats(500 * 2_048);
        let found = product(&pool, &a, Precision::F32, &weight);
        for row in [0, 23, 24, 191, 192, 499] {
            let single = product(&pool, &a[row * 2_048..][..2_048], Precision::F32, &weight);
            assert!(
                same_bits(&found[row * 32..][..32], &single),
                "{format:?}, row {row} of 500"
            );
        }
    }
}
