//! What is done to the sums of a product before they are written.

use crate::simd::{Simd, float_tiers, gelu, gelu_tanh, silu};
use crate::{Isa, Rows};

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU by the error function.
    Gelu,
    /// GELU by its tanh form.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, x / 100)`: the slope that PyTorch takes where none is given.
    LeakyRelu,
}

/// What is added at the end.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub enum Residual<'a> {
    /// Nothing.
    #[default]
    None,
    /// What the output holds already.
    Output,
    /// These rows, `[m, n]`.
    Rows(Rows<'a>),
}

/// From the sums s of a product to what is written: `last(activation(s + bias) * scale + residual)`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Epilogue<'a> {
    /// `[n]`.
    pub bias: Option<&'a [f32]>,
    /// Applied to each element.
    pub activation: Activation,
    /// A factor for all elements.
    pub scale: f32,
    /// Added after that.
    pub residual: Residual<'a>,
    /// Applied after the residual was added, as in a residual network of convolutions.
    pub last: Activation,
}

impl Default for Epilogue<'_> {
    fn default() -> Self {
        Self {
            bias: None,
            activation: Activation::Identity,
            scale: 1.0,
            residual: Residual::None,
            last: Activation::Identity,
        }
    }
}

impl<'a> Epilogue<'a> {
    /// Adds `bias` (`[n]`) to each row.
    #[must_use]
    pub fn with_bias(self, bias: &'a [f32]) -> Self {
        Self {
            bias: Some(bias),
            ..self
        }
    }

    /// Applies `activation` to each element.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Multiplies each element by `scale`.
    #[must_use]
    pub fn with_scale(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// Adds `residual` after activation and scale.
    #[must_use]
    pub fn with_residual(self, residual: Residual<'a>) -> Self {
        Self { residual, ..self }
    }

    /// Applies `last` after the residual was added.
    #[must_use]
    pub fn with_last(self, last: Activation) -> Self {
        Self { last, ..self }
    }

    /// # Panics
    /// When bias or residual do not have the shape of an output `[m, n]`.
    pub(super) fn check(&self, m: usize, n: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), n, "a bias has one value for each output");
        }
        if let Residual::Rows(rows) = &self.residual {
            assert_eq!(
                [rows.rows(), rows.width()],
                [m, n],
                "shape of the residual of a product"
            );
        }
    }
}

/// A block of sums and where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    /// `[m][panel]`.
    pub(super) values: *const f32,
    /// `[m][panel]` to multiply with after the activation, or null.
    pub(super) up: *const f32,
    pub(super) panel: usize,
    pub(super) m: usize,
    /// Columns of the panel that exist in the output.
    pub(super) columns: usize,
    /// First element of the block in the output, and the distance of its rows.
    pub(super) out: *mut f32,
    pub(super) out_stride: usize,
    /// First bias of the panel, or null.
    pub(super) bias: *const f32,
    /// First residual of the block, or null, and the distance of its rows.
    pub(super) residual: *const f32,
    pub(super) residual_stride: usize,
    pub(super) scale: f32,
    pub(super) activation: Activation,
    pub(super) last: Activation,
}

float_tiers! {
    fn finish_block(block: &Sums) = finish;
}

/// Writes a block of sums.
///
/// # Safety
/// The pointers of `block` are valid for the shapes it names, and nobody else writes that part of the output.
pub(super) unsafe fn write(isa: Isa, block: &Sums) {
    finish_block(isa, block);
}

impl Sums {
    /// Whether sums are written as they are.
    fn is_plain(&self) -> bool {
        self.bias.is_null()
            && self.up.is_null()
            && self.residual.is_null()
            && self.scale == 1.0
            && self.activation == Activation::Identity
            && self.last == Activation::Identity
    }
}

#[inline(always)]
unsafe fn finish<S: Simd>(block: &Sums) {
    if block.is_plain() && block.columns.is_multiple_of(S::LANES) {
        for row in 0..block.m {
            let (values, out) = (
                block.values.add(row * block.panel),
                block.out.add(row * block.out_stride),
            );
            for at in (0..block.columns).step_by(S::LANES) {
                S::store(out.add(at), S::load(values.add(at)));
            }
        }
        return;
    }
    for row in 0..block.m {
        let mut at = 0;
        while at < block.columns {
            let lanes = S::LANES.min(block.columns - at);
            let mut value = S::load(block.values.add(row * block.panel + at));
            if !block.bias.is_null() {
                value = S::add(value, S::load_head(block.bias.add(at), lanes));
            }
            value = activate::<S>(block.activation, value);
            if !block.up.is_null() {
                value = S::mul(value, S::load(block.up.add(row * block.panel + at)));
            }
            if block.scale != 1.0 {
                value = S::mul(value, S::splat(block.scale));
            }
            if !block.residual.is_null() {
                value = S::add(
                    value,
                    S::load_head(block.residual.add(row * block.residual_stride + at), lanes),
                );
            }
            value = activate::<S>(block.last, value);
            let out = block.out.add(row * block.out_stride + at);
            if lanes == S::LANES {
                S::store(out, value);
            } else {
                S::store_head(out, lanes, value);
            }
            at += lanes;
        }
    }
}

#[inline(always)]
pub(crate) unsafe fn activate<S: Simd>(activation: Activation, x: S::F) -> S::F {
    match activation {
        Activation::Identity => x,
        Activation::Silu => silu::<S>(x),
        Activation::Gelu => gelu::<S>(x),
        Activation::GeluTanh => gelu_tanh::<S>(x),
        Activation::Relu => S::max(S::splat(0.0), x),
        Activation::LeakyRelu => S::max(S::mul(S::splat(0.01), x), x),
    }
}
