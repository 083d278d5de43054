//! Work units of one or many products, and how one unit is computed.

use std::mem::MaybeUninit;

use super::activations::{Form, Prepared};
use super::decode::{DECODED, Slice, decode};
use super::epilogue::{Epilogue, Residual, Sums, write};
use super::tiles::{Block, Kernel, RowPointers};
use super::{float, int8, widened};
use crate::aligned::SharedMut;
use crate::scratch::Scratch;
use crate::weights::Kind;
use crate::{PackedWeight, Pool};

/// Which rows of the activations a job takes, and where they go in its output.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSet<'a> {
    /// Row of the activations for each position; `None` for all in order.
    pub(super) index: Option<&'a [u32]>,
    /// Positions and, at the same time, rows of the output.
    pub(super) start: usize,
    pub(super) len: usize,
}

impl RowSet<'_> {
    pub(super) fn all(m: usize) -> Self {
        Self {
            index: None,
            start: 0,
            len: m,
        }
    }
}

/// One product, or two that are multiplied with each other.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) weight: &'a PackedWeight,
    /// Multiplied with the activated product of `weight`.
    pub(super) up: Option<&'a PackedWeight>,
    pub(super) rows: RowSet<'a>,
    pub(super) out: SharedMut<f32>,
    pub(super) out_stride: usize,
    pub(super) epilogue: Epilogue<'a>,
}

/// A job with the size of its row blocks and the number of its first unit.
struct Planned<'a> {
    job: &'a Job<'a>,
    row_block: usize,
    first_unit: usize,
}

/// Computes all jobs in one region. Outputs of different jobs, or of different rows of one, must not overlap.
///
/// # Panics
/// When `prepared` was not made for the weights of `jobs`.
pub(super) fn run(pool: &Pool, prepared: &Prepared<'_>, jobs: &[Job<'_>]) {
    let mut weights = jobs.iter().flat_map(|job| std::iter::once(job.weight).chain(job.up));
    assert!(
        prepared.int8.is_some() || weights.all(|weight| !weight.layout().is_quantized()),
        "activations in the form that quantized weights are multiplied with"
    );
    let panels: usize = jobs.iter().map(|job| job.weight.panels()).sum();
    let mut units = 0;
    let plan: Vec<Planned<'_>> = jobs
        .iter()
        .map(|job| {
            let row_block = row_block(job, panels, pool.threads());
            let first_unit = units;
            units += job.weight.panels() * job.rows.len.div_ceil(row_block);
            Planned {
                job,
                row_block,
                first_unit,
            }
        })
        .collect();
    pool.run(units, |unit| {
        let planned = &plan[plan.partition_point(|planned| planned.first_unit <= unit) - 1];
        let (block, panel) = {
            let unit = unit - planned.first_unit;
            (unit / planned.job.weight.panels(), unit % planned.job.weight.panels())
        };
        let first = block * planned.row_block;
        let m = planned.row_block.min(planned.job.rows.len - first);
        compute(prepared, planned.job, panel, planned.job.rows.start + first, m);
    });
}

/// Rows of a block: what stays in the second-level cache while panels stream by, fewer where threads would be idle.
fn row_block(job: &Job<'_>, panels: usize, threads: usize) -> usize {
    /// Bytes of activations that a block may take, and the limits of a block.
    const BYTES: usize = 400_000;
    const ROWS: std::ops::RangeInclusive<usize> = 24..=192;
    let bytes_per_row = if job.weight.layout().is_quantized() {
        job.weight.k() * 13 / 8
    } else {
        4 * job.weight.k().min(512)
    };
    let cached = (BYTES / bytes_per_row).clamp(*ROWS.start(), *ROWS.end());
    let wanted = if threads > 1 { (4 * threads).div_ceil(panels) } else { 1 };
    job.rows.len.div_ceil(wanted).clamp(*ROWS.start(), cached)
}

/// Computes one panel for `m` rows from position `first` on.
fn compute(prepared: &Prepared<'_>, job: &Job<'_>, panel: usize, first: usize, m: usize) {
    let width = job.weight.layout().panel;
    let (mut small, mut large) = ([const { Small(MaybeUninit::uninit()) }; 2], [None, None]);
    let ([small, small_up], [large, large_up]) = (&mut small, &mut large);
    let sums = memory(small, large, m * width);
    multiply(prepared, job.weight, panel, &job.rows, (first, m), sums);
    let up = job.up.map_or(std::ptr::null(), |weight| {
        // Both weights of a pair are packed for one tier, but a panel of quants is narrower than one of numbers.
        assert_eq!(
            weight.layout().panel,
            width,
            "gate and up are both quantized or both not"
        );
        let sums = memory(small_up, large_up, m * width);
        multiply(prepared, weight, panel, &job.rows, (first, m), sums);
        sums.cast_const()
    });
    let column = panel * width;
    let residual = match &job.epilogue.residual {
        Residual::None => (std::ptr::null(), 0),
        Residual::Output => (job.out.get().cast_const(), job.out_stride),
        Residual::Rows(rows) => (rows.as_ptr(), rows.stride()),
    };
    // SAFETY: shapes were checked by the caller of `run`: the output has row `first + m - 1` and `n` columns, a bias has `n`
    // values, a residual the shape of the output. Other units write other rows or columns. The ISA is that of the weight.
    unsafe {
        let residual_start = if residual.0.is_null() {
            residual.0
        } else {
            residual.0.add(first * residual.1 + column)
        };
        let block = Sums {
            values: sums,
            up,
            panel: width,
            m,
            columns: width.min(job.weight.n() - column),
            out: job.out.get().add(first * job.out_stride + column),
            out_stride: job.out_stride,
            bias: job
                .epilogue
                .bias
                .map_or(std::ptr::null(), |bias| bias[column..].as_ptr()),
            residual: residual_start,
            residual_stride: residual.1,
            scale: job.epilogue.scale,
            activation: job.epilogue.activation,
            last: job.epilogue.last,
        };
        write(prepared.isa, &block);
    }
}

/// Sums of few rows stand on the stack: a panel of them takes less than a microsecond, and asking for working memory a tenth
/// of one.
#[repr(align(64))]
struct Small(MaybeUninit<[f32; SMALL]>);

const SMALL: usize = 1_024;

/// Room for `len` sums.
fn memory(small: &mut Small, large: &mut Option<Scratch>, len: usize) -> *mut f32 {
    if len <= SMALL {
        small.0.as_mut_ptr().cast()
    } else {
        large.insert(Scratch::floats(len)).as_f32_mut().as_mut_ptr()
    }
}

/// Fills `sums` (`[m][panel]`, which must have that room) with the products of `m` rows and one panel, a slice of k at a time.
fn multiply(
    prepared: &Prepared<'_>,
    weight: &PackedWeight,
    panel: usize,
    rows: &RowSet<'_>,
    (first, m): (usize, usize),
    sums: *mut f32,
) {
    let layout = weight.layout();
    // SAFETY: the weight was packed for this ISA, which is therefore available.
    let few = unsafe { widened::most_rows(prepared.isa, layout.kind) };
    let is_decoded = is_narrow(layout.kind) && m > few;
    let Method { form, kernel, slice } = method(prepared, layout.kind, is_decoded);
    let mut decoded = is_decoded.then(|| Scratch::bytes(slice / 32 * DECODED * layout.panel));
    let (values, bytes) = layout.block();
    let source = weight.panel(panel);
    let several = if layout.kind == Kind::F32 {
        SEVERAL_PLAIN
    } else {
        SEVERAL
    };
    let is_read_once = m == rows.len;
    let looks_ahead = m >= several && (is_read_once || weight.bytes() > CACHED);
    // A slice lies within one run; the rows of the next run begin a gap further on.
    let (run, gap) = prepared.runs.map_or((weight.k(), 0), |runs| (runs.len, runs.gap));
    let mut k_start = 0;
    while k_start < weight.k() {
        let k_len = slice.min(run - k_start % run);
        let source = &source[k_start / values * bytes..(k_start + k_len).div_ceil(values) * bytes];
        let mut weights = source.as_ptr();
        if let Some(decoded) = &mut decoded {
            let target = decoded.as_bytes_mut().as_mut_ptr();
            let slice = Slice {
                kind: layout.kind,
                bias: layout.bias,
                source: weights,
                blocks: k_len / values,
                panel: layout.panel,
                target,
                looks_ahead: m < SEVERAL,
            };
            // SAFETY: `source` holds that many blocks of the panel, and the target has room for a whole slice. The
            // weight was packed for this ISA, which is therefore available.
            unsafe { decode(prepared.isa, &slice) };
            weights = target;
        }
        let index = rows.index.map_or(std::ptr::null(), <[u32]>::as_ptr);
        let rows = RowPointers {
            start: form.start.wrapping_offset((k_start / run) as isize * gap),
            stride: form.stride,
            index,
        };
        let block = Block {
            rows,
            first,
            m,
            k_start,
            k_len,
            weights,
            is_packed: !is_decoded,
            panel: layout.panel,
            sums,
            next: (source.as_ptr_range().end, if looks_ahead { source.len() } else { 0 }),
        };
        // SAFETY: the form has every row that the set names and k values in each; the panel or its decoded slice holds k_len
        // values for each of its rows; `sums` holds m rows of a panel.
        unsafe { kernel(prepared.isa, &block) };
        k_start += k_len;
    }
}

/// Rows from which on a slice is multiplied for so long that the next one can be asked for meanwhile. A single row reads its
/// weights as one stream, which the processor follows by itself.
const SEVERAL: usize = 2;

/// The same where a weight takes four bytes: eight rows still wait for memory most of the time, and asking for the next slice is in
/// the way of what the first tile asks for.
const SEVERAL_PLAIN: usize = 9;

/// Bytes of a weight that stays in the second-level cache from one block of rows to the next, if there is a next.
const CACHED: usize = 256 << 10;

/// Whether quants of such a weight have fewer than 8 bits.
fn is_narrow(kind: Kind) -> bool {
    matches!(kind, Kind::Q4 | Kind::Q4Min | Kind::Q4K | Kind::Q5K | Kind::Q6K)
}

/// How a weight is multiplied: with which form of the activations, by which kernel, how many k at a time.
struct Method {
    form: Form,
    kernel: Kernel,
    slice: usize,
}

fn method(prepared: &Prepared<'_>, kind: Kind, is_decoded: bool) -> Method {
    let plain = prepared.plain;
    // There wherever a weight is quantized, which `run` has made sure of.
    let quantized = prepared.int8.unwrap_or(plain);
    let (form, kernel, slice): (Form, Kernel, usize) = match (kind, prepared.rounded) {
        (Kind::Bf16, Some(rounded)) => (rounded, prepared.rounded_kernel, 1024),
        (Kind::F32, _) => (plain, float::f32_block, 512),
        (Kind::F16, _) => (plain, float::f16_block, 512),
        (Kind::Bf16, None) => (plain, float::bf16_block, 512),
        (Kind::Q8, _) => (quantized, int8::half_block, 1024),
        (Kind::Q8Min, _) => (quantized, int8::half_min_block, 1024),
        (Kind::Q4, _) if is_decoded => (quantized, int8::half_block, 512),
        (Kind::Q4, _) => (quantized, widened::short_block, 1024),
        (Kind::Q4Min, _) if is_decoded => (quantized, int8::half_min_block, 512),
        (Kind::Q4Min, _) => (quantized, widened::short_min_block, 1024),
        (Kind::Q4K, _) if !is_decoded => (quantized, widened::q4_k_block, 1024),
        (Kind::Q5K, _) if !is_decoded => (quantized, widened::q5_k_block, 1024),
        (Kind::Q6K, _) if !is_decoded => (quantized, widened::q6_k_block, 1024),
        (Kind::Q4K | Kind::Q5K, _) => (quantized, int8::full_min_block, 512),
        (Kind::Q6K, _) => (quantized, int8::full_twice_block, 512),
    };
    Method { form, kernel, slice }
}
