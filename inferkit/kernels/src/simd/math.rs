//! Elementary functions on vectors: one implementation each, for softmax (powers of two), gates and activations.

use super::Simd;

/// `e^x`, relative error below 2e-7; 0 for x below -87, about 1.6e38 for x above 88; NaN stays NaN.
///
/// Source: Cephes `expf`: x = n ln 2 + r, a polynomial of degree 5 in r, times 2^n.
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(x: S::F) -> S::F {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first with so few digits that its product with n is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const COEFFICIENTS: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    let low = S::splat(-87.0);
    let clamped = S::max(low, S::min(S::splat(88.0), x));
    let n = S::nearest(S::mul(clamped, S::splat(LOG2_E)));
    let r = S::fma(n, S::splat(-LN2_HIGH), clamped);
    let r = S::fma(n, S::splat(-LN2_LOW), r);
    let mut p = S::splat(COEFFICIENTS[0]);
    let mut i = 1;
    while i < COEFFICIENTS.len() {
        p = S::fma(p, r, S::splat(COEFFICIENTS[i]));
        i += 1;
    }
    let p = S::add(S::fma(p, S::mul(r, r), r), S::splat(1.0));
    S::select_lt(x, low, S::splat(0.0), S::scale_by_power(p, n))
}

/// `2^x` for x of at most 0, relative error below 2e-7; 1 for 0, 0 for x below -126; NaN stays NaN.
///
/// What a softmax needs: its factor takes log2 e in, so that `n` and what is left come from one subtraction that is exact.
/// The polynomial is the one of degree 5 with the least relative error within -0.5..=0.5 among those that have value
/// and slope of the power at 0.
#[inline(always)]
pub(crate) unsafe fn exp2<S: Simd>(x: S::F) -> S::F {
    const COEFFICIENTS: [f32; 6] = [
        1.330_060_5e-3,
        9.669_691e-3,
        5.550_558_5e-2,
        2.402_228_3e-1,
        std::f32::consts::LN_2,
        1.0,
    ];
    let n = S::nearest(x);
    let left = S::sub(x, n);
    let mut p = S::splat(COEFFICIENTS[0]);
    let mut i = 1;
    while i < COEFFICIENTS.len() {
        p = S::fma(p, left, S::splat(COEFFICIENTS[i]));
        i += 1;
    }
    S::select_lt(x, S::splat(-126.0), S::splat(0.0), S::scale_by_power(p, n))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) unsafe fn sigmoid<S: Simd>(x: S::F) -> S::F {
    let one = S::splat(1.0);
    S::div(one, S::add(one, exp::<S>(S::sub(S::splat(0.0), x))))
}

/// `x * sigmoid(x)`; below -88, where its magnitude is less than 1e-36, what it is there: minus infinity included.
#[inline(always)]
pub(crate) unsafe fn silu<S: Simd>(x: S::F) -> S::F {
    // `exp` stops growing there, so a greater numerator would not be divided by enough.
    S::div(
        S::max(S::splat(-88.0), x),
        S::add(S::splat(1.0), exp::<S>(S::sub(S::splat(0.0), x))),
    )
}

/// `tanh(x)`, absolute error below 2e-7.
#[inline(always)]
pub(crate) unsafe fn tanh<S: Simd>(x: S::F) -> S::F {
    let one = S::splat(1.0);
    let e = exp::<S>(S::add(x, x));
    S::sub(one, S::div(S::splat(2.0), S::add(e, one)))
}

/// GELU by the error function: `x / 2 * (1 + erf(x / sqrt 2))`, absolute error below 4e-7 times max(1, |x|).
///
/// Source: Abramowitz and Stegun 7.1.26 for erf.
#[inline(always)]
pub(crate) unsafe fn gelu<S: Simd>(x: S::F) -> S::F {
    const COEFFICIENTS: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6];
    let one = S::splat(1.0);
    let z = S::mul(S::abs(x), S::splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = S::div(one, S::fma(z, S::splat(0.327_591_1), one));
    let mut p = S::splat(COEFFICIENTS[0]);
    let mut i = 1;
    while i < COEFFICIENTS.len() {
        p = S::fma(p, t, S::splat(COEFFICIENTS[i]));
        i += 1;
    }
    // 1 - erf(|x| / sqrt 2)
    let tail = S::mul(S::mul(p, t), exp::<S>(S::mul(S::sub(S::splat(0.0), z), z)));
    let half = S::mul(S::splat(0.5), x);
    let negative = S::mul(half, tail);
    let positive = S::mul(half, S::sub(S::splat(2.0), tail));
    S::select_lt(x, S::splat(0.0), negative, positive)
}

/// GELU by its tanh form: `x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
#[inline(always)]
pub(crate) unsafe fn gelu_tanh<S: Simd>(x: S::F) -> S::F {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let cube = S::mul(S::mul(x, x), x);
    let inner = S::mul(S::splat(SQRT_2_OVER_PI), S::fma(S::splat(0.044_715), cube, x));
    // x / 2 (1 + tanh u) = x / (1 + e^(-2 u)), whose denominator stops growing where next to nothing is left.
    let value = S::div(x, S::add(S::splat(1.0), exp::<S>(S::mul(S::splat(-2.0), inner))));
    S::select_lt(x, S::splat(-12.0), S::mul(S::splat(0.0), x), value)
}
