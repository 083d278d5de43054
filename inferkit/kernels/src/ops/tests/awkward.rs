//! Numbers that are none, and the ends of what f32 can say.

use crate::ops::{LayerNorm, RmsNorm, RopeTable, activate, add, sigmoid_mul, silu_mul};
use crate::testing::{Random, same_bits};
use crate::{Activation, Isa, Pool, Rows, RowsMut};

/// A width whose last vector is not full on any tier.
const WIDTH: usize = 37;

/// An operation on three rows: its input, and where it writes.
type Operation<'a> = (&'a str, &'a dyn Fn(Isa, &[f32], &mut [f32]));

#[test]
fn a_value_that_is_no_number_spoils_its_row_and_no_other() {
    let pool = Pool::new(2);
    let weight = Random::new(77).floats(WIDTH);
    let (rms, layer) = (
        RmsNorm {
            weight: &weight,
            epsilon: 1e-6,
        },
        LayerNorm {
            weight: &weight,
            bias: Some(&weight),
            epsilon: 1e-6,
        },
    );
    let ones = [1.0; 3 * WIDTH];
    let ones = Rows::new(&ones, WIDTH);
    let whole_rows: [Operation<'_>; 2] = [
        ("rms", &|isa, x, out| {
            rms.apply(&pool, isa, Rows::new(x, WIDTH), RowsMut::new(out, WIDTH));
        }),
        ("layer", &|isa, x, out| {
            layer.apply(&pool, isa, Rows::new(x, WIDTH), RowsMut::new(out, WIDTH));
        }),
    ];
    let single_values: [Operation<'_>; 4] = [
        ("add", &|isa, x, out| {
            out.fill(1.0);
            add(&pool, isa, RowsMut::new(out, WIDTH), Rows::new(x, WIDTH));
        }),
        ("gate of silu", &|isa, x, out| {
            silu_mul(&pool, isa, Rows::new(x, WIDTH), ones, RowsMut::new(out, WIDTH));
        }),
        ("gate of sigmoid", &|isa, x, out| {
            sigmoid_mul(&pool, isa, Rows::new(x, WIDTH), ones, RowsMut::new(out, WIDTH));
        }),
        ("what is gated", &|isa, x, out| {
            sigmoid_mul(&pool, isa, ones, Rows::new(x, WIDTH), RowsMut::new(out, WIDTH));
        }),
    ];
    let x = Random::new(78).floats(3 * WIDTH);
    for isa in Isa::available() {
        for operation in whole_rows {
            check_spoiled(isa, operation, &x, |_| true);
        }
        for operation in single_values {
            check_spoiled(isa, operation, &x, |at| at == WIDTH - 1);
        }
    }
}

/// Puts a NaN at the end of the second row: there it must show where `spoils` says so, and nothing else may change.
fn check_spoiled(isa: Isa, (name, operation): Operation<'_>, x: &[f32], spoils: impl Fn(usize) -> bool) {
    let run = |x: &[f32]| {
        let mut out = vec![0.0; x.len()];
        operation(isa, x, &mut out);
        out
    };
    let clean = run(x);
    let mut spoiled = x.to_vec();
    spoiled[2 * WIDTH - 1] = f32::NAN;
    for (i, (found, clean)) in run(&spoiled).into_iter().zip(clean).enumerate() {
        let what = format!("{}, {name}: value {i} is {found}", isa.tier());
        if i / WIDTH == 1 && spoils(i % WIDTH) {
            assert!(found.is_nan(), "{what}: a NaN is hidden");
        } else {
            assert!(same_bits(&[found], &[clean]), "{what}, {clean} without the NaN");
        }
    }
}

#[test]
fn a_pair_with_a_number_that_is_none_is_turned_into_two() {
    let table = RopeTable::new(16, 10_000.0, 8);
    for isa in Isa::available() {
        let mut x = [1.0; 32];
        x[3] = f32::NAN;
        table.apply(&Pool::new(1), isa, RowsMut::new(&mut x, 32), 16, &[5]);
        let spoiled: Vec<usize> = (0..32).filter(|&i| x[i].is_nan()).collect();
        assert_eq!(spoiled, [3, 11], "{}", isa.tier());
    }
}

#[test]
fn every_activation_keeps_a_number_that_is_none() {
    for isa in Isa::available() {
        for activation in [
            Activation::Identity,
            Activation::Relu,
            Activation::LeakyRelu,
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluTanh,
        ] {
            let mut x = [f32::NAN; WIDTH];
            activate(&Pool::new(1), isa, activation, RowsMut::new(&mut x, WIDTH));
            assert!(x.iter().all(|x| x.is_nan()), "{} {activation:?}: {x:?}", isa.tier());
        }
    }
}

/// What PyTorch 2.9.1 gives in f32 for the same values (`torch.nn.functional.gelu`, both forms, of a vector, by its own kernels:
/// oneDNN's makes plus infinity no number).
#[test]
fn gelu_at_the_ends_of_f32_is_what_pytorch_gives() {
    const NAN: f32 = f32::NAN;
    let x = [f32::NEG_INFINITY, -3e38, -1e30, -200.0, -100.0, f32::INFINITY, NAN];
    let by_form = [
        (Activation::Gelu, [NAN, -0.0, -0.0, -0.0, -0.0, f32::INFINITY, NAN]),
        (Activation::GeluTanh, [NAN, -0.0, -0.0, -0.0, -0.0, f32::INFINITY, NAN]),
    ];
    for (isa, (activation, expected)) in Isa::available().flat_map(|isa| by_form.map(|form| (isa, form))) {
        // Each value once in every lane.
        for shift in 0..16 {
            let mut found = vec![0.0; shift];
            found.extend(x);
            let width = found.len();
            activate(&Pool::new(1), isa, activation, RowsMut::new(&mut found, width));
            assert!(
                same_bits(&found[shift..], &expected),
                "{} {activation:?} in lane {shift}: {found:?}, not {expected:?}",
                isa.tier()
            );
        }
    }
}
