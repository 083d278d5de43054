//! Keys, values and positions of a batch, head by head.
//!
//! ```text
//! keys [b][h][t/32][k][32]      positions [h][(2t-1)/32][k][32]      values [b][h][t][k, padded to 16]
//! ```

use std::ops::Range;

use super::{RelativeInputs, Span};
use crate::aligned::SharedMut;
use crate::scratch::Scratch;
use crate::{Pool, Rows};

/// Keys or positions that stand side by side.
pub(super) const PANEL: usize = 32;

/// Values of k that are moved at a time: one cache line of a row, spread over as many of the panel.
const STRIP: usize = 16;

/// Working memory in that order.
pub(super) struct Packed {
    memory: [Scratch; 3],
    heads: usize,
    width: usize,
    /// Floats of the keys of a head, of its values, and of the positions.
    sizes: [usize; 3],
}

impl Packed {
    pub(super) fn new(pool: &Pool, inputs: &RelativeInputs<'_>, heads: usize) -> Self {
        let batch = inputs.lengths.len();
        let (frames, width) = (inputs.queries.rows() / batch, inputs.queries.width() / heads);
        let distances = inputs.positions.rows();
        let sizes = [
            frames.next_multiple_of(PANEL) * width,
            frames * value_width(width),
            distances.next_multiple_of(PANEL) * width,
        ];
        let counts = [batch * heads, batch * heads, heads];
        let mut memory = [0, 1, 2].map(|i| Scratch::floats(counts[i] * sizes[i]));
        let targets = memory.each_mut().map(|memory| SharedMut::new(memory.as_f32_mut()));
        let target = |kind: usize, number: usize| {
            // SAFETY: the memory holds this many parts of this size; each is written by one unit.
            unsafe { std::slice::from_raw_parts_mut(targets[kind].get().add(number * sizes[kind]), sizes[kind]) }
        };
        pool.run((batch + 1) * heads, |unit| {
            let (sequence, head) = (unit / heads, unit % heads);
            let columns = head * width..(head + 1) * width;
            if sequence == batch {
                pack_panels(inputs.positions, 0..distances, columns, target(2, head));
                return;
            }
            let rows = sequence * frames..sequence * frames + inputs.lengths[sequence];
            pack_panels(inputs.keys, rows.clone(), columns.clone(), target(0, unit));
            let values = target(1, unit).chunks_exact_mut(value_width(width));
            for (value, row) in values.zip(rows) {
                value[..width].copy_from_slice(&inputs.values.row(row)[columns.clone()]);
                value[width..].fill(0.0);
            }
        });
        Self {
            memory,
            heads,
            width,
            sizes,
        }
    }

    /// Values of a head.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Panels of the keys in `span`.
    pub(super) fn keys(&self, batch: usize, head: usize, span: &Span) -> &[f32] {
        let part = self.part(0, batch * self.heads + head);
        &part[span.start * self.width..span.end * self.width]
    }

    /// Panels of the table rows in `span`.
    pub(super) fn positions(&self, head: usize, span: &Span) -> &[f32] {
        &self.part(2, head)[span.start * self.width..span.end * self.width]
    }

    /// Values of `frames`.
    pub(super) fn values(&self, batch: usize, head: usize, frames: Range<usize>) -> &[f32] {
        let part = self.part(1, batch * self.heads + head);
        let width = value_width(self.width);
        &part[frames.start * width..frames.end * width]
    }

    fn part(&self, kind: usize, number: usize) -> &[f32] {
        &self.memory[kind].as_f32()[number * self.sizes[kind]..][..self.sizes[kind]]
    }
}

/// Values of a row of values as they are kept.
pub(super) fn value_width(width: usize) -> usize {
    width.next_multiple_of(16)
}

/// Turns some columns of rows into panels; what is missing of the last panel is zero.
fn pack_panels(source: Rows<'_>, rows: Range<usize>, columns: Range<usize>, target: &mut [f32]) {
    let width = columns.len();
    let count = rows.len();
    for (number, panel) in target.chunks_exact_mut(PANEL * width).enumerate() {
        let present = count.saturating_sub(number * PANEL).min(PANEL);
        if present < PANEL {
            panel.fill(0.0);
        }
        for start in (0..width).step_by(STRIP) {
            let strip = start..(start + STRIP).min(width);
            for at in 0..present {
                let row = &source.row(rows.start + number * PANEL + at)[columns.clone()][strip.clone()];
                let places = panel[strip.start * PANEL..].iter_mut().skip(at).step_by(PANEL);
                for (place, value) in places.zip(row) {
                    *place = *value;
                }
            }
        }
    }
}
