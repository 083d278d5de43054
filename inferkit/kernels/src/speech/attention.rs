//! Attention over whole sequences: every query sees every key.
//!
//! An encoder attends to its own frames, a decoder to the frames of an encoder, step after step. Keys and values are packed
//! once, as consecutive blocks of a cache of the paged attention, and share its kernels and its invariants.

use crate::{
    AttentionOptions, BLOCK_TOKENS, CacheElement, CacheShape, Isa, KvCache, Mask, Pool, Rows, RowsMut, Sequence,
    attention,
};

/// Keys and values of one sequence, packed for [`attend`](Self::attend).
#[derive(Debug)]
pub struct KeyValues {
    cache: KvCache,
    table: Vec<u32>,
    tokens: usize,
    /// Values of a head as callers have them; the cache may hold more.
    width: usize,
}

/// Values of a head are padded with zeros to a multiple of this.
const LANES: usize = 16;

impl KeyValues {
    /// Packs the keys and values of `heads` heads.
    ///
    /// * `keys`, `values`: `[t, heads * k]`; bfloat16 as `element` halves what a decoder reads in each step
    ///
    /// # Panics
    /// When the shapes differ or the width is not a multiple of the heads.
    pub fn pack(pool: &Pool, isa: Isa, element: CacheElement, heads: usize, [keys, values]: [Rows<'_>; 2]) -> Self {
        let (tokens, row) = (keys.rows(), keys.width());
        assert!(heads > 0 && row.is_multiple_of(heads), "{row} values for {heads} heads");
        assert_eq!(
            [values.rows(), values.width()],
            [tokens, row],
            "keys and values have one shape"
        );
        let width = row / heads;
        let blocks = tokens.div_ceil(BLOCK_TOKENS);
        let shape = CacheShape {
            blocks: blocks.max(1),
            kv_heads: heads,
            width: width.next_multiple_of(LANES),
            element,
        };
        let mut cache = KvCache::new(isa, shape);
        let slots: Vec<usize> = (0..tokens).collect();
        let (padded_keys, padded_values) = (pad(keys, heads), pad(values, heads));
        let [keys, values] = [(&padded_keys, keys), (&padded_values, values)].map(|(padded, rows)| {
            padded
                .as_ref()
                .map_or(rows, |padded| Rows::new(padded, heads * shape.width))
        });
        cache.write(pool, keys, values, &slots);
        Self {
            cache,
            table: (0..blocks as u32).collect(),
            tokens,
            width,
        }
    }

    /// Tokens or frames that were packed.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.cache.shape().bytes().unwrap_or_default()
    }

    /// `softmax(q · kᵀ * scale) · v` for every query and head; zeros when there are no keys.
    ///
    /// * `queries`, `out`: `[t, heads * k]`, as many as there are: all frames of an encoder, or the few of a decoder's step
    ///
    /// # Panics
    /// When the shapes do not fit or the scale is not within 1e-30..=1e30.
    pub fn attend(&self, pool: &Pool, queries: Rows<'_>, scale: f32, mut out: RowsMut<'_>) {
        let shape = self.cache.shape();
        let heads = shape.kv_heads;
        assert_eq!(
            queries.width(),
            heads * self.width,
            "queries have the heads and the width of the keys"
        );
        assert_eq!(
            [out.rows(), out.width()],
            [queries.rows(), queries.width()],
            "the output has the shape of the queries"
        );
        let sequence = Sequence {
            q_start: 0,
            q_len: queries.rows(),
            context: self.tokens,
            block_table: &self.table,
        };
        let options = AttentionOptions::new(heads, scale).with_mask(Mask::Full);
        let Some(padded) = pad(queries, heads) else {
            attention(pool, &self.cache, queries, &[sequence], options, out);
            return;
        };
        let row = heads * shape.width;
        let mut wide = vec![0.0; padded.len()];
        let target = RowsMut::new(&mut wide, row);
        attention(pool, &self.cache, Rows::new(&padded, row), &[sequence], options, target);
        for (index, source) in wide.chunks_exact(row).enumerate() {
            let target = out.row_mut(index).chunks_exact_mut(self.width);
            for (target, source) in target.zip(source.chunks_exact(shape.width)) {
                target.copy_from_slice(&source[..self.width]);
            }
        }
    }
}

/// The rows with zeros after each head, unless heads fill whole vectors already.
fn pad(rows: Rows<'_>, heads: usize) -> Option<Vec<f32>> {
    let width = rows.width() / heads;
    let padded = width.next_multiple_of(LANES);
    if padded == width {
        return None;
    }
    let mut wide = vec![0.0; rows.rows() * heads * padded];
    for (index, target) in wide.chunks_exact_mut(heads * padded).enumerate() {
        let source = rows.row(index).chunks_exact(width);
        for (target, source) in target.chunks_exact_mut(padded).zip(source) {
            target[..width].copy_from_slice(source);
        }
    }
    Some(wide)
}
