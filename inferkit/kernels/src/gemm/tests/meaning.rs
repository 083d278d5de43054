//! What a product means, on every tier and in every format.

use half::bf16;

use super::{Precision, Product, gemm, pack, precisions, product};
use crate::gemm::{Activation, Epilogue, Residual, gemm_gated};
use crate::testing::{Guarded, Random, cut, dequantize, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut, Tier};

/// What the kernels make of an activation row: 8 bits for every 32 values.
fn quantized(row: &[f32]) -> Vec<f32> {
    let group = |values: &[f32]| {
        let greatest = values.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        let inverse = if greatest == 0.0 { 0.0 } else { 127.0 / greatest };
        let values: Vec<f32> = values
            .iter()
            .map(|x| (x * inverse).round_ties_even() * (greatest / 127.0))
            .collect();
        values
    };
    row.chunks(32).flat_map(group).collect()
}

/// The product in f64 and, for each element, the sum of magnitudes: the measure of rounding errors.
fn reference(a: &[f32], w: &[f32], k: usize) -> Vec<(f64, f64)> {
    let dot = |a: &[f32], w: &[f32]| {
        let terms = a.iter().zip(w).map(|(a, w)| f64::from(*a) * f64::from(*w));
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    };
    a.chunks(k).flat_map(|a| w.chunks(k).map(move |w| dot(a, w))).collect()
}

/// Minima can cancel what scales add up, so quantized sums are measured against the magnitudes of both.
fn tolerance(format: Format) -> f64 {
    match format {
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => 6e-6,
        _ => 1.5e-6,
    }
}

fn check(isa: Isa, format: Format, [m, k, n]: [usize; 3], precision: Precision) {
    let mut random = Random::new(7);
    let bytes = random.weight(format, n, k);
    let a = random.floats(m * k);
    let weight = PackedWeight::pack(&Pool::new(1), isa, format, [n, k], &bytes).unwrap();
    let seen: Vec<f32> = match (weight.layout().is_quantized(), precision) {
        (true, _) => a.chunks(k).flat_map(quantized).collect(),
        (false, Precision::Bf16) if format != Format::F32 && format != Format::F16Exact => {
            a.iter().map(|x| bf16::from_f32(*x).to_f32()).collect()
        }
        _ => a.clone(),
    };
    let expected = reference(&seen, &dequantize(format, &bytes), k);
    let found = product(&Pool::new(2), &a, precision, &weight);
    for (i, ((expected, size), found)) in expected.into_iter().zip(found).enumerate() {
        let error = (expected - f64::from(found)).abs();
        assert!(
            error <= tolerance(format) * size + 1e-30,
            "{} {format:?} {precision:?} {m} x {k} x {n}: element {i} is {found}, not {expected}",
            isa.tier()
        );
    }
}

#[test]
fn every_format_on_every_tier_is_the_product_of_what_it_stands_for() {
    for isa in Isa::available() {
        for format in Format::ALL {
            let block = format.block().0;
            let shapes = [(1, 1, 1), (2, 3, 17), (7, 2, 33), (13, 5, 70)];
            for (m, blocks, n) in shapes.into_iter().take(cut(4, 1)) {
                check(isa, format, [m, block * blocks, n], Precision::F32);
            }
        }
    }
}

#[test]
fn plain_numbers_take_any_k() {
    for isa in Isa::available() {
        for format in [Format::F32, Format::Bf16, Format::F16Exact] {
            for k in [1, 2, 3, 31, 33, 63, 65, 513, 1_027].into_iter().take(cut(9, 4)) {
                for precision in [Precision::F32, Precision::Bf16] {
                    check(isa, format, [cut(5, 2), k, cut(65, 19)], precision);
                }
            }
        }
    }
}

#[test]
fn long_rows_cross_every_slice() {
    for isa in Isa::available() {
        for format in [
            Format::Q8_0,
            Format::Q4_0,
            Format::Q4_1,
            Format::Q5_1,
            Format::Q4K,
            Format::Q5K,
            Format::Q6K,
            Format::F32,
            Format::Bf16,
            Format::F16Exact,
        ]
        .into_iter()
        .step_by(cut(1, 4))
        {
            check(isa, format, [cut(3, 1), 2_304, cut(40, 2)], Precision::Bf16);
        }
    }
}

#[test]
fn vector_tiers_agree_bit_for_bit() {
    // Only products of bfloat16 by bfloat16 round differently. Plain Rust has no fused multiply-add and is compared by tolerance above.
    let tiers: Vec<Isa> = Isa::available().filter(|isa| isa.tier() > Tier::Portable).collect();
    for format in Format::ALL {
        let a = Random::new(8).floats(9 * 512);
        let results: Vec<_> = tiers
            .iter()
            .map(|&isa| product(&Pool::new(2), &a, Precision::F32, &pack(isa, format, [70, 512], 9)))
            .collect();
        for (isa, result) in tiers.iter().zip(&results) {
            assert!(
                same_bits(result, &results[0]),
                "{format:?}: {} differs from {}",
                isa.tier(),
                tiers[0].tier()
            );
        }
    }
}

#[test]
fn a_list_gives_what_its_members_give_alone() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let weights = [Format::Q8_0, Format::Bf16, Format::Q6K, Format::F32]
            .map(|format| pack(isa, format, [cut(format.block().1, 14) + 5, 256], 10));
        let m = cut(9, 2);
        let a = Random::new(11).floats(m * 256);
        for precision in [Precision::F32, Precision::Bf16] {
            let mut outs: Vec<Vec<f32>> = weights.iter().map(|weight| vec![f32::NAN; m * weight.n()]).collect();
            let mut products: Vec<Product<'_>> = weights
                .iter()
                .zip(&mut outs)
                .map(|(weight, out)| Product::new(weight, RowsMut::new(out, weight.n())))
                .collect();
            gemm(&pool, Rows::new(&a, 256), precision, &mut products);
            for (weight, out) in weights.iter().zip(&outs) {
                let alone = product(&pool, &a, precision, weight);
                assert!(same_bits(out, &alone), "{} {:?}", isa.tier(), weight.format());
            }
        }
    }
}

/// The error function by its series, to 1e-8: beyond 4 it is one.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..80 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    if x.abs() < 4.0 {
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        x.signum()
    }
}

/// What an activation stands for.
fn activated(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / 2_f64.sqrt())),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
    }
}

const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
];

#[test]
fn epilogues_do_what_they_say_in_their_order() {
    // Several panels and blocks of rows on every tier, the last of them not full; rows of the residual stand apart.
    let (pool, m, n, stride) = (Pool::new(3), cut(60, 5), 70, 73);
    for isa in Isa::available() {
        let weight = pack(isa, Format::F32, [n, 5], 12);
        let mut random = Random::new(13);
        let (a, bias) = (random.floats(m * 5), random.floats(n));
        let apart = Guarded::new(&random.floats((m - 1) * stride + n));
        let residual: Vec<f32> = apart.chunks(stride).flat_map(|row| row[..n].to_vec()).collect();
        let bare = product(&pool, &a, Precision::F32, &weight);
        let run = |epilogue: Epilogue<'_>, out: &mut [f32]| {
            let product = Product::new(&weight, RowsMut::new(out, n)).with_epilogue(epilogue);
            gemm(&pool, Rows::new(&a, 5), Precision::F32, &mut [product]);
        };
        for (activation, last) in ACTIVATIONS
            .into_iter()
            .flat_map(|first| [(first, Activation::Identity), (first, Activation::Relu)])
        {
            let epilogue = Epilogue::default()
                .with_bias(&bias)
                .with_activation(activation)
                .with_scale(0.5)
                .with_last(last);
            let mut out = residual.clone();
            run(epilogue.with_residual(Residual::Output), &mut out);
            let mut other = vec![f32::NAN; m * n];
            let rows = Rows::strided(&apart, m, n, stride);
            run(epilogue.with_residual(Residual::Rows(rows)), &mut other);
            assert!(same_bits(&out, &other), "both ways to add a residual are one");
            for (i, found) in out.iter().enumerate() {
                let sum = activated(activation, f64::from(bare[i] + bias[i % n])) * 0.5 + f64::from(residual[i]);
                let expected = activated(last, sum);
                assert!(
                    (f64::from(*found) - expected).abs() < 3e-6,
                    "{} {activation:?}, {last:?}: element {i} is {found}, not {expected}",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn a_gated_pair_is_the_activated_gate_times_up() {
    for isa in Isa::available() {
        for format in [Format::F32, Format::Bf16, Format::Q8_0, Format::Q4K] {
            for &precision in precisions(format) {
                check_gated(isa, format, precision);
            }
        }
    }
}

fn check_gated(isa: Isa, format: Format, precision: Precision) {
    let pool = Pool::new(2);
    let (gate, up) = (pack(isa, format, [50, 256], 14), pack(isa, format, [50, 256], 15));
    let m = cut(7, 1);
    let a = Guarded::new(&Random::new(16).floats(m * 256));
    let mut out = Guarded::new(&vec![f32::NAN; m * 50]);
    gemm_gated(
        &pool,
        Rows::new(&a, 256),
        precision,
        [&gate, &up],
        Activation::Silu,
        RowsMut::new(&mut out, 50),
    );
    let gates = product(&pool, &a, precision, &gate);
    let ups = product(&pool, &a, precision, &up);
    for ((found, gate), up) in out.iter().zip(gates).zip(ups) {
        let expected = gate / (1.0 + (-gate).exp()) * up;
        assert!(
            (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{} {format:?} {precision:?}: {found}, not {expected}",
            isa.tier()
        );
    }
}

#[test]
fn overlapping_rows_are_a_convolution() {
    let signal: Vec<f32> = (0..10).map(|i| i as f32).collect();
    let kernel: Vec<u8> = [1.0_f32, -2.0, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let weight = PackedWeight::pack(&Pool::new(1), Isa::best(), Format::F32, [1, 3], &kernel).unwrap();
    let mut out = [f32::NAN; 8];
    let rows = Rows::strided(&signal, 8, 3, 1);
    gemm(
        &Pool::new(1),
        rows,
        Precision::F32,
        &mut [Product::new(&weight, RowsMut::new(&mut out, 1))],
    );
    assert_eq!(out, [0.0; 8], "the second difference of a straight line");
}

#[test]
fn an_empty_batch_or_list_is_no_work() {
    let weight = pack(Isa::best(), Format::Q8_0, [8, 32], 17);
    assert!(product(&Pool::new(2), &[], Precision::F32, &weight).is_empty());
    gemm(&Pool::new(2), Rows::new(&[0.0; 32], 32), Precision::F32, &mut []);
}

#[test]
#[should_panic(expected = "k of the weight is the width of the activations")]
fn another_k_than_the_weight_has_is_refused() {
    let weight = pack(Isa::best(), Format::F32, [8, 32], 18);
    let mut out = [0.0; 8];
    let product = Product::new(&weight, RowsMut::new(&mut out, 8));
    gemm(&Pool::new(1), Rows::new(&[0.0; 31], 31), Precision::F32, &mut [product]);
}

#[test]
#[should_panic(expected = "shape of the output")]
fn an_output_of_another_shape_is_refused() {
    let weight = pack(Isa::best(), Format::F32, [8, 32], 18);
    let mut out = [0.0; 9];
    let product = Product::new(&weight, RowsMut::new(&mut out, 9));
    gemm(&Pool::new(1), Rows::new(&[0.0; 32], 32), Precision::F32, &mut [product]);
}
