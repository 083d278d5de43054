//! Matrix products: `C[m, n] = A[m, k] · W[n, k]ᵀ` with whatever is done to C afterwards.
//!
//! ```text
//! A rows ─norm?─prepare─▶ as they are · bf16 · 8 bits in groups of 32  once for all weights of a list
//! unit = (panel of W, block of rows): tiles of 1 to 6 rows, or up to 32 on tile registers, over a slice of k
//!      ─▶ sums ─epilogue─▶ C
//! ```
//!
//! One packed form of A serves a list of weights (query, key and value; gate and up), and one region of the pool covers all
//! of it. Quantized weights meet activations of 8 bits with one scale for every 32 values, which costs three times less
//! error on outlier channels than 256. 4- to 6-bit weights are widened to 8 bits a slice at a time, in the first-level
//! cache; 4-bit weights that meet few rows, in registers.
//!
//! **Invariant:** each element of C is one chain of operations over ascending k, never divided among threads. The row of a
//! batch is the single row, bit for bit, for any m, any threads and any neighbours.

mod activations;
mod decode;
mod epilogue;
mod float;
mod grouped;
mod int8;
mod jobs;
mod quantize;
#[cfg(any(test, target_arch = "x86_64"))]
mod tile_unit;
mod tiles;
mod widened;
mod windows;

pub(crate) use epilogue::activate;
pub use epilogue::{Activation, Epilogue, Residual};
pub use grouped::{GatedExperts, Renormalize, Routes, gemm_grouped, gemm_grouped_gated};
pub(crate) use windows::{Source, Windows, gemm_windows, pad_map};

use crate::ops::RmsNorm;
use crate::{PackedWeight, Pool, Rows, RowsMut};
use activations::Prepared;
use jobs::{Job, RowSet};
pub(crate) use quantize::SMALLEST;

/// In which precision activations meet weights of plain numbers. Quantized weights always meet 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bfloat16 where the weight is bfloat16, which is what a model that was trained in bfloat16 expects: up to twice as
    /// fast where the processor has VDPBF16PS, more with TDPBF16PS; BFMMLA has not been timed. Elsewhere it is computed in f32
    /// from the rounded values.
    Bf16,
}

/// What a list of weights is multiplied with: rows, or what a norm makes of them.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    rows: Rows<'a>,
    norm: Option<RmsNorm<'a>>,
}

impl<'a> From<Rows<'a>> for Input<'a> {
    fn from(rows: Rows<'a>) -> Self {
        Self { rows, norm: None }
    }
}

impl<'a> Input<'a> {
    /// What `norm` makes of `rows`: the product is, bit for bit, that of rows that were normalised before. Quantized weights
    /// spare the normalised rows the way to memory and back.
    ///
    /// # Panics
    /// When the norm has another width than the rows.
    pub fn normalised(rows: Rows<'a>, norm: RmsNorm<'a>) -> Self {
        assert_eq!(
            norm.weight.len(),
            rows.width(),
            "a norm has one weight for each value of a row"
        );
        Self { rows, norm: Some(norm) }
    }
}

/// One weight of a list, and where its product goes.
#[derive(Debug)]
pub struct Product<'a> {
    /// `[n, k]`.
    pub weight: &'a PackedWeight,
    /// `[m, n]`.
    pub out: RowsMut<'a>,
    /// What is done to the sums before they are written.
    pub epilogue: Epilogue<'a>,
}

impl<'a> Product<'a> {
    /// The bare product.
    pub fn new(weight: &'a PackedWeight, out: RowsMut<'a>) -> Self {
        Self {
            weight,
            out,
            epilogue: Epilogue::default(),
        }
    }

    /// With an epilogue.
    #[must_use]
    pub fn with_epilogue(self, epilogue: Epilogue<'a>) -> Self {
        Self { epilogue, ..self }
    }
}

/// Multiplies the rows of `a` (`[m, k]`) with every weight of the list, in one region of the pool.
///
/// # Panics
/// When a weight's k is not the width of `a`, an output or residual is not `[m, n]`, a bias does not hold n values, or the
/// weights are packed for different [`Isa`](crate::Isa)s.
pub fn gemm<'a>(pool: &Pool, a: impl Into<Input<'a>>, precision: Precision, products: &mut [Product<'_>]) {
    let a = a.into();
    let m = a.rows.rows();
    let weights: Vec<&PackedWeight> = products.iter().map(|product| product.weight).collect();
    let Some(prepared) = Prepared::new(pool, a, precision, &weights) else {
        return;
    };
    let jobs: Vec<Job<'_>> = products
        .iter_mut()
        .map(|product| {
            let n = product.weight.n();
            assert_eq!(
                [product.out.rows(), product.out.width()],
                [m, n],
                "shape of the output of a product"
            );
            product.epilogue.check(m, n);
            Job {
                weight: product.weight,
                up: None,
                rows: RowSet::all(m),
                out: product.out.shared(),
                out_stride: product.out.stride(),
                epilogue: product.epilogue,
            }
        })
        .collect();
    jobs::run(pool, &prepared, &jobs);
}

/// The first half of a gated feed-forward layer: `activation(a · gateᵀ) * (a · upᵀ)`, written once.
///
/// * `a`: `[m, k]`; both weights `[n, k]`; `out`: `[m, n]`
///
/// # Panics
/// As [`gemm`], and when the two weights differ in n.
pub fn gemm_gated<'a>(
    pool: &Pool,
    a: impl Into<Input<'a>>,
    precision: Precision,
    [gate, up]: [&PackedWeight; 2],
    activation: Activation,
    mut out: RowsMut<'_>,
) {
    let a = a.into();
    let m = a.rows.rows();
    let Some(prepared) = Prepared::new(pool, a, precision, &[gate, up]) else {
        return;
    };
    assert_eq!(gate.n(), up.n(), "gate and up have the same number of rows");
    assert_eq!(
        [out.rows(), out.width()],
        [m, gate.n()],
        "shape of the output of a gated product"
    );
    let job = Job {
        weight: gate,
        up: Some(up),
        rows: RowSet::all(m),
        out_stride: out.stride(),
        out: out.shared(),
        epilogue: Epilogue::default().with_activation(activation),
    };
    jobs::run(pool, &prepared, &[job]);
}

/// The bare sums of some rows and one panel of an f32 weight, for kernels that have an epilogue of their own.
///
/// * `rows`: `m` rows of `weight.k()` values, one after another
/// * `sums`: `[m][columns of a panel]`
///
/// # Safety
/// Both pointers are valid for these shapes, and nobody else writes the sums meanwhile.
///
/// # Panics
/// When the weight is of another kind, or there is no such panel.
pub(crate) unsafe fn panel_sums(weight: &PackedWeight, panel: usize, rows: *const f32, m: usize, sums: *mut f32) {
    assert_eq!(weight.layout().kind, crate::weights::Kind::F32, "sums of plain numbers");
    let block = tiles::Block {
        rows: tiles::RowPointers {
            start: rows.cast(),
            stride: 4 * weight.k(),
            index: std::ptr::null(),
        },
        first: 0,
        m,
        k_start: 0,
        k_len: weight.k(),
        weights: weight.panel(panel).as_ptr(),
        is_packed: true,
        panel: weight.layout().panel,
        sums,
        next: (std::ptr::null(), 0),
    };
    float::f32_block(weight.isa(), &block);
}

#[cfg(test)]
mod tests;
