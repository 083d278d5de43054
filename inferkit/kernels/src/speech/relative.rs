//! Attention with relative positions, as a Conformer has it.
//!
//! ```text
//! score[i, j] = ((q_i + u) · k_j + (q_i + v) · p_(t - 1 - i + j)) * scale        for each head
//! ```
//!
//! Row r of the position table stands for the distance t - 1 - r, from t - 1 down to -(t - 1). A unit takes some queries of
//! one head: the products of their rows with the part of the table that they reach stand beside the products with the keys,
//! and the *shift* of the original (a padded, reshaped copy of `[t, 2t - 1]` for every head) is an offset at which a row is
//! read.
//!
//! Source: Transformer-XL (arXiv 1901.02860), section 3.3 and appendix B; `RelPositionMultiHeadAttention` of NeMo.
//!
//! **Invariant:** frames beyond the length of a sequence are never read as keys, and their outputs are zeros: what the
//! original gets by scores of -10000 and weights that are set to zero.
//!
//! **Limit:** as for the paged attention, an infinite or NaN *value* reaches every query of its unit, within a limited context
//! also those that do not see it.

mod kernels;
mod packed;

use std::ops::Range;

use crate::aligned::SharedMut;
use crate::ops::check_scale;
use crate::scratch::Scratch;
use crate::{Isa, Pool, Rows, RowsMut};
use kernels::{Product, Row, Weighted, probabilities, products, weighted_sums};
use packed::{PANEL, Packed};

/// What a layer adds to queries, and how far they see.
#[derive(Debug, Clone, Copy)]
pub struct RelativeAttention<'a> {
    /// Heads.
    pub heads: usize,
    /// u, `[heads * k]`: added to queries that meet keys.
    pub key_bias: &'a [f32],
    /// v, `[heads * k]`: added to queries that meet positions.
    pub position_bias: &'a [f32],
    /// Factor of the scores, greater than zero; usually `1 / sqrt(k)`.
    pub scale: f32,
    /// How many frames before and after its own a query sees; all where `None`.
    pub context: [Option<usize>; 2],
}

/// What a layer attends with: a batch of b sequences, padded to t frames.
#[derive(Debug, Clone, Copy)]
pub struct RelativeInputs<'a> {
    /// `[b * t, heads * k]`.
    pub queries: Rows<'a>,
    /// `[b * t, heads * k]`.
    pub keys: Rows<'a>,
    /// `[b * t, heads * k]`.
    pub values: Rows<'a>,
    /// `[2 t - 1, heads * k]`: the table of positions after its projection, shared by the batch.
    pub positions: Rows<'a>,
    /// `[b]`: frames of each sequence that are no padding.
    pub lengths: &'a [usize],
}

/// Queries of a unit at most, and what their scores may take.
const ROWS: usize = 48;
const BYTES: usize = 500_000;

impl RelativeAttention<'_> {
    /// Attends with every frame of a batch into `out`, `[b * t, heads * k]`.
    ///
    /// Each sequence gives what it gives alone with a table of its own length, bit for bit.
    ///
    /// # Panics
    /// When shapes do not fit, a length exceeds t, or the scale is not within 1e-30..=1e30.
    pub fn apply(&self, pool: &Pool, isa: Isa, inputs: RelativeInputs<'_>, mut out: RowsMut<'_>) {
        let Some(frames) = self.check(&inputs, &out) else {
            return;
        };
        let packed = Packed::new(pool, &inputs, self.heads);
        let rows = (BYTES / (8 * frames + 4 * ROWS) / 12 * 12).clamp(12, ROWS);
        let tiles = frames.div_ceil(rows);
        let (stride, target) = (out.stride(), out.shared());
        pool.run(inputs.lengths.len() * self.heads * tiles, |unit| {
            let (tile, head) = (unit % tiles, unit / tiles % self.heads);
            let batch = unit / tiles / self.heads;
            let tile = Tile {
                attention: self,
                inputs: &inputs,
                packed: &packed,
                frames,
                batch,
                head,
                queries: tile * rows..((tile + 1) * rows).min(frames),
            };
            tile.compute(isa, target, stride);
        });
    }

    /// Checks shapes; frames per sequence, or `None` when there is nothing to compute.
    fn check(&self, inputs: &RelativeInputs<'_>, out: &RowsMut<'_>) -> Option<usize> {
        let width = inputs.queries.width();
        let rows = inputs.queries.rows();
        assert!(
            self.heads > 0 && width.is_multiple_of(self.heads),
            "{width} values for {} heads",
            self.heads
        );
        check_scale(self.scale);
        for other in [&inputs.keys, &inputs.values] {
            assert_eq!(
                [other.rows(), other.width()],
                [rows, width],
                "queries, keys and values have one shape"
            );
        }
        assert_eq!([out.rows(), out.width()], [rows, width], "shape of the output");
        assert_eq!(
            [self.key_bias.len(), self.position_bias.len()],
            [width; 2],
            "one bias for each value of a row"
        );
        let batch = inputs.lengths.len();
        assert!(
            rows.is_multiple_of(batch.max(1)) && (batch > 0 || rows == 0),
            "{rows} frames of {batch} sequences"
        );
        let frames = rows.checked_div(batch).filter(|&frames| frames > 0)?;
        assert!(
            inputs.lengths.iter().all(|&length| length <= frames),
            "a length beyond the {frames} frames there are"
        );
        assert_eq!(
            [inputs.positions.rows(), inputs.positions.width()],
            [2 * frames - 1, width],
            "shape of the table of positions"
        );
        Some(frames)
    }

    /// Keys that the query at `frame` sees in a sequence of `length` frames.
    fn visible(&self, frame: usize, length: usize) -> Range<usize> {
        let [before, after] = self.context;
        let first = before.map_or(0, |before| frame.saturating_sub(before));
        let end = after.map_or(length, |after| {
            frame.saturating_add(after).saturating_add(1).min(length)
        });
        first.min(end)..end
    }
}

/// Some queries of one head and sequence.
struct Tile<'a> {
    attention: &'a RelativeAttention<'a>,
    inputs: &'a RelativeInputs<'a>,
    packed: &'a Packed,
    frames: usize,
    batch: usize,
    head: usize,
    queries: Range<usize>,
}

impl Tile<'_> {
    fn compute(&self, isa: Isa, out: SharedMut<f32>, out_stride: usize) {
        let width = self.packed.width();
        let length = self.inputs.lengths[self.batch];
        let place = |frame: usize| (self.batch * self.frames + frame) * out_stride + self.head * width;
        for frame in self.queries.start.max(length)..self.queries.end {
            // SAFETY: the output has this row and head, which belong to this unit alone.
            unsafe { std::slice::from_raw_parts_mut(out.get().add(place(frame)), width).fill(0.0) };
        }
        let queries = self.queries.start..self.queries.end.min(length);
        if queries.is_empty() {
            return;
        }
        let rows = queries.len();
        // Keys that some query sees, in whole panels.
        let first = self.attention.visible(queries.start, length).start / PANEL * PANEL;
        let end = self.attention.visible(queries.end - 1, length).end;
        let keys = Span::new(first, end);
        // The last query meets its first key at the lowest row of the table, the first its last key at the highest.
        let lowest = self.frames - queries.end + first;
        let highest = self.frames - 1 - queries.start + end;
        let positions = Span::new(lowest, highest);
        let mut memory = Scratch::floats(rows * (2 * width + keys.len() + positions.len()));
        let (biased, scores) = memory.as_f32_mut().split_at_mut(2 * rows * width);
        let (content, rest) = scores.split_at_mut(rows * keys.len());
        let distance = &mut rest[..rows * positions.len()];
        self.add_biases(&queries, biased);
        let (to_keys, to_positions) = biased.split_at(rows * width);
        let product = |queries: &[f32], panels: &[f32], out: &mut [f32]| {
            let product = Product {
                queries,
                rows,
                width,
                panels,
                out,
            };
            // SAFETY: `Product` names slices whose lengths the kernel asserts. The ISA exists.
            unsafe { products(isa, product) };
        };
        product(to_keys, self.packed.keys(self.batch, self.head, &keys), content);
        product(to_positions, self.packed.positions(self.head, &positions), distance);
        let mut sums = vec![0.0; rows];
        for (row, sum) in sums.iter_mut().enumerate() {
            let frame = queries.start + row;
            let visible = self.attention.visible(frame, length);
            // Table row of key j is t - 1 - frame + j.
            let shift = self.frames - 1 - frame + first - positions.start;
            let mut row = Row {
                scores: &mut content[row * keys.len()..(row + 1) * keys.len()],
                positions: &distance[row * positions.len()..(row + 1) * positions.len()][shift..],
                visible: visible.start - first..visible.end - first,
                scale: self.attention.scale,
            };
            // SAFETY: as above.
            *sum = unsafe { probabilities(isa, &mut row) };
        }
        let weighted = Weighted {
            probabilities: content,
            stride: keys.len(),
            sums: &sums,
            values: self.packed.values(self.batch, self.head, first..end),
            width,
        };
        // SAFETY: as above; the rows of the output from the first query on belong to this unit, `width` values of each.
        unsafe { weighted_sums(isa, &weighted, out.get().add(place(queries.start)), out_stride) };
    }

    /// Writes the queries with either bias: `[2][rows][k]`.
    fn add_biases(&self, queries: &Range<usize>, biased: &mut [f32]) {
        let width = self.packed.width();
        let own = self.head * width..(self.head + 1) * width;
        let biases = [self.attention.key_bias, self.attention.position_bias];
        for (half, bias) in biased.chunks_exact_mut(queries.len() * width).zip(biases) {
            for (row, frame) in half.chunks_exact_mut(width).zip(queries.clone()) {
                let query = &self.inputs.queries.row(self.batch * self.frames + frame)[own.clone()];
                for ((target, query), bias) in row.iter_mut().zip(query).zip(&bias[own.clone()]) {
                    *target = query + bias;
                }
            }
        }
    }
}

/// Rows of keys or positions, widened to whole panels.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// A multiple of [`PANEL`].
    start: usize,
    /// Another.
    end: usize,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self {
            start: start / PANEL * PANEL,
            end: end.next_multiple_of(PANEL),
        }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }
}
