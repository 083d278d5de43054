//! Attention on the CPU: walks a sequence's blocks where they lie, nothing is gathered.
//!
//! The context is cut into segments of [`SEGMENT`] tokens at absolute positions, each folded into a running
//! maximum and sum in ascending order (`kernels.md`, section 7). A row runs through the same operations in the same
//! order however the sequence is cut into steps and whatever else is in the batch: its result is the same bit by
//! bit. All query heads that share a key/value head are done together, so that each key is read once a group.

use std::ops::Range;

use candle_core::CpuStorage;
use candle_core::Result;
use candle_core::Storage;
use candle_core::Tensor;
use rayon::iter::IndexedParallelIterator;
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSliceMut;

use super::AttentionPlan;
use super::CacheShape;
use super::LayerCache;
use super::SequencePlan;

/// Tokens that share a maximum and a sum.
const SEGMENT: usize = 256;

/// Numbers added up side by side in a dot product.
const LANES: usize = 16;

/// Products below which handing out work costs more than it saves: some tens of microseconds.
const WORTH_SHARING: usize = 1 << 18;

/// See [`super::PagedCache::attend`]. The cache is f32.
pub(super) fn attend(
    queries: &Tensor,
    cache: &LayerCache,
    plan: &AttentionPlan,
    shape: &CacheShape,
    window: Option<usize>,
) -> Result<Tensor> {
    let (rows, heads, head_dim) = queries.dims3()?;
    let widened = queries.to_dtype(candle_core::DType::F32)?.contiguous()?;
    let answer = with_floats(&widened, |queries| {
        with_floats(&cache.keys, |keys| {
            with_floats(&cache.values, |values| {
                let group = heads / shape.kv_heads;
                let view = View {
                    keys,
                    values,
                    shape,
                    group,
                    window,
                };
                let mut answer = vec![0.0_f32; rows * heads * head_dim];
                view.attend_all(queries, plan, &mut answer);
                Ok(answer)
            })
        })
    })?;
    Tensor::from_vec(answer, (rows, heads * head_dim), queries.device())?.to_dtype(queries.dtype())
}

/// Shows `work` the numbers of a contiguous f32 tensor on the CPU.
fn with_floats<T>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(floats)), Some((start, end))) => match floats.get(start..end) {
            Some(floats) => work(floats),
            None => candle_core::bail!("a tensor is longer than its storage"),
        },
        _ => candle_core::bail!("attention on the CPU takes contiguous f32 tensors"),
    }
}

struct View<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    shape: &'a CacheShape,
    /// Query heads that share a key/value head.
    group: usize,
    window: Option<usize>,
}

/// Running result of the query heads of a group over the segments so far.
struct Running {
    /// `[group]`
    maxima: Vec<f32>,
    /// `[group]`
    sums: Vec<f32>,
    /// `[group][SEGMENT]`: scores, then weights, of the segment at work.
    scores: Vec<f32>,
}

impl View<'_> {
    /// One unit a row and key/value head; each writes its own `[group, d]` of `answer`.
    fn attend_all(&self, queries: &[f32], plan: &AttentionPlan, answer: &mut [f32]) {
        let unit_size = self.group * self.shape.head_dim;
        let owner = owners(plan, answer.len() / (unit_size * self.shape.kv_heads).max(1));
        let unit = |(index, answer): (usize, &mut [f32])| {
            let (row, kv_head) = (index / self.shape.kv_heads, index % self.shape.kv_heads);
            let queries = queries.get(index * unit_size..(index + 1) * unit_size);
            let sequence = owner.get(row).and_then(|index| plan.sequences.get(*index));
            if let (Some(queries), Some(sequence)) = (queries, sequence) {
                self.attend_unit(queries, sequence, row, kv_head, answer);
            }
        };
        let products: usize = plan
            .sequences
            .iter()
            .map(|sequence| sequence.rows.len() * sequence.context)
            .sum();
        if products * unit_size * self.shape.kv_heads < WORTH_SHARING {
            answer.chunks_mut(unit_size).enumerate().for_each(unit);
        } else {
            answer.par_chunks_mut(unit_size).enumerate().for_each(unit);
        }
    }

    fn attend_unit(&self, queries: &[f32], sequence: &SequencePlan, row: usize, kv_head: usize, answer: &mut [f32]) {
        let position = sequence.cached() + row - sequence.rows.start;
        let first = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let mut running = Running {
            maxima: vec![f32::MIN; self.group],
            sums: vec![0.0; self.group],
            scores: vec![0.0; self.group * SEGMENT],
        };
        let mut start = first;
        while start <= position {
            let end = ((start / SEGMENT + 1) * SEGMENT).min(position + 1);
            self.segment(queries, sequence, (start..end, kv_head), &mut running, answer);
            start = end;
        }
        for (answer, sum) in answer.chunks_mut(self.shape.head_dim).zip(&running.sums) {
            let scale = 1.0 / sum;
            scale_by(answer, scale);
        }
    }

    /// Folds the tokens of one segment into `running` and `answer`.
    fn segment(
        &self,
        queries: &[f32],
        sequence: &SequencePlan,
        (tokens, kv_head): (Range<usize>, usize),
        running: &mut Running,
        answer: &mut [f32],
    ) {
        let head_dim = self.shape.head_dim;
        let scale = (head_dim as f32).sqrt().recip();
        let count = tokens.len();
        self.for_each_row(self.keys, &sequence.blocks, (tokens.clone(), kv_head), |index, key| {
            for (query, scores) in queries
                .chunks_exact(head_dim)
                .zip(running.scores.chunks_exact_mut(SEGMENT))
            {
                scores[index] = dot(query, key) * scale;
            }
        });
        let heads = running
            .scores
            .chunks_exact_mut(SEGMENT)
            .zip(running.maxima.iter_mut().zip(&mut running.sums));
        for ((scores, (maximum, sum)), answer) in heads.zip(answer.chunks_exact_mut(head_dim)) {
            let scores = &mut scores[..count];
            let highest = scores.iter().copied().fold(*maximum, f32::max);
            let kept = (*maximum - highest).exp();
            scale_by(answer, kept);
            for score in scores.iter_mut() {
                *score = (*score - highest).exp();
            }
            *sum = *sum * kept + scores.iter().sum::<f32>();
            *maximum = highest;
        }
        self.for_each_row(self.values, &sequence.blocks, (tokens, kv_head), |index, value| {
            for (answer, weights) in answer
                .chunks_exact_mut(head_dim)
                .zip(running.scores.chunks_exact(SEGMENT))
            {
                let weight = weights[index];
                answer
                    .iter_mut()
                    .zip(value)
                    .for_each(|(answer, value)| *answer += weight * value);
            }
        });
    }

    /// Shows `work` the numbers of one head for each of `tokens`, counted from zero.
    fn for_each_row(
        &self,
        numbers: &[f32],
        blocks: &[u32],
        (tokens, kv_head): (Range<usize>, usize),
        mut work: impl FnMut(usize, &[f32]),
    ) {
        let CacheShape {
            block_size,
            kv_heads,
            head_dim,
            ..
        } = *self.shape;
        let mut token = tokens.start;
        while token < tokens.end {
            let (block, place) = (blocks[token / block_size] as usize, token % block_size);
            let count = (block_size - place).min(tokens.end - token);
            let start = (block * block_size + place) * kv_heads * head_dim;
            let rows = &numbers[start..start + count * kv_heads * head_dim];
            for (index, row) in rows.chunks_exact(kv_heads * head_dim).enumerate() {
                work(
                    token - tokens.start + index,
                    &row[kv_head * head_dim..(kv_head + 1) * head_dim],
                );
            }
            token += count;
        }
    }
}

fn scale_by(numbers: &mut [f32], factor: f32) {
    for number in numbers {
        *number *= factor;
    }
}

/// The sequence of each row.
fn owners(plan: &AttentionPlan, rows: usize) -> Vec<usize> {
    let mut owners = vec![usize::MAX; rows];
    for (index, sequence) in plan.sequences.iter().enumerate() {
        if let Some(owned) = owners.get_mut(sequence.rows.clone()) {
            owned.fill(index);
        }
    }
    owners
}

/// Sum of products in a fixed order: [`LANES`] sums side by side, then their total, then what is left.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
