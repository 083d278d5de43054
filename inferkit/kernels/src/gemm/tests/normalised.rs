//! A norm in front of products is the norm, then the products, bit for bit.

use super::{Precision, Product, gemm, pack};
use crate::gemm::{Activation, Input, gemm_gated};
use crate::ops::RmsNorm;
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut};

/// Products of rows with a list of weights, one after another.
fn products<'a>(pool: &Pool, input: impl Into<Input<'a>>, m: usize, weights: &[PackedWeight]) -> Vec<Vec<f32>> {
    let mut outs: Vec<Vec<f32>> = weights.iter().map(|weight| vec![f32::NAN; m * weight.n()]).collect();
    let mut list: Vec<Product<'_>> = weights
        .iter()
        .zip(&mut outs)
        .map(|(weight, out)| Product::new(weight, RowsMut::new(out, weight.n())))
        .collect();
    gemm(pool, input, Precision::Bf16, &mut list);
    outs
}

fn same(found: &[Vec<f32>], expected: &[Vec<f32>]) -> bool {
    found
        .iter()
        .zip(expected)
        .all(|(found, expected)| same_bits(found, expected))
}

#[test]
fn products_of_a_norm_are_those_of_rows_normalised_before() {
    let k = cut(768, 256);
    let epsilon = 1e-5;
    for isa in Isa::available() {
        let weight = Random::new(71).floats(k);
        let norm = RmsNorm {
            weight: &weight,
            epsilon,
        };
        for formats in [
            &[Format::Q8_0, Format::Q4K, Format::Q4_1][..],
            &[Format::Q6K],
            // A list of both kinds, and one without quants.
            &[Format::Q4_0, Format::Bf16, Format::F32],
            &[Format::Bf16],
        ]
        .into_iter()
        .take(cut(4, 1))
        {
            let weights: Vec<_> = formats.iter().map(|&format| pack(isa, format, [40, k], 72)).collect();
            for (m, threads) in [(3, 2), (1, 1), (40, 3)].into_iter().take(cut(3, 1)) {
                let pool = Pool::new(threads);
                let mut x = Random::new(73).floats(m * k);
                // A row of zeros, an outlier, a tiny row, and what is no number.
                x[..k].fill(0.0);
                x[(m - 1) * k + 5] = 3e4;
                if m > 2 {
                    x[k..2 * k].iter_mut().for_each(|value| *value *= 1e-20);
                    x[k + 9] = f32::NAN;
                }
                let x = Guarded::new(&x);
                let mut normalised = vec![0.0; m * k];
                norm.apply(&pool, isa, Rows::new(&x, k), RowsMut::new(&mut normalised, k));
                let expected = products(&pool, Rows::new(&normalised, k), m, &weights);
                let found = products(&pool, Input::normalised(Rows::new(&x, k), norm), m, &weights);
                assert!(same(&found, &expected), "{} {formats:?}, {m} rows", isa.tier());
            }
        }
    }
}

#[test]
fn a_gated_pair_of_a_norm_is_that_of_rows_normalised_before() {
    let (m, k) = (5, 256);
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let weight = Random::new(74).floats(k);
        let norm = RmsNorm {
            weight: &weight,
            epsilon: 1e-6,
        };
        let x = Random::new(75).floats(m * k);
        let mut normalised = vec![0.0; m * k];
        norm.apply(&pool, isa, Rows::new(&x, k), RowsMut::new(&mut normalised, k));
        for format in [Format::Q4K, Format::F32] {
            let pair = [pack(isa, format, [48, k], 76), pack(isa, format, [48, k], 77)];
            let gated = |input: Input<'_>| {
                let mut out = vec![f32::NAN; m * 48];
                let [gate, up] = &pair;
                let target = RowsMut::new(&mut out, 48);
                gemm_gated(&pool, input, Precision::F32, [gate, up], Activation::Silu, target);
                out
            };
            let found = gated(Input::normalised(Rows::new(&x, k), norm));
            let expected = gated(Rows::new(&normalised, k).into());
            assert!(same_bits(&found, &expected), "{} {format:?}", isa.tier());
        }
    }
}

#[test]
#[should_panic(expected = "a norm has one weight for each value of a row")]
fn a_norm_of_another_width_is_refused() {
    let norm = RmsNorm {
        weight: &[1.0; 3],
        epsilon: 0.0,
    };
    let _ = Input::normalised(Rows::new(&[0.0; 8], 4), norm);
}
