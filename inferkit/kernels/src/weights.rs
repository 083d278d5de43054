//! Weights, packed once into the order in which a matrix product reads them.
//!
//! ```text
//! file bytes [n, k], plain or GGUF blocks ─pack─▶ panels of 16, 32 or 64 rows ─gemm─▶ columns of the result
//! ```
//!
//! A weight has `n` rows (outputs) of `k` values (inputs). The packed copy replaces the original: it takes as many bits per
//! weight as the file (Q4_K and Q5_K an eighth of a bit more), and single rows can still be read from it for an embedding.
//!
//! | format | kept as | bits per weight |
//! |---|---|---|
//! | F32 | f32 | 32 |
//! | F16 exact | f16 | 16 |
//! | BF16, F16, F32 as BF16 | bf16 | 16 |
//! | Q8_0, Q5_0 | 8-bit quants, one f16 scale for 32 | 8.5 |
//! | Q5_1 | 8-bit quants, one f16 scale and one f16 minimum for 32 | 9 |
//! | Q4_0 | 4 bits, one f16 scale for 32 | 4.5 |
//! | Q4_1 | 4 bits, one f16 scale and one f16 minimum for 32 | 5 |
//! | Q4_K, Q5_K | 4 or 5 bits, 8-bit scale and minimum for 32, two f16 for 256 | 4.625, 5.625 |
//! | Q6_K | 6 bits, 8-bit scale for 16, one f16 for 256 | 6.5625 |
//!
//! **Invariant:** packing is exact wherever the table does not convert, and file bytes are never trusted: a length or a shape
//! that does not fit is a [`PackError`].

mod blocks;
mod error;
mod float;
mod format;
mod layout;
mod quantized;
mod row;

pub use error::PackError;
pub use format::Format;
pub(crate) use layout::{Kind, Layout};

use crate::aligned::{AlignedBytes, SharedMut};
use crate::{Isa, Pool, Precision};

/// The matrix `W[n, k]` of a product `A[m, k] · Wᵀ`, packed for one [`Isa`].
#[derive(Debug)]
pub struct PackedWeight {
    isa: Isa,
    format: Format,
    layout: Layout,
    n: usize,
    k: usize,
    bytes: AlignedBytes,
}

impl PackedWeight {
    /// Packs `n` rows of `k` values from `bytes`, which hold the rows one after another in `format`, little-endian.
    ///
    /// `bytes` may begin at any address. The work is spread over `pool`, and the memory of the result is first touched
    /// by the thread that packs it.
    ///
    /// # Errors
    /// [`PackError`] when the shape is empty or too large, `k` is not a multiple of the format's block, or `bytes` has
    /// another length than the shape calls for.
    pub fn pack(pool: &Pool, isa: Isa, format: Format, shape: [usize; 2], bytes: &[u8]) -> Result<Self, PackError> {
        let [n, k] = shape;
        let row_bytes = format.row_bytes(n, k)?;
        let expected = n.checked_mul(row_bytes).ok_or(PackError::TooLarge { n, k })?;
        if bytes.len() != expected {
            return Err(PackError::Length {
                format,
                n,
                k,
                expected,
                found: bytes.len(),
            });
        }
        let layout = Layout::new(isa, format.kind(), n);
        let (panels, panel_bytes) = (n.div_ceil(layout.panel), layout.panel_bytes(k));
        // A packed panel takes at most 64 rows of twice the size in the file, so only absurd shapes get this far.
        let total = panels
            .checked_mul(panel_bytes)
            .filter(|&total| total <= isize::MAX as usize - 128);
        let mut packed = AlignedBytes::zeroed(total.ok_or(PackError::TooLarge { n, k })?);
        let target = SharedMut::new(&mut packed);
        pool.run(panels, |panel| {
            // SAFETY: panel number `panel` begins there, is this long, and belongs to this unit alone.
            let target = unsafe { std::slice::from_raw_parts_mut(target.get().add(panel * panel_bytes), panel_bytes) };
            let first = panel * layout.panel;
            let rows = &bytes[first * row_bytes..(first + layout.panel).min(n) * row_bytes];
            match layout.kind {
                Kind::F32 | Kind::F16 | Kind::Bf16 => float::pack_panel(format, &layout, rows, row_bytes, target),
                Kind::Q8 | Kind::Q8Min | Kind::Q4 | Kind::Q4Min => {
                    quantized::pack_short(format, &layout, rows, row_bytes, target);
                }
                Kind::Q4K | Kind::Q5K | Kind::Q6K => quantized::pack_long(format, &layout, rows, row_bytes, target),
            }
        });
        Ok(Self {
            isa,
            format,
            layout,
            n,
            k,
            bytes: packed,
        })
    }

    /// Memory that the packed copy of such a weight takes, before it is packed; `None` when [`pack`](Self::pack) refuses the
    /// shape.
    pub fn bytes_for(isa: Isa, format: Format, [n, k]: [usize; 2]) -> Option<usize> {
        format.row_bytes(n, k).ok()?;
        let layout = Layout::new(isa, format.kind(), n);
        n.div_ceil(layout.panel).checked_mul(layout.panel_bytes(k))
    }

    /// Rows: outputs of the product.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Values per row: inputs of the product.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The format it was packed from.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The instructions it was packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Memory that the packed copy takes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Writes row `index`, dequantized, to `out`: an embedding that shares its weights with the output head.
    ///
    /// # Panics
    /// When `index` is not below [`n`](Self::n) or `out` does not hold [`k`](Self::k) values.
    pub fn read_row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.n, "row {index} of a weight that has {}", self.n);
        assert_eq!(out.len(), self.k, "a row of this weight has {} values", self.k);
        row::read(
            &self.layout,
            self.panel(index / self.layout.panel),
            index % self.layout.panel,
            out,
        );
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether activations of that precision are rounded to bfloat16 for this weight.
    pub(crate) fn rounds(&self, precision: Precision) -> bool {
        precision == Precision::Bf16 && self.layout.kind == Kind::Bf16
    }

    /// Whether a product cannot read its rows in runs of whole pixels: blocks or pairs would cross from one to the next.
    pub(crate) fn needs_whole_rows(&self, channels: usize) -> bool {
        self.layout.is_quantized() || (self.layout.kind == Kind::Bf16 && !channels.is_multiple_of(2))
    }

    pub(crate) fn panels(&self) -> usize {
        self.n.div_ceil(self.layout.panel)
    }

    /// Bytes of panel `index`: rows `index * layout.panel` and those after it.
    pub(crate) fn panel(&self, index: usize) -> &[u8] {
        let size = self.layout.panel_bytes(self.k);
        &self.bytes[index * size..(index + 1) * size]
    }
}

#[cfg(test)]
mod tests;
