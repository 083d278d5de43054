use std::ops::Range;

use super::math::{exp, exp2, gelu, gelu_tanh, sigmoid, silu, tanh};
use super::{Dot, Lanes8, PortableDot, Simd, float_tiers};
use crate::Isa;
use crate::testing::cut;

/// Applies operation number `op` to `n` pairs; `n` is a multiple of 16.
#[inline(always)]
unsafe fn apply<S: Simd>(op: usize, x: *const f32, y: *const f32, n: usize, out: *mut f32) {
    let mut at = 0;
    while at < n {
        let (a, b) = (S::load(x.add(at)), S::load(y.add(at)));
        let value = match op {
            0 => S::add(a, b),
            1 => S::sub(a, b),
            2 => S::mul(a, b),
            3 => S::div(a, b),
            4 => S::min(a, b),
            5 => S::max(a, b),
            6 => S::abs(a),
            7 => S::select_lt(a, b, b, a),
            8 => S::to_f32(S::round(a)),
            9 => S::fma(a, b, a),
            10 => exp::<S>(a),
            11 => sigmoid::<S>(a),
            12 => silu::<S>(a),
            13 => tanh::<S>(a),
            14 => gelu::<S>(a),
            15 => gelu_tanh::<S>(a),
            16 => S::bf16_low(S::load_i(x.add(at).cast())),
            17 => S::bf16_high(S::load_i(x.add(at).cast())),
            18 => {
                let mut bits = [0_u16; 16];
                S::store_bf16(bits.as_mut_ptr(), a);
                S::load_bf16(bits.as_ptr())
            }
            19 => S::load_f16(x.add(at).cast()),
            20 => S::load_i8(x.add(at).cast()),
            21 => S::load_u8(x.add(at).cast()),
            22 => S::splat(S::reduce_add(a)),
            23 => S::splat(f32::from(u8::from(S::all_finite(a)))),
            24 => S::splat(S::reduce_max(a)),
            25 => {
                let mut bytes = [0_i8; 16];
                S::store_i8(
                    bytes.as_mut_ptr(),
                    S::round(S::min(S::splat(127.0), S::max(S::splat(-128.0), a))),
                );
                S::load_i8(bytes.as_ptr())
            }
            26 => S::to_f32(S::splat_i(S::reduce_add_i(S::round(a)))),
            27 => exp2::<S>(a),
            28 => S::nearest(a),
            29 => S::scale_by_power(a, S::nearest(b)),
            _ => unreachable!("operation {op}"),
        };
        S::store(out.add(at), value);
        at += S::LANES;
    }
}

float_tiers! {
    fn run(op: usize, x: *const f32, y: *const f32, n: usize, out: *mut f32) = apply;
}

fn evaluate(isa: Isa, op: usize, x: &[f32], y: &[f32]) -> Vec<f32> {
    assert!(x.len() == y.len() && x.len().is_multiple_of(16));
    let mut out = vec![0.0; x.len()];
    // SAFETY: both inputs and the output hold `x.len()` values, a multiple of every vector length; `isa` is available.
    unsafe { run(isa, op, x.as_ptr(), y.as_ptr(), x.len(), out.as_mut_ptr()) };
    out
}

fn awkward() -> (Vec<f32>, Vec<f32>) {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        126.5,
        -127.5,
        1e-40,
        -1e-40,
        3.4e38,
        -3.4e38,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        87.3,
        -86.9,
        -87.1,
        88.5,
        1e-8,
        65_504.0,
        6e-8,
        0.1,
        1.003_906_3,
        1.011_718_8,
        3.7,
        f32::MIN_POSITIVE,
        1e30,
        -1e-30,
        7.0,
    ];
    let pairs = special.iter().flat_map(|&x| special.iter().map(move |&y| (x, y)));
    pairs.unzip()
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn exact_operations_agree_bit_for_bit_on_every_tier() {
    let (x, y) = awkward();
    for isa in Isa::available() {
        for op in (0..=7).chain(16..=21).chain([23, 25]) {
            let (expected, found) = (evaluate(Isa::portable(), op, &x, &y), evaluate(isa, op, &x, &y));
            if op == 23 && isa.tier() >= crate::Tier::Avx512 {
                continue; // one answer for sixteen lanes instead of eight; tested below
            }
            for (i, (e, f)) in expected
                .iter()
                .zip(&found)
                .enumerate()
                .filter(|(i, _)| op != 25 || !x[*i].is_nan())
            {
                assert!(
                    same(*e, *f),
                    "{}: operation {op} of {:e}, {:e}: {f:e}, not {e:e}",
                    isa.tier(),
                    x[i],
                    y[i]
                );
            }
        }
    }
}

#[test]
fn rounding_goes_to_the_even_neighbour() {
    let x = [
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        -2.5,
        126.5,
        -126.5,
        0.499_999_97,
        3.0,
        0.0,
        -0.0,
        7.49,
        7.51,
        100.5,
        -101.5,
    ];
    let expected = x.map(f32::round_ties_even);
    for isa in Isa::available() {
        for op in [8, 28] {
            assert_eq!(evaluate(isa, op, &x, &x), expected, "{}", isa.tier());
        }
    }
}

#[test]
fn scaling_by_powers_of_two_is_exact() {
    let numbers = [1.0, -1.5, 0.75, 1.999_999_9, 0.0, f32::NAN, 1.25, 0.71];
    let powers = [-126.0, -1.0, 0.0, 127.0, 5.0, 3.0, -100.4, 31.4];
    for isa in Isa::available() {
        let found = evaluate(isa, 29, &numbers.repeat(2), &powers.repeat(2));
        for ((number, power), found) in numbers.iter().zip(powers).zip(found) {
            let expected = number * f32::round(power).exp2();
            assert!(same(found, expected), "{}: {number} · 2^{power} = {found}", isa.tier());
        }
    }
}

#[test]
fn reductions_cover_every_lane() {
    for isa in Isa::available() {
        for lane in 0..16 {
            let mut x = [0.0; 16];
            x[lane] = 1.0;
            let sums = evaluate(isa, 22, &x, &x);
            let greatest = evaluate(isa, 24, &x, &x);
            let own = lane / 8 * 8; // where the portable vector of this lane begins
            assert_eq!((sums[own], greatest[own]), (1.0, 1.0), "{}, lane {lane}", isa.tier());
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                x[lane] = bad;
                assert_eq!(
                    evaluate(isa, 23, &x, &x)[own],
                    0.0,
                    "{}, lane {lane} is {bad}",
                    isa.tier()
                );
            }
        }
        let numbers: [f32; 16] = std::array::from_fn(|lane| [1.0, -1.0][lane % 2] * (1 << lane) as f32);
        let sums = evaluate(isa, 26, &numbers, &numbers);
        let whole = numbers[..if sums[0] == sums[8] { 16 } else { 8 }].iter().sum();
        assert_eq!(sums[0], whole, "{}: the sum of whole numbers", isa.tier());
        assert_eq!(
            evaluate(isa, 23, &[f32::MAX; 16], &[0.0; 16]),
            [1.0; 16],
            "{}",
            isa.tier()
        );
    }
}

#[test]
fn bfloat16_is_rounded_to_even_and_keeps_nan() {
    let x = [
        f32::from_bits(0x3F80_8000), // halfway, even below
        f32::from_bits(0x3F81_8000), // halfway, even above
        f32::from_bits(0x7F80_0001), // a NaN whose upper half alone would be infinity
        f32::from_bits(0x7FFF_FFFF), // a NaN that the rounding constant would carry into zero
        f32::MAX,
        1e-40,
        -0.0,
        f32::NEG_INFINITY,
    ];
    let x: Vec<f32> = x.iter().chain(&x).copied().collect();
    for isa in Isa::available() {
        for (x, y) in x.iter().zip(evaluate(isa, 18, &x, &x)) {
            assert!(
                same(y, half::bf16::from_f32(*x).to_f32()),
                "{}: {x:e} became {y:e}",
                isa.tier()
            );
        }
    }
}

#[test]
fn elementary_functions_stay_within_their_stated_errors() {
    let steps = cut(4_000, 64) as i32;
    let x: Vec<f32> = (-steps..steps).map(|i| i as f32 * (100.0 / steps as f32)).collect();
    let erf = |x: f64| {
        // Series for small, continued fraction for large arguments; both to double precision.
        let z = x.abs();
        let value = if z < 2.5 {
            let (mut term, mut sum) = (z, z);
            for n in 1..80 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let mut f = z;
            for n in (1..120).rev() {
                f = z + f64::from(n) / 2.0 / f;
            }
            1.0 - (-z * z).exp() / f / std::f64::consts::PI.sqrt()
        };
        value.copysign(x)
    };
    let gelu_tanh =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
    for isa in Isa::available() {
        let check = |op: usize, name: &str, of: &dyn Fn(f64) -> f64, allowed: &dyn Fn(f64, f64) -> f64| {
            for (x, y) in x.iter().zip(evaluate(isa, op, &x, &x)) {
                let expected = of(f64::from(*x));
                let error = (f64::from(y) - expected).abs();
                assert!(
                    error <= allowed(f64::from(*x), expected),
                    "{}: {name}({x}) = {y}, not {expected}",
                    isa.tier()
                );
            }
        };
        check(10, "exp", &f64::exp, &|x, y| {
            if x > 88.0 { f64::INFINITY } else { 3e-7 * y + 1.7e-38 }
        });
        check(11, "sigmoid", &|x| 1.0 / (1.0 + (-x).exp()), &|_, _| 3e-7);
        check(12, "silu", &|x| x / (1.0 + (-x).exp()), &|x, _| 3e-7 * x.abs().max(1.0));
        check(13, "tanh", &f64::tanh, &|_, _| 3e-7);
        check(14, "gelu", &|x| 0.5 * x * (1.0 + erf(x / 2_f64.sqrt())), &|x, _| {
            4e-7 * x.abs().max(1.0)
        });
        check(15, "gelu_tanh", &gelu_tanh, &|x, _| 4e-7 * x.abs().max(1.0));
        let special = evaluate(
            isa,
            10,
            &[f32::NAN, f32::NEG_INFINITY, 0.0, f32::INFINITY].repeat(4),
            &[0.0; 16],
        );
        assert!(
            special[0].is_nan() && special[1] == 0.0 && special[2] == 1.0 && special[3] > 1e38,
            "{special:?}"
        );
    }
}

#[test]
fn powers_of_two_stay_within_their_stated_error() {
    let steps = cut(8_000, 128);
    let x: Vec<f32> = (0..steps).map(|i| i as f32 * (-126.0 / steps as f32)).collect();
    for isa in Isa::available() {
        for (x, y) in x.iter().zip(evaluate(isa, 27, &x, &x)) {
            let expected = f64::from(*x).exp2();
            assert!(
                (f64::from(y) - expected).abs() <= 2e-7 * expected,
                "{}: exp2({x}) = {y}, not {expected}",
                isa.tier()
            );
        }
        let below = [
            f32::NAN,
            f32::NEG_INFINITY,
            0.0,
            -126.001,
            f32::MIN,
            -1e10,
            -0.0,
            -126.0,
        ];
        let special = evaluate(isa, 27, &below.repeat(2), &[0.0; 16]);
        assert!(special[0].is_nan(), "{}: {special:?}", isa.tier());
        let expected = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, f32::MIN_POSITIVE];
        assert_eq!(special[1..8], expected, "{}", isa.tier());
    }
}

#[test]
fn activations_far_below_zero_are_as_good_as_zero_and_keep_infinity_and_nan() {
    let x = [-3e38, -1e38, -1e30, -1e10, -200.0, -100.0, -88.5, -88.0].repeat(2);
    for isa in Isa::available() {
        for (op, name) in [(12, "silu"), (14, "gelu"), (15, "gelu_tanh")] {
            let found = evaluate(isa, op, &x, &x);
            assert!(
                found.iter().all(|x| x.abs() < 1e-36),
                "{}: {name} {found:?}",
                isa.tier()
            );
            let special = evaluate(isa, op, &[f32::NAN, f32::INFINITY, 3e38, 1e20].repeat(4), &[0.0; 16]);
            assert!(special[0].is_nan(), "{}: {name} {special:?}", isa.tier());
            assert_eq!(special[1..4], [f32::INFINITY, 3e38, 1e20], "{}: {name}", isa.tier());
            let lowest = evaluate(isa, op, &[f32::NEG_INFINITY; 16], &[0.0; 16])[0];
            // SiLU gives its limit there, GELU what PyTorch gives.
            let is_known = if name == "silu" {
                lowest.abs() < 1e-36
            } else {
                lowest.is_nan()
            };
            assert!(is_known, "{}: {name} of minus infinity is {lowest}", isa.tier());
        }
    }
}

#[test]
fn a_head_leaves_the_rest_of_memory_alone() {
    /// Copies the first `n` values of a vector; fewer where a vector has fewer. Returns how many.
    #[inline(always)]
    unsafe fn copy_head<S: Simd>(from: *const f32, n: usize, to: *mut f32) -> usize {
        let n = n.min(S::LANES);
        S::store_head(to, n, S::load_head(from, n));
        n
    }
    float_tiers! { fn run(from: *const f32, n: usize, to: *mut f32) -> usize = copy_head; }
    for isa in Isa::available() {
        for n in 0..=16 {
            let (from, mut to) = ([1.0_f32; 32], [7.0_f32; 32]);
            // SAFETY: both arrays hold at least the `n` values that are read and written.
            let copied = unsafe { run(isa, from.as_ptr(), n, to.as_mut_ptr()) };
            assert!(copied == n || copied == Lanes8::LANES, "{n} of a vector");
            let expected: Vec<f32> = (0..32).map(|i| if i < copied { 1.0 } else { 7.0 }).collect();
            assert_eq!(to[..], expected[..], "{}", isa.tier());
        }
    }
}

/// A way to multiply whole bytes alone.
#[derive(Clone, Copy)]
struct WholeBytes;

impl Dot for WholeBytes {
    type V = Lanes8;
    const GROUP: usize = <PortableDot as Dot>::GROUP;
    const WIDENED_ROWS: usize = 0;

    unsafe fn add_products<const R: usize>(
        sums: &mut [[[i32; 8]; 2]; R],
        rows: &[*const u8; R],
        bytes: Range<usize>,
        quants: *const u8,
    ) {
        PortableDot::add_products(sums, rows, bytes, quants);
    }
}

fn widened_quants_are_those_that_are_written_out_as_bytes<const HIGH: usize>() {
    let packed: [u8; 24 * 2 * 8] = std::array::from_fn(|at| (at * 37 + at / 7) as u8);
    let rows: [[u8; 32]; 2] = std::array::from_fn(|row| std::array::from_fn(|at| (at * 29 + row * 7) as u8));
    let rows = rows.each_ref().map(|row| row.as_ptr());
    for halves in [0..2, 0..1, 1..2] {
        let mut expected = [[[3; 8], [-5; 8]]; 2];
        let mut found = expected;
        // SAFETY: each row has a block of 32 activations, and there are bits for as many k of two vectors of columns.
        unsafe {
            WholeBytes::add_widened_products::<HIGH, 2>(&mut expected, &rows, halves.clone(), packed.as_ptr());
            PortableDot::add_widened_products::<HIGH, 2>(&mut found, &rows, halves, packed.as_ptr());
        }
        assert_eq!(found, expected, "{HIGH} high bits");
        assert!(found[0] != found[1] && found[0][0] != [3; 8], "something was added");
    }
}

#[test]
fn quants_widened_in_registers_are_those_that_are_written_out_as_bytes() {
    widened_quants_are_those_that_are_written_out_as_bytes::<0>();
    widened_quants_are_those_that_are_written_out_as_bytes::<1>();
    widened_quants_are_those_that_are_written_out_as_bytes::<2>();
}
