//! Attention by gathering a sequence's blocks: for any device that has the tensor library's operations.
//!
//! Blocks that lie next to one another are a view; others are copied together. Scores and softmax are f32.

use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;

use super::AttentionPlan;
use super::CacheShape;
use super::LayerCache;
use super::SequencePlan;
use super::Sight;

/// See [`super::PagedCache::attend`].
pub(super) fn attend(
    queries: &Tensor,
    cache: &LayerCache,
    plan: &AttentionPlan,
    shape: &CacheShape,
    sight: Sight,
) -> Result<Tensor> {
    let (_, heads, head_dim) = queries.dims3()?;
    let mut answers = Vec::with_capacity(plan.sequences.len());
    for (index, sequence) in plan.sequences.iter().enumerate() {
        let rows = sequence.rows.len();
        let seen = Seen::by(sequence, shape.block_size, sight.window());
        let keys = seen.gather(&cache.keys, sequence, shape)?;
        let values = seen.gather(&cache.values, sequence, shape)?;
        let group = heads / shape.kv_heads;
        let grouped = queries
            .narrow(0, sequence.rows.start, rows)?
            .reshape((rows, shape.kv_heads, group, head_dim))?
            .permute((1, 2, 0, 3))?
            .reshape((shape.kv_heads, group * rows, head_dim))?;
        let scores = grouped
            .contiguous()?
            .to_dtype(keys.dtype())?
            .matmul(&keys.permute((1, 2, 0))?.contiguous()?)?;
        let scores = (scores.to_dtype(DType::F32)? * (head_dim as f64).powf(-0.5))?;
        let scores = match mask(plan, index, &seen, (sight, scores.device()))? {
            Some(mask) => {
                let split = scores.reshape((shape.kv_heads, group, rows, seen.count))?;
                split
                    .broadcast_add(&mask)?
                    .reshape((shape.kv_heads, group * rows, seen.count))?
            }
            None => scores,
        };
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(values.dtype())?;
        let answer = weights
            .matmul(&values.transpose(0, 1)?.contiguous()?)?
            .reshape((shape.kv_heads, group, rows, head_dim))?
            .permute((2, 0, 1, 3))?
            .reshape((rows, heads * head_dim))?;
        answers.push(answer.to_dtype(queries.dtype())?);
    }
    if answers.is_empty() {
        queries.flatten_from(1)
    } else {
        Tensor::cat(&answers, 0)
    }
}

/// What is added to the scores of the sequence at `index`, `[1, 1, rows, count]`; all layers of one sight share it.
fn mask(plan: &AttentionPlan, index: usize, seen: &Seen, (sight, device): (Sight, &Device)) -> Result<Option<Tensor>> {
    let mut masks = plan.masks.borrow_mut();
    if let Some((.., mask)) = masks.iter().find(|(of, with, _)| (*of, *with) == (index, sight)) {
        return Ok(Some(mask.clone()));
    }
    let Some((sequence, values)) = plan
        .sequences
        .get(index)
        .and_then(|sequence| Some((sequence, seen.mask(sequence, sight)?)))
    else {
        return Ok(None);
    };
    let mask = Tensor::from_vec(values, (1, 1, sequence.rows.len(), seen.count), device)?;
    masks.push((index, sight, mask.clone()));
    Ok(Some(mask))
}

/// The part of a sequence that any of its rows sees, cut at the border of a block.
struct Seen {
    first: usize,
    first_block: usize,
    count: usize,
}

impl Seen {
    fn by(sequence: &SequencePlan, block_size: usize, window: Option<usize>) -> Self {
        let first = window.map_or(0, |window| (sequence.cached() + 1).saturating_sub(window));
        let first_block = first / block_size;
        let first = first_block * block_size;
        Self {
            first,
            first_block,
            count: sequence.context - first,
        }
    }

    /// The tokens seen, `[count, kv heads, d]`.
    fn gather(&self, cache: &Tensor, sequence: &SequencePlan, shape: &CacheShape) -> Result<Tensor> {
        let needed = self.count.div_ceil(shape.block_size);
        let blocks = sequence
            .blocks
            .get(self.first_block..self.first_block + needed)
            .ok_or_else(|| candle_core::Error::Msg("a block table is shorter than its context".to_owned()))?;
        let neighbours = blocks.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        match blocks.first() {
            Some(block) if neighbours => cache.narrow(0, *block as usize * shape.block_size, self.count),
            _ => {
                let of_blocks = (shape.blocks, shape.block_size * shape.kv_heads * shape.head_dim);
                let ids = Tensor::new(blocks, cache.device())?;
                let gathered = cache.reshape(of_blocks)?.index_select(&ids, 0)?;
                gathered
                    .reshape((needed * shape.block_size, shape.kv_heads, shape.head_dim))?
                    .narrow(0, 0, self.count)
            }
        }
    }

    /// Minus infinity where a row must not look, `[rows, count]`; none if every row sees everything.
    fn mask(&self, sequence: &SequencePlan, sight: Sight) -> Option<Vec<f32>> {
        let Sight::Before(window) = sight else { return None };
        let cached = sequence.cached();
        let sees_all = sequence.rows.len() == 1 && window.is_none_or(|window| sequence.context - self.first <= window);
        if sees_all {
            return None;
        }
        let position = |row: usize| cached + row;
        let hidden = |row: usize, token: usize| {
            token > position(row) || window.is_some_and(|window| token + window <= position(row))
        };
        let row = |row: usize| {
            (self.first..sequence.context).map(move |token| if hidden(row, token) { f32::NEG_INFINITY } else { 0.0 })
        };
        Some((0..sequence.rows.len()).flat_map(row).collect())
    }
}
