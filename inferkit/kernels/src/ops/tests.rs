mod awkward;

use super::{LayerNorm, RmsNorm, RopeTable, activate, add, sigmoid_mul, silu_mul, softmax};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Activation, Isa, Pool, Rows, RowsMut};

/// Widths around every vector length, and one that takes several blocks of a sum.
const WIDTHS: [usize; 8] = [1, 7, 8, 15, 17, 32, 80, 1_031];

/// Runs `f` on three rows that end at a guard page, on every tier, and checks each value against `expected(row)`.
fn check(f: impl Fn(Isa, &[f32], &mut [f32], usize), expected: impl Fn(&[f64]) -> Vec<f64>, tolerance: f64) {
    let check_width = |isa: Isa, width: usize| {
        let x = Guarded::new(&Random::new(70).floats(3 * width));
        let mut out = Guarded::new(&vec![f32::NAN; 3 * width]);
        f(isa, &x, &mut out, width);
        for (x, out) in x.chunks(width).zip(out.chunks(width)) {
            let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            for (found, expected) in out.iter().zip(expected(&wide)) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= tolerance,
                    "{}, width {width}: {found}, not {expected}",
                    isa.tier()
                );
            }
            let mut alone = vec![f32::NAN; width];
            f(isa, x, &mut alone, width);
            assert!(
                same_bits(&alone, out),
                "{}, width {width}: a row alone differs",
                isa.tier()
            );
        }
    };
    for isa in Isa::available() {
        for width in WIDTHS {
            check_width(isa, width);
        }
    }
}

#[test]
fn rms_norm_divides_by_the_root_of_the_mean_square() {
    let pool = Pool::new(2);
    let weight = Guarded::new(&(0..1_031).map(|i| 1.0 + i as f32 / 1_031.0).collect::<Vec<f32>>());
    // The weights of a narrow norm end with the guarded copy too.
    let norm = |width| RmsNorm {
        weight: &weight[1_031 - width..],
        epsilon: 1e-6,
    };
    let expected = |x: &[f64]| {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scaled = x
            .iter()
            .zip(&weight[1_031 - x.len()..])
            .map(|(x, w)| x / (mean + 1e-6).sqrt() * f64::from(*w));
        scaled.collect()
    };
    let f = |isa, x: &[f32], out: &mut [f32], width| {
        norm(width).apply(&pool, isa, Rows::new(x, width), RowsMut::new(out, width));
    };
    check(f, expected, 2e-6);
    let in_place = |isa, x: &[f32], out: &mut [f32], width| {
        out.copy_from_slice(x);
        norm(width).apply_in_place(&pool, isa, RowsMut::new(out, width));
    };
    check(in_place, expected, 2e-6);
    let added = |isa, x: &[f32], out: &mut [f32], width| {
        let mut stream = Guarded::new(&x.iter().map(|x| 0.25 * x).collect::<Vec<f32>>());
        let delta = Guarded::new(&x.iter().map(|x| 0.75 * x).collect::<Vec<f32>>());
        let rows = RowsMut::new(&mut stream, width);
        norm(width).add_and_apply(&pool, isa, rows, Rows::new(&delta, width), RowsMut::new(out, width));
        assert!(
            stream.iter().zip(x).all(|(sum, x)| (sum - x).abs() < 1e-6),
            "the stream holds the sum"
        );
    };
    check(added, expected, 2e-6);
}

#[test]
fn layer_norm_survives_a_large_mean() {
    let pool = Pool::new(2);
    let (weight, bias) = (Guarded::new(&[2.0; 1_031]), Guarded::new(&[0.5; 1_031]));
    let offset = 1_000.0_f32;
    let f = |isa, x: &[f32], out: &mut [f32], width: usize| {
        let x = Guarded::new(&x.iter().map(|x| x + offset).collect::<Vec<f32>>());
        let norm = LayerNorm {
            weight: &weight[1_031 - width..],
            bias: Some(&bias[1_031 - width..]),
            epsilon: 1e-2,
        };
        norm.apply(&pool, isa, Rows::new(&x, width), RowsMut::new(out, width));
    };
    let expected = |x: &[f64]| {
        // The values that f32 keeps of the shifted input.
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x as f32 + offset)).collect();
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        x.iter()
            .map(|x| (x - mean) / (variance + 1e-2).sqrt() * 2.0 + 0.5)
            .collect()
    };
    // The mean of f32 values near 1000 is itself rounded to 3e-5.
    check(f, expected, 4e-4);
}

#[test]
fn softmax_sums_to_one_and_keeps_ratios() {
    let pool = Pool::new(2);
    let f = |isa, x: &[f32], out: &mut [f32], width| {
        out.copy_from_slice(x);
        softmax(&pool, isa, RowsMut::new(out, width), 3.0);
    };
    let expected = |x: &[f64]| {
        let sum: f64 = x.iter().map(|x| (3.0 * x).exp()).sum();
        x.iter().map(|x| (3.0 * x).exp() / sum).collect()
    };
    check(f, expected, 1e-6);
}

#[test]
fn softmax_of_awkward_rows() {
    const LOW: f32 = f32::NEG_INFINITY;
    let run = |isa, x: &[f32]| {
        let mut x = x.to_vec();
        let width = x.len();
        softmax(&Pool::new(1), isa, RowsMut::new(&mut x, width), 1.0);
        x
    };
    for isa in Isa::available() {
        for width in [3, 16, 21] {
            let mut row = vec![LOW; width];
            assert_eq!(
                run(isa, &row),
                vec![0.0; width],
                "{}: a row that is masked altogether",
                isa.tier()
            );
            let mut low = row.clone();
            low[width / 2..].fill(f32::MIN);
            assert_eq!(run(isa, &low), vec![0.0; width], "{}: the lowest numbers", isa.tier());
            row[width - 1] = -200.0;
            let mut one = vec![0.0; width];
            one[width - 1] = 1.0;
            assert_eq!(run(isa, &row), one, "{}: one value far below zero", isa.tier());
            for bad in [f32::NAN, f32::INFINITY] {
                for at in [0, width - 1] {
                    row[at] = bad;
                    assert!(
                        run(isa, &row).iter().all(|x| x.is_nan()),
                        "{}: {bad} at {at} is hidden",
                        isa.tier()
                    );
                    row[at] = -200.0;
                }
            }
        }
    }
}

#[test]
fn softmax_of_a_long_row_is_summed_without_losing_small_terms() {
    let width = cut(150_000, 1_500);
    let random = Random::new(72).floats(width);
    // Equal terms that are no short numbers: a sum in f32 is off by the same rounding again and again.
    let mut equal = vec![-0.1; width];
    equal[0] = 0.0;
    for isa in Isa::available() {
        for row in [&random, &equal] {
            let mut found = Guarded::new(row);
            softmax(&Pool::new(1), isa, RowsMut::new(&mut found, width), 1.0);
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            for (x, found) in row.iter().zip(found.iter()) {
                let expected = f64::from(*x).exp() / sum;
                let error = (f64::from(*found) / expected - 1.0).abs();
                // Twice what exp2 is off by, two roundings, and those of an argument of 2 at most.
                assert!(error < 5e-7, "{}: {found} is off by {error:e} of itself", isa.tier());
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "the mode of processors is not interpreted")]
fn denormals_count_as_zero() {
    let pool = Pool::new(1);
    let (tiny, huge) = ([1e-40_f32; 20], [1e30_f32; 20]);
    for isa in Isa::available() {
        let tiny_rows = Rows::new(&tiny, 20);
        let mut sum = tiny;
        add(&pool, isa, RowsMut::new(&mut sum, 20), tiny_rows);
        let mut gated = huge;
        silu_mul(
            &pool,
            isa,
            Rows::new(&huge, 20),
            tiny_rows,
            RowsMut::new(&mut gated, 20),
        );
        // Not a gate that is one in f32: what is multiplied with it may pass as it is.
        let mut linear = huge;
        sigmoid_mul(
            &pool,
            isa,
            Rows::new(&[0.5; 20], 20),
            tiny_rows,
            RowsMut::new(&mut linear, 20),
        );
        let mut normalised = huge;
        let norm = RmsNorm {
            weight: &huge,
            epsilon: 1e-12,
        };
        norm.apply(&pool, isa, tiny_rows, RowsMut::new(&mut normalised, 20));
        for (name, found) in [("sum", sum), ("silu", gated), ("sigmoid", linear), ("norm", normalised)] {
            assert_eq!(found, [0.0; 20], "{}: {name}", isa.tier());
        }
    }
}

/// An operation in place on rows of 1,031 values.
type Operation<'a> = (&'a str, &'a dyn Fn(&Pool, Isa, &mut [f32]));

#[test]
fn rows_are_the_same_on_any_number_of_threads() {
    // A unit is some thousand values: rows make several of them.
    let (rows, width) = (cut(100, 9), 1_031);
    let x = Random::new(74).floats(rows * width);
    let other = Random::new(75).floats(rows * width);
    let (x, other) = (Rows::new(&x, width), Rows::new(&other, width));
    let (weight, epsilon) = (&Random::new(76).floats(width)[..], 1e-6);
    let rms = RmsNorm { weight, epsilon };
    let layer = LayerNorm {
        weight,
        bias: Some(weight),
        epsilon,
    };
    let table = RopeTable::new(1_030, 10_000.0, rows);
    let positions: Vec<u32> = (0..rows as u32).collect();
    let operations: [Operation<'_>; 10] = [
        ("rms", &|pool, isa, out| {
            rms.apply(pool, isa, x, RowsMut::new(out, width));
        }),
        ("rms in place", &|pool, isa, out| {
            rms.apply_in_place(pool, isa, RowsMut::new(out, width));
        }),
        ("sum and rms", &|pool, isa, out| {
            let mut normalised = vec![f32::NAN; out.len()];
            let rows = RowsMut::new(&mut normalised, width);
            rms.add_and_apply(pool, isa, RowsMut::new(out, width), other, rows);
            out.iter_mut().zip(normalised).for_each(|(out, x)| *out -= 3.0 * x);
        }),
        ("layer", &|pool, isa, out| {
            layer.apply(pool, isa, x, RowsMut::new(out, width));
        }),
        ("softmax", &|pool, isa, out| {
            softmax(pool, isa, RowsMut::new(out, width), 2.0);
        }),
        ("silu", &|pool, isa, out| {
            silu_mul(pool, isa, x, other, RowsMut::new(out, width));
        }),
        ("sigmoid", &|pool, isa, out| {
            sigmoid_mul(pool, isa, x, other, RowsMut::new(out, width));
        }),
        ("add", &|pool, isa, out| add(pool, isa, RowsMut::new(out, width), other)),
        ("gelu", &|pool, isa, out| {
            activate(pool, isa, Activation::Gelu, RowsMut::new(out, width));
        }),
        ("rope", &|pool, isa, out| {
            table.apply(pool, isa, RowsMut::new(out, width), width, &positions);
        }),
    ];
    let start: Vec<f32> = (0..rows).flat_map(|row| x.row(row).to_vec()).collect();
    for (isa, operation) in Isa::available().flat_map(|isa| operations.map(|operation| (isa, operation))) {
        assert_same_on_any_threads(isa, operation, &start);
    }
}

fn assert_same_on_any_threads(isa: Isa, (name, operation): Operation<'_>, start: &[f32]) {
    let [alone, others @ ..] = [1, 2, 3, 8].map(|threads| {
        let mut out = start.to_vec();
        operation(&Pool::new(threads), isa, &mut out);
        out
    });
    for other in others {
        assert!(same_bits(&other, &alone), "{}: {name} on several threads", isa.tier());
    }
}

#[test]
fn gates_sums_and_activations() {
    let pool = Pool::new(2);
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let f = |isa, x: &[f32], out: &mut [f32], width| {
        let rows = Rows::new(x, width);
        silu_mul(&pool, isa, rows, rows, RowsMut::new(out, width));
    };
    check(f, |x| x.iter().map(|&x| silu(x) * x).collect(), 1e-6);
    let f = |isa, x: &[f32], out: &mut [f32], width| {
        let rows = Rows::new(x, width);
        sigmoid_mul(&pool, isa, rows, rows, RowsMut::new(out, width));
    };
    check(f, |x| x.iter().map(|&x| silu(x)).collect(), 1e-6);
    let f = |isa, x: &[f32], out: &mut [f32], width| {
        out.fill(0.5);
        add(&pool, isa, RowsMut::new(out, width), Rows::new(x, width));
    };
    check(f, |x| x.iter().map(|x| x + 0.5).collect(), 1e-6);
    let f = |isa, x: &[f32], out: &mut [f32], width| {
        out.copy_from_slice(x);
        activate(&pool, isa, Activation::Relu, RowsMut::new(out, width));
    };
    check(f, |x| x.iter().map(|x| x.max(0.0)).collect(), 0.0);
}

#[test]
fn rotary_positions_turn_pairs_and_leave_the_rest() {
    for isa in Isa::available() {
        for (width, d, heads) in [(2, 2, 1), (16, 16, 3), (20, 24, 2), (128, 128, 2)] {
            let table = RopeTable::new(width, 10_000.0, 50);
            assert_eq!((table.width(), table.positions()), (width, 50));
            let positions = [0, 7, 49];
            let x = Random::new(71).floats(3 * heads * d);
            let mut turned = Guarded::new(&x);
            table.apply(&Pool::new(2), isa, RowsMut::new(&mut turned, heads * d), d, &positions);
            assert_eq!(turned[..heads * d], x[..heads * d], "position 0 turns nothing");
            for (row, position) in positions.into_iter().enumerate() {
                for head in 0..heads {
                    let at = (row * heads + head) * d;
                    let (x, turned) = (&x[at..at + d], &turned[at..at + d]);
                    for i in 0..width / 2 {
                        let angle = f64::from(position) * 10_000_f64.powf(-2.0 * i as f64 / width as f64);
                        let (a, b) = (f64::from(x[i]), f64::from(x[i + width / 2]));
                        let expected = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()];
                        for (found, expected) in [turned[i], turned[i + width / 2]].iter().zip(expected) {
                            assert!((f64::from(*found) - expected).abs() < 3e-7, "{}: {found}", isa.tier());
                        }
                    }
                    assert_eq!(turned[width..], x[width..], "values beyond the rotary width");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "a position beyond the table of 5")]
fn a_position_beyond_the_table_is_refused() {
    let table = RopeTable::new(4, 10_000.0, 5);
    table.apply(&Pool::new(1), Isa::best(), RowsMut::new(&mut [0.0; 4], 4), 4, &[5]);
}
