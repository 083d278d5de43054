//! Mixtures of experts against the products of single rows.

use super::{KINDS, Precision, pack, precisions, product};
use crate::gemm::{Activation, GatedExperts, Renormalize, Routes, gemm_gated, gemm_grouped, gemm_grouped_gated};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut};

const EXPERTS: usize = 6;

fn experts(isa: Isa, format: Format, shape: [usize; 2], seed: u64) -> Vec<PackedWeight> {
    (0..EXPERTS as u64)
        .map(|expert| pack(isa, format, shape, seed + expert))
        .collect()
}

#[test]
fn the_greatest_logits_win_and_the_lower_expert_breaks_a_tie() {
    let logits = [
        1.0, 3.0, 3.0, 0.0, 0.0, 0.0, /* second row */ 0.0, 0.0, 0.0, 0.0, 0.0, 9.0,
    ];
    let routes = Routes::top_k(Rows::new(&logits, EXPERTS), 2, Renormalize::Yes);
    assert_eq!((routes.pairs(), routes.rows(), routes.experts()), (4, 2, EXPERTS));
    // Pairs by expert: (0, row 1), (1, row 0), (2, row 0), (5, row 1); outputs 1, 10, 100, 1000. What was there before is lost.
    let mut out = [7.0, f32::NAN];
    routes.combine(
        &Pool::new(1),
        Rows::new(&[1.0, 10.0, 100.0, 1_000.0], 1),
        RowsMut::new(&mut out, 1),
    );
    assert_eq!(out[0], 55.0, "both winners of the first row weigh one half");
    let small = (-9.0_f32).exp();
    assert!((out[1] - (small + 1_000.0) / (1.0 + small)).abs() < 1e-3, "{}", out[1]);
}

#[test]
fn without_renormalization_weights_are_shares_of_all_experts() {
    let routes = Routes::top_k(Rows::new(&[0.0; EXPERTS], EXPERTS), 3, Renormalize::No);
    let mut out = [0.0];
    routes.combine(&Pool::new(1), Rows::new(&[6.0; 3], 1), RowsMut::new(&mut out, 1));
    assert!((out[0] - 3.0).abs() < 1e-6, "three times a sixth of 6, not {}", out[0]);
}

#[test]
fn a_logit_that_is_no_number_surfaces() {
    let routes = Routes::top_k(Rows::new(&[0.0, f32::NAN, 1.0], 3), 2, Renormalize::Yes);
    let mut out = [0.0];
    routes.combine(&Pool::new(1), Rows::new(&[1.0, 1.0], 1), RowsMut::new(&mut out, 1));
    assert!(out[0].is_nan());
}

#[test]
#[cfg_attr(miri, ignore = "an hour when interpreted")]
fn a_mixture_is_the_weighted_sum_of_its_experts_bit_for_bit() {
    for isa in Isa::available() {
        for format in KINDS {
            for &precision in precisions(format) {
                check_mixture(isa, format, precision);
            }
        }
    }
}

fn check_mixture(isa: Isa, format: Format, precision: Precision) {
    let (m, k) = (11, 256);
    let inner = if format.block().0 == 256 { 256 } else { 96 };
    let gate = experts(isa, format, [inner, k], 100);
    let up = experts(isa, format, [inner, k], 200);
    let down = experts(isa, format, [40, inner], 300);
    let mut random = Random::new(50);
    let (a, logits) = (random.floats(m * k), random.floats(m * EXPERTS));
    let mixture = |pool: &Pool, rows: std::ops::Range<usize>| {
        let logits = Rows::new(&logits[rows.start * EXPERTS..rows.end * EXPERTS], EXPERTS);
        let routes = Routes::top_k(logits, 3, Renormalize::Yes);
        let a = Guarded::new(&a[rows.start * k..rows.end * k]);
        let mut hidden = Guarded::new(&vec![f32::NAN; routes.pairs() * inner]);
        let experts = GatedExperts {
            gate: &gate,
            up: &up,
            activation: Activation::Silu,
        };
        let out = RowsMut::new(&mut hidden, inner);
        gemm_grouped_gated(pool, Rows::new(&a, k), precision, experts, &routes, out);
        let mut pairs = Guarded::new(&vec![f32::NAN; routes.pairs() * 40]);
        let out = RowsMut::new(&mut pairs, 40);
        gemm_grouped(pool, Rows::new(&hidden, inner), precision, &down, &routes, out);
        let mut out = vec![f32::NAN; rows.len() * 40];
        routes.combine(pool, Rows::new(&pairs, 40), RowsMut::new(&mut out, 40));
        out
    };
    let all = mixture(&Pool::new(3), 0..m);
    for threads in [1, 2, 8] {
        assert!(
            same_bits(&mixture(&Pool::new(threads), 0..m), &all),
            "{} {format:?} {precision:?}, {threads} threads",
            isa.tier()
        );
    }
    for row in 0..m {
        let alone = mixture(&Pool::new(1), row..row + 1);
        assert!(
            same_bits(&all[row * 40..][..40], &alone),
            "{} {format:?} {precision:?}, row {row}",
            isa.tier()
        );
    }
    assert_first_row(&all, precision, (&a[..k], &logits), [&gate, &up, &down]);
}

/// Computes the first row of a mixture by hand, from the products of its best three experts.
fn assert_first_row(
    all: &[f32],
    precision: Precision,
    (a, logits): (&[f32], &[f32]),
    [gate, up, down]: [&[PackedWeight]; 3],
) {
    let inner = gate[0].n();
    let mut order: Vec<usize> = (0..EXPERTS).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let mut best = order[..3].to_vec();
    let total: f32 = best.iter().map(|&expert| logits[expert].exp()).sum();
    best.sort_unstable();
    let mut expected = vec![0.0_f32; 40];
    for expert in best {
        let mut hidden = vec![0.0; inner];
        let pair = [&gate[expert], &up[expert]];
        let (row, out) = (Rows::new(a, a.len()), RowsMut::new(&mut hidden, inner));
        gemm_gated(&Pool::new(1), row, precision, pair, Activation::Silu, out);
        let out = product(&Pool::new(1), &hidden, precision, &down[expert]);
        expected
            .iter_mut()
            .zip(out)
            .for_each(|(sum, x)| *sum += logits[expert].exp() / total * x);
    }
    for (found, expected) in all.iter().zip(&expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "{found}, not {expected}"
        );
    }
}

#[test]
fn a_row_that_is_no_number_spoils_its_own_mixture_and_no_other() {
    let (m, k, pool) = (cut(7, 4), 256, Pool::new(2));
    for (isa, format) in
        Isa::available().flat_map(|isa| KINDS.into_iter().step_by(cut(1, 5)).map(move |format| (isa, format)))
    {
        let weights = experts(isa, format, [20, k], 500);
        let mut random = Random::new(52);
        let (mut a, logits) = (random.floats(m * k), random.floats(m * EXPERTS));
        let routes = Routes::top_k(Rows::new(&logits, EXPERTS), 2, Renormalize::Yes);
        let run = |a: &[f32]| {
            let mut pairs = vec![f32::NAN; routes.pairs() * 20];
            let target = RowsMut::new(&mut pairs, 20);
            let experts = GatedExperts {
                gate: &weights,
                up: &weights,
                activation: Activation::Silu,
            };
            gemm_grouped_gated(&pool, Rows::new(a, k), Precision::Bf16, experts, &routes, target);
            let mut out = vec![f32::NAN; m * 20];
            routes.combine(&pool, Rows::new(&pairs, 20), RowsMut::new(&mut out, 20));
            out
        };
        let clean = run(&a);
        a[3 * k + 200] = f32::NAN;
        for (row, (found, clean)) in run(&a).chunks(20).zip(clean.chunks(20)).enumerate() {
            let right = if row == 3 {
                found.iter().all(|x| x.is_nan())
            } else {
                same_bits(found, clean)
            };
            assert!(right, "{} {format:?}, row {row}: {found:?}", isa.tier());
        }
    }
}

#[test]
fn experts_without_rows_are_left_out() {
    let weights = experts(Isa::best(), Format::F32, [4, 8], 400);
    let logits = [0.0, 0.0, 0.0, 0.0, 5.0, 0.0];
    let routes = Routes::top_k(Rows::new(&logits, EXPERTS), 1, Renormalize::Yes);
    let a = Random::new(51).floats(8);
    let mut out = [f32::NAN; 4];
    gemm_grouped(
        &Pool::new(2),
        Rows::new(&a, 8),
        Precision::F32,
        &weights,
        &routes,
        RowsMut::new(&mut out, 4),
    );
    assert_eq!(out[..], product(&Pool::new(1), &a, Precision::F32, &weights[4])[..]);
}
