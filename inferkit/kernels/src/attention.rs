//! Attention over keys and values that stand in blocks of a paged cache.
//!
//! ```text
//! unit = (sequence, kv heads, some query tokens): for each segment of 256 positions
//!     scores [rows, 256] = Q · K      rows = query tokens x query heads that share the kv head
//!     probabilities, their sum, the greatest score
//!     output [rows, d] = P · V,       merged with the segments before
//! ```
//!
//! Query heads of a group are rows of one tile: each byte of the cache is read once for all of them. With few queries, all kv
//! heads are computed together, since memory is the limit and they stand side by side; with a long context besides, units are
//! single segments that are merged afterwards, by the same routine in the same order.
//!
//! **Invariant:** segments begin at fixed positions 0, 256, 512, … and each output row is one chain of operations over
//! ascending positions. A query's output is the same, bit for bit, alone, in a chunk, in any batch and on any number of
//! threads.
//!
//! **Invariant:** cache slots beyond the context are never read as numbers. A query that sees no key gives zeros; a NaN
//! among its scores gives NaN.
//!
//! **Limit:** a *value* that is infinite or NaN also reaches queries of the same tile that do not see its position, since
//! what they do not see counts zero times, and zero times infinity is NaN. Results of numbers are not touched by this; once
//! a value is none, the model's output is worthless for the sequence anyway, and other sequences share no tile with it.

mod ahead;
mod cache;
mod kernels;
mod keys;
mod outputs;
mod plan;
mod write;

pub use cache::{BLOCK_TOKENS, CacheElement, CacheShape, KvCache};

use crate::ops::check_scale;
use crate::{Pool, Rows, RowsMut};

/// One sequence of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// Its first row among the queries.
    pub q_start: usize,
    /// Its number of queries: the last tokens of the context, or of another sequence where every query sees all keys.
    pub q_len: usize,
    /// Tokens whose keys and values are in the cache, those of the queries included.
    pub context: usize,
    /// Cache block of positions 0..32, 32..64, …
    pub block_table: &'a [u32],
}

/// What a query sees and how scores are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct AttentionOptions {
    /// Query heads; a multiple of the cache's kv heads, consecutive ones share a kv head.
    pub heads: usize,
    /// Factor of the scores, greater than zero; usually `1 / sqrt(d)`.
    pub scale: f32,
    /// A query at position p sees keys at positions above `p - window`; all up to p when `None`.
    pub window: Option<usize>,
    /// Whether a query sees keys after its own position.
    pub mask: Mask,
}

/// Which keys a query sees, a window apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mask {
    /// Those up to its own position.
    #[default]
    Causal,
    /// All of the context.
    Full,
}

impl AttentionOptions {
    /// Causal attention without a window.
    pub fn new(heads: usize, scale: f32) -> Self {
        Self {
            heads,
            scale,
            window: None,
            mask: Mask::Causal,
        }
    }

    /// Limits how far back a query sees.
    #[must_use]
    pub fn with_window(self, window: Option<usize>) -> Self {
        Self { window, ..self }
    }

    /// Chooses the mask.
    #[must_use]
    pub fn with_mask(self, mask: Mask) -> Self {
        Self { mask, ..self }
    }
}

/// Attends with every query of a batch.
///
/// * `queries`, `out`: `[t, heads * d]`, the rows of all sequences in one matrix
/// * keys and values of the queries' own tokens must have been written to `cache` before
///
/// # Panics
/// When shapes do not fit, a block table is too short or names a block that does not exist, two sequences share query rows,
/// or the scale is not within 1e-30..=1e30.
pub fn attention(
    pool: &Pool,
    cache: &KvCache,
    queries: Rows<'_>,
    sequences: &[Sequence<'_>],
    options: AttentionOptions,
    mut out: RowsMut<'_>,
) {
    let shape = cache.shape();
    let AttentionOptions {
        heads, scale, window, ..
    } = options;
    assert!(
        heads > 0 && heads.is_multiple_of(shape.kv_heads),
        "{heads} query heads for {} kv heads",
        shape.kv_heads
    );
    check_scale(scale);
    assert!(window != Some(0), "a window of no keys");
    assert_eq!(queries.width(), heads * shape.width, "queries are heads * d wide");
    assert_eq!(
        [out.rows(), out.width()],
        [queries.rows(), queries.width()],
        "the output has the shape of the queries"
    );
    let mut taken = vec![false; queries.rows()];
    for sequence in sequences {
        let Sequence {
            q_start,
            q_len,
            context,
            block_table,
        } = *sequence;
        let is_anywhere = options.mask == Mask::Full && window.is_none();
        assert!(
            is_anywhere || q_len <= context,
            "{q_len} queries at the end of {context} tokens"
        );
        let blocks = context.div_ceil(BLOCK_TOKENS);
        assert!(
            blocks <= block_table.len(),
            "a block table of {} for {context} tokens",
            block_table.len()
        );
        let used = &block_table[..blocks];
        assert!(
            used.iter().all(|&block| (block as usize) < shape.blocks),
            "a block beyond the {} there are",
            shape.blocks
        );
        let rows = taken
            .get_mut(q_start..q_start.saturating_add(q_len))
            .unwrap_or_default();
        assert!(
            rows.len() == q_len && !rows.contains(&true),
            "query rows {q_start} + {q_len} are missing or shared"
        );
        rows.fill(true);
    }
    plan::run(pool, cache, queries, sequences, options, (out.shared(), out.stride()));
}

#[cfg(test)]
mod tests;
