//! Root-mean-square and layer normalisation.

use super::for_rows;
use crate::simd::{Simd, float_tiers};
use crate::{Isa, Pool, Rows, RowsMut};

/// `x / sqrt(mean(x^2) + epsilon) * weight` for each row.
#[derive(Debug, Clone, Copy)]
pub struct RmsNorm<'a> {
    /// `[d]`.
    pub weight: &'a [f32],
    /// Added to the mean of squares.
    pub epsilon: f32,
}

impl RmsNorm<'_> {
    /// Normalises `x` (`[t, d]`) into `out` (`[t, d]`).
    ///
    /// # Panics
    /// When shapes differ.
    pub fn apply(&self, pool: &Pool, isa: Isa, x: Rows<'_>, mut out: RowsMut<'_>) {
        assert_eq!(
            [x.rows(), x.width()],
            [out.rows(), out.width()],
            "input and output have one shape"
        );
        let (target, stride) = (self.check(&mut out), out.stride());
        for_rows(pool, x.rows(), x.width(), |row| {
            // SAFETY: input, weight and output rows have the same width; each row is written by one unit; the ISA exists.
            unsafe { self.row(isa, x.row(row).as_ptr(), target.get().add(row * stride)) };
        });
    }

    /// Normalises each row of `x` (`[t, d]`) where it stands: heads of queries and keys, with `d` the width of a head.
    ///
    /// # Panics
    /// When the weight has another width.
    pub fn apply_in_place(&self, pool: &Pool, isa: Isa, mut x: RowsMut<'_>) {
        let (target, stride) = (self.check(&mut x), x.stride());
        for_rows(pool, x.rows(), x.width(), |row| {
            // SAFETY: as above; the kernel reads a vector before it writes it.
            unsafe { self.row(isa, target.get().add(row * stride), target.get().add(row * stride)) };
        });
    }

    /// Adds `delta` to the residual stream `x` and normalises the sum into `out`; all `[t, d]`.
    ///
    /// # Panics
    /// When shapes differ.
    pub fn add_and_apply(&self, pool: &Pool, isa: Isa, mut x: RowsMut<'_>, delta: Rows<'_>, mut out: RowsMut<'_>) {
        let shape = [x.rows(), x.width()];
        assert_eq!(
            [delta.rows(), delta.width()],
            shape,
            "stream and what is added have one shape"
        );
        assert_eq!([out.rows(), out.width()], shape, "stream and output have one shape");
        let (target, stride) = (self.check(&mut out), out.stride());
        let (stream, stream_stride) = (x.shared(), x.stride());
        for_rows(pool, shape[0], shape[1], |row| {
            // SAFETY: as above; the three rows have the same width.
            unsafe {
                let stream = stream.get().add(row * stream_stride);
                super::elementwise::add_row(isa, stream, delta.row(row).as_ptr(), shape[1]);
                self.row(isa, stream, target.get().add(row * stride));
            }
        });
    }

    fn check(&self, out: &mut RowsMut<'_>) -> crate::aligned::SharedMut<f32> {
        assert_eq!(
            self.weight.len(),
            out.width(),
            "a norm has one weight for each value of a row"
        );
        out.shared()
    }

    unsafe fn row(&self, isa: Isa, x: *const f32, out: *mut f32) {
        rms_row(isa, x, out, self.weight, self.epsilon);
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` for each row.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// `[d]`.
    pub weight: &'a [f32],
    /// `[d]`; zero when `None`.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm<'_> {
    /// Normalises `x` (`[t, d]`) into `out` (`[t, d]`).
    ///
    /// # Panics
    /// When shapes differ.
    pub fn apply(&self, pool: &Pool, isa: Isa, x: Rows<'_>, mut out: RowsMut<'_>) {
        let width = x.width();
        assert_eq!(
            [x.rows(), width],
            [out.rows(), out.width()],
            "input and output have one shape"
        );
        assert_eq!(
            self.weight.len(),
            width,
            "a norm has one weight for each value of a row"
        );
        assert!(
            self.bias.is_none_or(|bias| bias.len() == width),
            "a norm has one bias for each value of a row"
        );
        let (target, stride) = (out.shared(), out.stride());
        for_rows(pool, x.rows(), width, |row| {
            // SAFETY: input, weight, bias and output rows have the same width; each row is written by one unit.
            unsafe { layer_row(isa, x.row(row), target.get().add(row * stride), self) };
        });
    }
}

float_tiers! {
    fn rms_row(x: *const f32, out: *mut f32, weight: &[f32], epsilon: f32) = rms;
}
float_tiers! {
    fn layer_row(x: &[f32], out: *mut f32, norm: &LayerNorm<'_>) = layer;
}

/// Sum of `f(x)`: f32 within 256 values, f64 above.
macro_rules! sum {
    ($S:ident, $x:expr, $width:expr, |$v:ident, $lanes:ident| $f:expr) => {{
        let (x, width) = ($x, $width);
        let mut total = 0.0_f64;
        let mut start = 0;
        while start < width {
            let end = (start + 256).min(width);
            let mut sum = $S::splat(0.0);
            while start < end {
                let $lanes = $S::LANES.min(end - start);
                let $v = $S::load_head(x.add(start), $lanes);
                sum = $S::add(sum, $f);
                start += $lanes;
            }
            total += f64::from($S::reduce_add(sum));
        }
        total
    }};
}

#[inline(always)]
unsafe fn rms<S: Simd>(x: *const f32, out: *mut f32, weight: &[f32], epsilon: f32) {
    let width = weight.len();
    let factor = S::splat(factor_of::<S>(x, width, epsilon));
    for start in (0..width).step_by(S::LANES) {
        let lanes = S::LANES.min(width - start);
        let value = S::mul(S::load_head(x.add(start), lanes), factor);
        S::store_head(
            out.add(start),
            lanes,
            S::mul(value, S::load_head(weight.as_ptr().add(start), lanes)),
        );
    }
}

/// What a root-mean-square norm multiplies a row with, before its weights.
#[inline(always)]
pub(crate) unsafe fn factor_of<S: Simd>(x: *const f32, width: usize, epsilon: f32) -> f32 {
    let squares = sum!(S, x, width, |v, _lanes| S::mul(v, v));
    (1.0 / (squares / width as f64 + f64::from(epsilon)).sqrt()) as f32
}

#[inline(always)]
unsafe fn layer<S: Simd>(x: &[f32], out: *mut f32, norm: &LayerNorm<'_>) {
    let (width, x) = (x.len(), x.as_ptr());
    let mean = S::splat((sum!(S, x, width, |v, _lanes| v) / width as f64) as f32);
    let squares = sum!(S, x, width, |v, lanes| {
        // Lanes beyond the row are zero, not zero minus the mean.
        let centred = S::sub(v, mean);
        let mut kept = [0.0_f32; 16];
        S::store_head(kept.as_mut_ptr(), lanes, centred);
        let centred = if lanes == S::LANES {
            centred
        } else {
            S::load(kept.as_ptr())
        };
        S::mul(centred, centred)
    });
    let factor = S::splat((1.0 / (squares / width as f64 + f64::from(norm.epsilon)).sqrt()) as f32);
    for start in (0..width).step_by(S::LANES) {
        let lanes = S::LANES.min(width - start);
        let value = S::mul(S::sub(S::load_head(x.add(start), lanes), mean), factor);
        let mut value = S::mul(value, S::load_head(norm.weight.as_ptr().add(start), lanes));
        if let Some(bias) = norm.bias {
            value = S::add(value, S::load_head(bias.as_ptr().add(start), lanes));
        }
        S::store_head(out.add(start), lanes, value);
    }
}
