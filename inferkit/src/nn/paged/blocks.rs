//! Keys and values in the order in which the processor's kernels read them, and attention that walks the blocks where they
//! lie.
//!
//! **Invariant:** a row is the same, bit by bit, however its sequence is cut into steps and whatever else is in the batch;
//! the kernels see to it.

use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::AttentionOptions;
use inferkit_kernels::BLOCK_TOKENS;
use inferkit_kernels::KvCache;
use inferkit_kernels::Mask;
use inferkit_kernels::Sequence;
use inferkit_kernels::attention;

use super::AttentionPlan;
use super::CacheShape;
use super::CacheType;
use super::Sight;
use crate::nn::kernels::Kernels;
use crate::nn::kernels::make_rows;
use crate::nn::kernels::with_rows;

/// The blocks of all layers.
#[derive(Debug)]
pub(super) struct Blocks {
    layers: Vec<KvCache>,
    kernels: Kernels,
}

impl Blocks {
    /// An empty cache, or nothing for types and sizes that the kernels do not take.
    pub(super) fn new(shape: &CacheShape, cache_type: CacheType, kernels: &Kernels) -> Option<Self> {
        let of_layer = inferkit_kernels::CacheShape {
            blocks: shape.blocks,
            kv_heads: shape.kv_heads,
            width: shape.head_dim,
            element: cache_type.element()?,
        };
        let holds_something = shape.blocks > 0 && shape.kv_heads > 0 && shape.head_dim > 0;
        let fits = shape.block_size == BLOCK_TOKENS && shape.head_dim.is_multiple_of(16);
        (holds_something && fits && of_layer.bytes().is_some()).then(|| Self {
            layers: (0..shape.layers)
                .map(|_| KvCache::new(kernels.isa(), of_layer))
                .collect(),
            kernels: kernels.clone(),
        })
    }

    /// See [`super::PagedCache::write`].
    pub(super) fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor, plan: &AttentionPlan) -> Result<()> {
        let pool = self.kernels.pool();
        let cache = self.layers.get_mut(layer).ok_or_else(|| super::no_layer(layer))?;
        with_rows(&keys.flatten_from(1)?, |keys| {
            with_rows(&values.flatten_from(1)?, |values| {
                cache.write(pool, keys, values, &plan.slots);
                Ok(())
            })
        })
    }

    /// See [`super::PagedCache::copy_blocks`].
    pub(super) fn copy_blocks(&mut self, pairs: &[(u32, u32)]) -> Result<()> {
        for layer in &mut self.layers {
            let blocks = layer.shape().blocks;
            for (from, to) in pairs {
                let (from, to) = (*from as usize, *to as usize);
                if from >= blocks || to >= blocks {
                    candle_core::bail!("blocks {from} and {to} of a cache that has {blocks}");
                }
                layer.copy_block(from, to);
            }
        }
        Ok(())
    }

    /// See [`super::PagedCache::attend`].
    pub(super) fn attend(&self, layer: usize, queries: &Tensor, plan: &AttentionPlan, sight: Sight) -> Result<Tensor> {
        let cache = self.layers.get(layer).ok_or_else(|| super::no_layer(layer))?;
        let (_, heads, head_dim) = queries.dims3()?;
        let options = AttentionOptions::new(heads, (head_dim as f32).sqrt().recip())
            .with_window(sight.window())
            .with_mask(match sight {
                Sight::Before(_) => Mask::Causal,
                Sight::All => Mask::Full,
            });
        let sequences: Vec<_> = plan
            .sequences
            .iter()
            .map(|sequence| Sequence {
                q_start: sequence.rows.start,
                q_len: sequence.rows.len(),
                context: sequence.context,
                block_table: &sequence.blocks,
            })
            .collect();
        let answer = with_rows(&queries.flatten_from(1)?, |queries| {
            make_rows(queries.rows(), queries.width(), |out| {
                attention(self.kernels.pool(), cache, queries, &sequences, options, out);
            })
        })?;
        answer.to_dtype(queries.dtype())
    }
}
