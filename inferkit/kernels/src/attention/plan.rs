//! Units of a batch: which segments are computed together, and where their results meet.

use std::ops::Range;

use super::cache::{BLOCK_TOKENS, KvCache};
use super::kernels::{LOWEST, SEGMENT, Segment, finish, merge, segment};
use super::{AttentionOptions, Mask, Sequence};
use crate::aligned::SharedMut;
use crate::scratch::Scratch;
use crate::{Isa, Pool, Rows};

/// Rows of a unit: their probabilities of a segment stay in the caches of a core.
const UNIT_ROWS: usize = 48;

/// Queries of a sequence, those of all heads counted, up to which its kv heads are computed together.
const FEW_ROWS: usize = 64;

/// Query tokens of one sequence and some kv heads.
struct Tile<'a> {
    sequence: &'a Sequence<'a>,
    heads: Range<usize>,
    /// Query tokens, counted from the sequence's first.
    tokens: Range<usize>,
    /// Segments that some of them see.
    segments: Range<usize>,
    /// Where the results of single segments begin, if they are computed apart.
    parts_at: usize,
}

/// What a segment takes lists of; the queries are those of all segments of a tile.
struct Lists {
    /// First value of each query.
    queries: Vec<*const f32>,
    visible: Vec<(usize, usize)>,
    blocks: Vec<[*const u8; 2]>,
}

/// Everything a unit needs to know.
struct Batch<'a> {
    cache: &'a KvCache,
    queries: Rows<'a>,
    options: AttentionOptions,
    /// Query heads of a kv head.
    group: usize,
    out: SharedMut<f32>,
    out_stride: usize,
}

/// Computes the whole batch; shapes were checked.
pub(super) fn run(
    pool: &Pool,
    cache: &KvCache,
    queries: Rows<'_>,
    sequences: &[Sequence<'_>],
    options: AttentionOptions,
    (out, out_stride): (SharedMut<f32>, usize),
) {
    let shape = cache.shape();
    let batch = Batch {
        cache,
        queries,
        options,
        group: options.heads / shape.kv_heads,
        out,
        out_stride,
    };
    let mut tiles = batch.tiles(sequences, pool.threads());
    // A decode step of few sequences has too few tiles to keep every thread busy: then segments are units of their own.
    if pool.threads() == 1 || tiles.len() >= 4 * pool.threads() {
        pool.run(tiles.len(), |unit| batch.whole(&tiles[unit]));
        return;
    }
    let mut parts = 0;
    let mut units = Vec::new();
    for (number, tile) in tiles.iter_mut().enumerate() {
        tile.parts_at = parts;
        parts += tile.segments.len() * batch.rows(tile) * part_size(shape.width);
        units.extend(tile.segments.clone().map(|segment| (number, segment)));
    }
    let mut memory = Scratch::floats(parts);
    let memory = SharedMut::new(memory.as_f32_mut());
    pool.run(units.len(), |unit| {
        let (tile, segment) = units[unit];
        batch.part(&tiles[tile], segment, memory);
    });
    pool.run(tiles.len(), |unit| batch.join(&tiles[unit], memory));
}

/// Floats that one row of one segment takes: state and output.
const fn part_size(width: usize) -> usize {
    width + 2
}

impl<'a> Batch<'a> {
    /// All tiles, those with the longest context first.
    fn tiles(&self, sequences: &'a [Sequence<'a>], threads: usize) -> Vec<Tile<'a>> {
        // Under a causal mask, more tokens only see more that some of them must not.
        let most = match self.options.mask {
            Mask::Causal => 16,
            Mask::Full => UNIT_ROWS,
        };
        let step = (UNIT_ROWS / self.group).clamp(1, most);
        let (kv_heads, together) = (self.cache.shape().kv_heads, self.heads_together(sequences, threads));
        let mut tiles = Vec::new();
        for sequence in sequences {
            let head_step = if self.has_few_rows(sequence) { together } else { 1 };
            for start in (0..sequence.q_len).step_by(step) {
                let tokens = start..(start + step).min(sequence.q_len);
                let first = self.visible(sequence, tokens.start).start;
                let end = self.visible(sequence, tokens.end - 1).end;
                let segments = first / SEGMENT..end.div_ceil(SEGMENT);
                tiles.extend((0..kv_heads).step_by(head_step).map(|head| Tile {
                    sequence,
                    heads: head..(head + head_step).min(kv_heads),
                    tokens: tokens.clone(),
                    segments: segments.clone(),
                    parts_at: 0,
                }));
            }
        }
        tiles.sort_by_key(|tile| std::cmp::Reverse(tile.segments.len()));
        tiles
    }

    fn has_few_rows(&self, sequence: &Sequence<'_>) -> bool {
        sequence.q_len * self.options.heads <= FEW_ROWS
    }

    /// Kv heads of a tile of few rows: all, unless threads would be left without work.
    fn heads_together(&self, sequences: &[Sequence<'_>], threads: usize) -> usize {
        let kv_heads = self.cache.shape().kv_heads;
        if threads == 1 {
            return kv_heads;
        }
        let few = sequences.iter().filter(|sequence| self.has_few_rows(sequence));
        let segments: usize = few.map(|sequence| sequence.context.div_ceil(SEGMENT)).sum();
        (kv_heads * segments / (4 * threads)).clamp(1, kv_heads)
    }

    /// Positions that a query token sees.
    fn visible(&self, sequence: &Sequence<'_>, token: usize) -> Range<usize> {
        // One past the token's own position; with a full mask and no window it has none, and the sum is not used.
        let after = (sequence.context + token + 1).saturating_sub(sequence.q_len);
        let first = self.options.window.map_or(0, |window| after.saturating_sub(window));
        match self.options.mask {
            Mask::Causal => first..after,
            Mask::Full => first..sequence.context,
        }
    }

    fn rows(&self, tile: &Tile<'_>) -> usize {
        tile.heads.len() * tile.tokens.len() * self.group
    }

    fn lists(&self, tile: &Tile<'_>) -> Lists {
        let rows = self.rows(tile);
        let mut queries = Vec::with_capacity(rows);
        for kv_head in tile.heads.clone() {
            for token in tile.tokens.clone() {
                let row = self.queries.row(tile.sequence.q_start + token);
                let heads = kv_head * self.group..(kv_head + 1) * self.group;
                queries.extend(heads.map(|head| row[head * self.width()..].as_ptr()));
            }
        }
        Lists {
            queries,
            visible: Vec::with_capacity(rows),
            blocks: Vec::with_capacity(SEGMENT / BLOCK_TOKENS + 1),
        }
    }

    /// Computes one segment of a tile into `state` (`[rows]`) and `out` (`[rows][d]`).
    fn segment(
        &self,
        tile: &Tile<'_>,
        number: usize,
        lists: &mut Lists,
        (scores, state, out): (&mut [f32], &mut [[f32; 2]], *mut f32),
    ) {
        let shape = self.cache.shape();
        let start = number * SEGMENT;
        let rows = self.rows(tile);
        assert!(lists.queries.len() == rows && scores.len() >= rows * SEGMENT && state.len() >= rows);
        let clip = |position: usize| position.saturating_sub(start).min(SEGMENT);
        lists.visible.clear();
        for _ in tile.heads.clone() {
            for token in tile.tokens.clone() {
                let visible = self.visible(tile.sequence, token);
                let of_row = (clip(visible.start), clip(visible.end));
                lists.visible.extend(std::iter::repeat_n(of_row, self.group));
            }
        }
        // One block more: its keys are asked for while the last values are read.
        let end = (start + SEGMENT + BLOCK_TOKENS).min(tile.sequence.context);
        let table = &tile.sequence.block_table[start / BLOCK_TOKENS..end.div_ceil(BLOCK_TOKENS)];
        let block = |&block: &u32| self.cache.block(block as usize, tile.heads.start);
        lists.blocks.clear();
        lists.blocks.extend(table.iter().map(block));
        let arguments = Segment {
            queries: &lists.queries,
            visible: &lists.visible,
            blocks: &lists.blocks,
            heads: tile.heads.len(),
            head_bytes: shape.head_bytes(),
            width: shape.width,
            element: shape.element,
            scale: self.options.scale,
            scores: scores.as_mut_ptr(),
            out,
            state: state.as_mut_ptr(),
        };
        // SAFETY: each query row has `heads * d` values; what is visible lies within the context and the segment, whose
        // blocks exist; `out` has room for `rows * d` values, as both callers see to. The cache's ISA is available.
        unsafe { segment(self.cache.isa(), &arguments) };
    }

    /// Computes a tile from its first segment to its last.
    fn whole(&self, tile: &Tile<'_>) {
        let rows = self.rows(tile);
        let (mut scores, mut next) = (Scratch::floats(rows * SEGMENT), Scratch::floats(rows * self.width()));
        let next = &mut next.as_f32_mut()[..rows * self.width()];
        let mut state = vec![[LOWEST, 0.0]; rows];
        let (mut lists, mut total) = (self.lists(tile), Total::new(rows, self.width()));
        for number in tile.segments.clone() {
            let memory = (scores.as_f32_mut(), &mut state[..], next.as_mut_ptr());
            self.segment(tile, number, &mut lists, memory);
            total.add(self.cache.isa(), &state, next);
        }
        self.finish(tile, &total);
    }

    /// Computes one segment of a tile into `memory`.
    fn part(&self, tile: &Tile<'_>, number: usize, memory: SharedMut<f32>) {
        let width = self.cache.shape().width;
        let rows = self.rows(tile);
        let at = tile.parts_at + (number - tile.segments.start) * rows * part_size(width);
        let mut scores = Scratch::floats(rows * SEGMENT);
        // SAFETY: the memory has a part of this size for each segment of each tile, and this one belongs to this unit.
        let (state, out) = unsafe {
            let state = memory.get().add(at);
            (
                std::slice::from_raw_parts_mut(state.cast::<[f32; 2]>(), rows),
                state.add(2 * rows),
            )
        };
        self.segment(tile, number, &mut self.lists(tile), (scores.as_f32_mut(), state, out));
    }

    /// Merges the parts of a tile as `whole` merges its segments.
    fn join(&self, tile: &Tile<'_>, memory: SharedMut<f32>) {
        let rows = self.rows(tile);
        let size = rows * part_size(self.width());
        // SAFETY: the region that wrote the parts of this tile has ended.
        let parts = unsafe {
            std::slice::from_raw_parts(memory.get().add(tile.parts_at).cast_const(), tile.segments.len() * size)
        };
        let mut total = Total::new(rows, self.width());
        for part in parts.chunks_exact(size) {
            let (state, out) = part.split_at(2 * rows);
            total.add(self.cache.isa(), state.as_chunks().0, out);
        }
        self.finish(tile, &total);
    }

    /// Divides each row by the sum of its probabilities and writes it.
    fn finish(&self, tile: &Tile<'_>, total: &Total) {
        let width = self.width();
        let rows_of_head = tile.tokens.len() * self.group;
        for (row, (&[_, sum], values)) in total.state.iter().zip(total.out.as_f32().chunks(width)).enumerate() {
            let token = tile.sequence.q_start + tile.tokens.start + row % rows_of_head / self.group;
            let head = (tile.heads.start + row / rows_of_head) * self.group + row % self.group;
            // SAFETY: the output has the shape of the queries, no two sequences share rows of it (both were checked), and
            // each row and head belongs to one tile. The cache's ISA is available.
            unsafe {
                let out = self.out.get().add(token * self.out_stride + head * width);
                finish(self.cache.isa(), sum, values.as_ptr(), out, width);
            }
        }
    }

    fn width(&self) -> usize {
        self.cache.shape().width
    }
}

/// What the segments of some rows that came so far give together.
struct Total {
    /// Greatest score and sum, as a segment has them.
    state: Vec<[f32; 2]>,
    /// `[rows][width]`; means nothing for a row whose sum is zero.
    out: Scratch,
    width: usize,
}

impl Total {
    fn new(rows: usize, width: usize) -> Self {
        Self {
            state: vec![[LOWEST, 0.0]; rows],
            out: Scratch::floats(rows * width),
            width,
        }
    }

    /// Merges the next segment.
    fn add(&mut self, isa: Isa, state: &[[f32; 2]], out: &[f32]) {
        let own = self.out.as_f32_mut();
        let values = self.state.len() * self.width;
        assert!(state.len() == self.state.len() && out.len() >= values && own.len() >= values);
        // SAFETY: both outputs have a row of `width` values, a multiple of 16, for each state. The ISA is available.
        unsafe {
            merge(
                isa,
                (&mut self.state, own.as_mut_ptr()),
                (state, out.as_ptr()),
                self.width,
            );
        }
    }
}
