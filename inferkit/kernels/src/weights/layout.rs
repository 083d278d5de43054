//! Where a value stands in a panel.
//!
//! A panel holds `panel` rows of the weight, which are columns of the product; `p` below is short for that number.
//!
//! ```text
//! F32     [k][p] f32
//! F16     [k][p] f16
//! Bf16    [k/2][p][2] bf16
//! Q8      for each 32 k:   [p] f16 scale · stream
//! Q8Min   for each 32 k:   [p] f16 scale · [p] f16 minimum · stream
//! Q4      for each 32 k:   [p] f16 scale · nibbles of quant + 8
//! Q4Min   for each 32 k:   [p] f16 scale · [p] f16 minimum · nibbles
//! Q4K     for each 256 k:  [p] f16 d · [p] f16 dmin · [8][p] u8 scales · [8][p] u8 minima · 8 x nibbles
//! Q5K     the same, and after each 32 k of nibbles their high bits
//! Q6K     for each 256 k:  [p] f16 d · [16][p] i8 scales · 8 x (nibbles · high pairs of bits)
//! ```
//!
//! The *stream* of 32 k is `[32/group][p][group]` bytes: `group` consecutive k side by side, as many as the instructions of a
//! tier take of one row. `nibbles` are the stream folded in two (byte i of the first half in the low, of the second in the
//! high four bits), `high bits` the stream folded in eight, `high pairs` in four.

use crate::{Isa, Tier};

/// What a packed weight is kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    Bf16,
    Q8,
    Q8Min,
    Q4,
    Q4Min,
    Q4K,
    Q5K,
    Q6K,
}

/// The measures of a panel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) kind: Kind,
    /// Rows of the weight in a panel.
    pub(crate) panel: usize,
    /// Consecutive k that stand side by side.
    pub(crate) group: usize,
    /// What the quants of a stream are combined with by exclusive or: 0x80 turns signed into unsigned plus 128.
    pub(crate) bias: u8,
}

impl Layout {
    /// Of a weight of `n` rows.
    pub(crate) fn new(isa: Isa, kind: Kind, n: usize) -> Self {
        let wide = isa.tier() >= Tier::Avx512;
        let pairs = matches!(isa.tier(), Tier::Avx2 | Tier::Avx512);
        let signed = pairs || matches!(isa.tier(), Tier::Neon | Tier::NeonDot | Tier::NeonI8mm | Tier::NeonBf16);
        let group = match isa.tier() {
            Tier::Avx2 | Tier::Avx512 => 2,
            Tier::NeonI8mm | Tier::NeonBf16 => 8,
            _ => 4,
        };
        // The first layers of a convolutional network have 32 channels, for which a wide panel would be half empty.
        let numbers = match (wide, n <= 32) {
            (true, false) => 64,
            (true, true) => 32,
            (false, _) => 16,
        };
        match kind {
            Kind::F32 | Kind::F16 => Self {
                kind,
                panel: numbers,
                group: 1,
                bias: 0,
            },
            Kind::Bf16 => Self {
                kind,
                panel: numbers,
                group: 2,
                bias: 0,
            },
            Kind::Q8 | Kind::Q8Min | Kind::Q4 | Kind::Q4Min | Kind::Q4K | Kind::Q5K | Kind::Q6K => Self {
                kind,
                panel: if wide { 32 } else { 16 },
                group,
                bias: if signed { 0 } else { 0x80 },
            },
        }
    }

    /// Quants of an activation that meet those of a weight in four bytes: two of 16 bits, or four of 8.
    pub(crate) fn activations(&self) -> usize {
        self.group.min(4)
    }

    /// Values of k in one block, and the bytes that the block takes for all rows of the panel.
    pub(crate) fn block(&self) -> (usize, usize) {
        let (values, bytes_per_row) = match self.kind {
            Kind::F32 => (1, 4),
            Kind::F16 => (1, 2),
            Kind::Bf16 => (2, 4),
            Kind::Q8 => (32, 34),
            Kind::Q8Min => (32, 36),
            Kind::Q4 => (32, 18),
            Kind::Q4Min => (32, 20),
            Kind::Q4K => (256, 148),
            Kind::Q5K => (256, 180),
            Kind::Q6K => (256, 210),
        };
        (values, bytes_per_row * self.panel)
    }

    /// Bytes of a panel of `k` values a row.
    pub(crate) fn panel_bytes(&self, k: usize) -> usize {
        let (values, bytes) = self.block();
        k.div_ceil(values) * bytes
    }

    /// Whether there is a minimum for every 32 k.
    pub(crate) fn has_minima(&self) -> bool {
        matches!(self.kind, Kind::Q8Min | Kind::Q4Min)
    }

    /// Whether products use 8-bit activations.
    pub(crate) fn is_quantized(&self) -> bool {
        !matches!(self.kind, Kind::F32 | Kind::F16 | Kind::Bf16)
    }

    /// Where in a stream of 32 k the value `k` of row `row` stands.
    pub(crate) fn place(&self, k: usize, row: usize) -> usize {
        k / self.group * self.panel * self.group + row * self.group + k % self.group
    }
}
