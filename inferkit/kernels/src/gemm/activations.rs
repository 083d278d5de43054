//! Activations in the forms that the weights of a list need.
//!
//! A quantized row is a sequence of blocks, one for every 32 values:
//!
//! ```text
//! 32 quants, one byte or (tiers that multiply pairs) two each · f32 scale · f32 scale * sum of quants ·
//! i32 start · i32 start of the first 16 · i32 start of the last 16
//! ```
//!
//! A *start* is what an integer sum begins with, so that weights stored plus 128 need no correction: -128 times the sum of
//! the quants, or zero where weights are stored as they are.

use super::Input;
use super::float::rounded_kernel;
use super::quantize::{QuantKernel, quantize_rows_to_bytes, quantize_rows_to_plain_bytes, quantize_rows_to_words};
use super::tiles::Kernel;
use crate::aligned::SharedMut;
use crate::ops::RmsNorm;
use crate::scratch::Scratch;
use crate::simd::{Simd, float_tiers};
use crate::weights::Kind;
use crate::{Isa, PackedWeight, Pool, Precision, Rows, RowsMut};

/// Bytes after the quants of a block.
const RECORD: usize = 20;

/// Where scale, scaled sum and the three starts stand in a record.
pub(super) const SCALED_SUM_AT: usize = 4;
pub(super) const START_AT: usize = 8;

/// Bytes of a block of 32 with `group` values a lane.
pub(super) const fn block_bytes(group: usize) -> usize {
    record_at(group) + RECORD
}

/// Where in a block the record begins.
pub(super) const fn record_at(group: usize) -> usize {
    32 * 4 / group
}

/// Activations of a list of products, in every form that its weights need.
pub(super) struct Prepared<'a> {
    pub(super) isa: Isa,
    /// As they are.
    pub(super) plain: Form,
    /// Rounded to bfloat16, if that was asked for: an even number of bfloat16 a row where the processor multiplies those,
    /// widened to f32 again elsewhere.
    pub(super) rounded: Option<Form>,
    /// Quantized blocks.
    pub(super) int8: Option<Form>,
    /// How rows are put together, if they are not simply consecutive values.
    pub(super) runs: Option<Runs>,
    /// What multiplies them with bfloat16 weights.
    pub(super) rounded_kernel: Kernel,
    /// What the forms above point to: rounded, quantized, normalised.
    memory: [Option<Scratch>; 3],
    borrowed: std::marker::PhantomData<&'a [f32]>,
}

/// Where rows begin, and how many bytes apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) start: *const u8,
    pub(super) stride: usize,
}

/// Rows of several runs of consecutive values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    /// Values of a run.
    pub(super) len: usize,
    /// Bytes from the end of a run to the beginning of the next, negative where they overlap.
    pub(super) gap: isize,
}

// SAFETY: a form is only read, and what it points to is borrowed or owned by the `Prepared` that holds it.
unsafe impl Sync for Form {}

impl<'a> Prepared<'a> {
    /// Prepares an input for `weights`; `None` when there is nothing to compute.
    pub(super) fn new(
        pool: &Pool,
        input: impl Into<Input<'a>>,
        precision: Precision,
        weights: &[&PackedWeight],
    ) -> Option<Self> {
        let Input { rows: a, mut norm } = input.into();
        let isa = weights.first()?.isa();
        for weight in weights {
            assert_eq!(
                weight.isa(),
                isa,
                "the weights of a list are packed for one set of instructions"
            );
            assert_eq!(weight.k(), a.width(), "k of the weight is the width of the activations");
        }
        if a.rows() == 0 {
            return None;
        }
        // Quants are made of normalised values that are in registers; only weights of plain numbers need those in memory.
        let norm_apart = norm.take_if(|_| weights.iter().any(|weight| !weight.layout().is_quantized()));
        let normalised = norm_apart.map(|norm| {
            let mut memory = Scratch::floats(a.rows() * a.width());
            let out = &mut memory.as_f32_mut()[..a.rows() * a.width()];
            norm.apply(pool, isa, a, RowsMut::new(out, a.width()));
            memory
        });
        let a = normalised.as_ref().map_or(a, |memory| {
            Rows::new(&memory.as_f32()[..a.rows() * a.width()], a.width())
        });
        let is_bf16 = |weight: &&PackedWeight| weight.layout().kind == Kind::Bf16;
        let rounded = precision == Precision::Bf16 && weights.iter().any(is_bf16);
        let mut prepared = Self {
            isa,
            plain: Form {
                start: a.as_ptr().cast(),
                stride: 4 * a.stride(),
            },
            rounded: None,
            int8: None,
            runs: None,
            rounded_kernel: rounded_kernel(isa),
            memory: [None, None, None],
            borrowed: std::marker::PhantomData,
        };
        if rounded {
            prepared.rounded = Some(if isa.tier().multiplies_bf16() {
                let stride = a.width().next_multiple_of(2) * 2;
                prepared.keep(0, pool, a, stride, Conversion::Round(round_rows))
            } else {
                prepared.keep(0, pool, a, 4 * a.width(), Conversion::Round(round_and_widen_rows))
            });
        }
        if let Some(weight) = weights.iter().find(|weight| weight.layout().is_quantized()) {
            let group = weight.layout().activations();
            let kernel: QuantKernel = match (group, weight.layout().bias) {
                (4, 0) => quantize_rows_to_plain_bytes,
                (4, _) => quantize_rows_to_bytes,
                _ => quantize_rows_to_words,
            };
            let conversion = Conversion::Quantize(kernel, norm.as_ref());
            prepared.int8 = Some(prepared.keep(1, pool, a, a.width() / 32 * block_bytes(group), conversion));
        }
        prepared.memory[2] = normalised;
        Some(prepared)
    }

    /// Rows of runs in memory that the caller keeps: plain, or rounded to bfloat16 in the form that `isa` takes.
    pub(super) fn windows(isa: Isa, form: Form, is_rounded: bool, runs: Runs) -> Self {
        Self {
            isa,
            plain: form,
            rounded: is_rounded.then_some(form),
            int8: None,
            runs: Some(runs),
            rounded_kernel: rounded_kernel(isa),
            memory: [None, None, None],
            borrowed: std::marker::PhantomData,
        }
    }

    /// Fills a buffer with one form of every row and keeps it.
    fn keep(&mut self, slot: usize, pool: &Pool, a: Rows<'_>, stride: usize, conversion: Conversion<'_>) -> Form {
        /// Values that are worth a unit of their own.
        const UNIT: usize = 8_192;
        let mut memory = Scratch::bytes(a.rows() * stride);
        let target = SharedMut::new(memory.as_bytes_mut());
        let per_unit = (UNIT / a.width()).clamp(1, a.rows());
        let isa = self.isa;
        pool.run(a.rows().div_ceil(per_unit), |unit| {
            for row in unit * per_unit..((unit + 1) * per_unit).min(a.rows()) {
                let values = a.row(row);
                // SAFETY: the buffer has `stride` bytes for each row, as many as the kernel writes for `values.len()`
                // values, and the row belongs to this unit alone. A norm has as many weights. `isa` is available.
                unsafe {
                    let target = target.get().add(row * stride);
                    match conversion {
                        Conversion::Round(kernel) => kernel(isa, values.as_ptr(), values.len(), target),
                        Conversion::Quantize(kernel, norm) => kernel(isa, values, norm, target),
                    }
                }
            }
        });
        let form = Form {
            start: memory.as_ptr(),
            stride,
        };
        self.memory[slot] = Some(memory);
        form
    }
}

/// How one row becomes what products read.
#[derive(Clone, Copy)]
enum Conversion<'a> {
    Round(RowKernel),
    /// With the norm that comes first.
    Quantize(QuantKernel, Option<&'a RmsNorm<'a>>),
}

/// Rounds one row: values, their number, target.
type RowKernel = unsafe fn(Isa, *const f32, usize, *mut u8);

float_tiers! {
    /// bfloat16, zero-padded to an even number.
    pub(super) fn round_rows(row: *const f32, k: usize, target: *mut u8) = round_bf16;
}
float_tiers! {
    /// Rounded to bfloat16, as f32.
    pub(super) fn round_and_widen_rows(row: *const f32, k: usize, target: *mut u8) = round_and_widen;
}

#[inline(always)]
unsafe fn round_bf16<S: Simd>(row: *const f32, k: usize, target: *mut u8) {
    let target = target.cast::<u16>();
    let mut at = 0;
    while at + S::LANES <= k {
        S::store_bf16(target.add(at), S::load(row.add(at)));
        at += S::LANES;
    }
    let mut last = [0_u16; 16];
    S::store_bf16(last.as_mut_ptr(), S::load_head(row.add(at), k - at));
    for (i, value) in last.into_iter().enumerate().take(k.next_multiple_of(2) - at) {
        target.add(at + i).write_unaligned(value);
    }
}

#[inline(always)]
unsafe fn round_and_widen<S: Simd>(row: *const f32, k: usize, target: *mut u8) {
    let target = target.cast::<f32>();
    let mut rounded = [0_u16; 16];
    let mut at = 0;
    while at < k {
        let lanes = S::LANES.min(k - at);
        S::store_bf16(rounded.as_mut_ptr(), S::load_head(row.add(at), lanes));
        S::store_head(target.add(at), lanes, S::load_bf16(rounded.as_ptr()));
        at += lanes;
    }
}
