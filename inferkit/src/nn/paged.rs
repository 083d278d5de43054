//! Keys and values in blocks, and attention over them.
//!
//! ```text
//! cache of a layer   keys, values: [blocks · block size, kv heads, d]
//! sequence           block table [3, 7, 2]: its tokens 0..32 are in block 3, 32..64 in block 7, …
//! ```
//!
//! Keys and values of a step are written first and read back from the cache, in the cache's type, so that a
//! sequence gives the same result however it is cut into steps. Block 0 is never read.
//!
//! The processor's kernels walk the blocks where they lie ([`blocks`]); other devices, and heads of a size that the
//! kernels do not take, gather them ([`gather`]). Both compute the same function, and a test holds them equal.

mod blocks;
mod cache_type;
mod gather;

use std::cell::RefCell;
use std::ops::Range;

use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;

use self::blocks::Blocks;
pub(crate) use self::cache_type::CacheType;
use super::kernels::Kernels;

/// Sizes of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheShape {
    /// Layers of the model.
    pub(crate) layers: usize,
    /// Blocks, block 0 included.
    pub(crate) blocks: usize,
    /// Tokens a block holds.
    pub(crate) block_size: usize,
    /// Heads of keys and values.
    pub(crate) kv_heads: usize,
    /// Numbers a head has.
    pub(crate) head_dim: usize,
}

impl CacheShape {
    /// Bytes that one token takes in all layers, keys and values together.
    pub(crate) fn bytes_per_token(&self, cache_type: impl Into<CacheType>) -> u64 {
        [self.layers, 2, self.kv_heads]
            .iter()
            .fold(cache_type.into().bytes(self.head_dim), |product, size| {
                product.saturating_mul(*size as u64)
            })
    }

    /// Bytes of the whole cache.
    pub(crate) fn bytes(&self, cache_type: impl Into<CacheType>) -> u64 {
        let tokens = (self.blocks as u64).saturating_mul(self.block_size as u64);
        tokens.saturating_mul(self.bytes_per_token(cache_type))
    }
}

/// The key/value blocks of all layers.
#[derive(Debug)]
pub(crate) struct PagedCache {
    layers: Layers,
    shape: CacheShape,
    dtype: DType,
}

#[derive(Debug)]
enum Layers {
    Blocks(Blocks),
    Tensors(Vec<LayerCache>),
}

/// Keys and values of a layer, each `[blocks · block size, kv heads, d]`.
#[derive(Debug)]
struct LayerCache {
    keys: Tensor,
    values: Tensor,
}

/// What a step's sequences attend to; the same for all layers.
#[derive(Debug, Default)]
pub(crate) struct AttentionPlan {
    /// The sequences, in the order of their rows.
    pub(crate) sequences: Vec<SequencePlan>,
    /// Where each row's key and value go.
    slots: Vec<usize>,
    /// Runs of rows whose slots follow one another.
    runs: Vec<SlotRun>,
    /// What hides tokens from rows where tensors attend, made for the first layer that asks.
    masks: RefCell<Vec<(usize, Sight, Tensor)>>,
}

/// One sequence of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequencePlan {
    /// Its rows among the step's tokens; the last ones of its context.
    pub(crate) rows: Range<usize>,
    /// Tokens it sees in all.
    pub(crate) context: usize,
    /// Its blocks, enough for `context` tokens.
    pub(crate) blocks: Vec<u32>,
}

/// Rows that go to neighbouring slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlotRun {
    row: usize,
    slot: usize,
    length: usize,
}

impl AttentionPlan {
    /// A plan for tokens that go to `slots`, one a row.
    pub(crate) fn new(sequences: Vec<SequencePlan>, slots: &[u32]) -> Self {
        let slots: Vec<usize> = slots.iter().map(|slot| *slot as usize).collect();
        let mut runs: Vec<SlotRun> = Vec::new();
        for (row, slot) in slots.iter().copied().enumerate() {
            match runs.last_mut() {
                Some(run) if run.slot + run.length == slot => run.length += 1,
                _ => runs.push(SlotRun { row, slot, length: 1 }),
            }
        }
        Self {
            sequences,
            slots,
            runs,
            masks: RefCell::default(),
        }
    }
}

impl SequencePlan {
    /// Tokens in the cache before this step's.
    pub(crate) fn cached(&self) -> usize {
        self.context - self.rows.len()
    }
}

impl PagedCache {
    /// A cache of zeros; `kernels` keep it, where they are given and take its sizes. On the CPU, memory is taken from the
    /// system when it is first written.
    pub(crate) fn new(
        shape: CacheShape,
        cache_type: impl Into<CacheType>,
        device: &Device,
        kernels: Option<&Kernels>,
    ) -> Result<Self> {
        let cache_type = cache_type.into();
        let blocks = kernels.and_then(|kernels| Blocks::new(&shape, cache_type, kernels));
        let dtype = match (cache_type, &blocks) {
            // Tensors meet queries of their own type, which is f32 on the processor.
            (CacheType::Plain(_), None) if kernels.is_some() => DType::F32,
            (CacheType::Plain(dtype), _) => dtype,
            (CacheType::Int8, Some(_)) => DType::F32,
            (CacheType::Int8, None) => candle_core::bail!("only kernels keep keys and values in 8 bits"),
        };
        let size = (shape.blocks * shape.block_size, shape.kv_heads, shape.head_dim);
        let zeros = || Tensor::zeros(size, dtype, device);
        let layers = match blocks {
            Some(blocks) => Layers::Blocks(blocks),
            None => (0..shape.layers)
                .map(|_| {
                    Ok(LayerCache {
                        keys: zeros()?,
                        values: zeros()?,
                    })
                })
                .collect::<Result<_>>()
                .map(Layers::Tensors)?,
        };
        Ok(Self { layers, shape, dtype })
    }

    /// Its sizes.
    pub(crate) const fn shape(&self) -> &CacheShape {
        &self.shape
    }

    /// Writes a step's keys and values, `[t, kv heads, d]` each, to the plan's slots.
    pub(crate) fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor, plan: &AttentionPlan) -> Result<()> {
        match &mut self.layers {
            Layers::Blocks(blocks) => blocks.write(layer, keys, values, plan),
            Layers::Tensors(layers) => {
                let cache = layers.get(layer).ok_or_else(|| no_layer(layer))?;
                for (cache, step) in [(&cache.keys, keys), (&cache.values, values)] {
                    let step = step.to_dtype(self.dtype)?.contiguous()?;
                    for run in &plan.runs {
                        cache.slice_set(&step.narrow(0, run.row, run.length)?, 0, run.slot)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Copies whole blocks, from the first of each pair to the second, in all layers.
    pub(crate) fn copy_blocks(&mut self, pairs: &[(u32, u32)]) -> Result<()> {
        match &mut self.layers {
            Layers::Blocks(blocks) => blocks.copy_blocks(pairs),
            Layers::Tensors(layers) => {
                let size = self.shape.block_size;
                for cache in layers.iter().flat_map(|layer| [&layer.keys, &layer.values]) {
                    for (from, to) in pairs {
                        let block = cache.narrow(0, *from as usize * size, size)?.copy()?;
                        cache.slice_set(&block, 0, *to as usize * size)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Attention of `queries`, `[t, heads, d]`, over each row's own sequence up to itself: `[t, heads · d]`.
    ///
    /// With a `window`, a row sees only the last `window` tokens, itself included.
    pub(crate) fn attend(
        &self,
        layer: usize,
        queries: &Tensor,
        plan: &AttentionPlan,
        window: Option<usize>,
    ) -> Result<Tensor> {
        self.attend_with(layer, queries, plan, Sight::Before(window))
    }

    /// Attention of `queries`, `[t, heads, d]`, over all of each row's own sequence: `[t, heads · d]`.
    pub(crate) fn attend_all(&self, layer: usize, queries: &Tensor, plan: &AttentionPlan) -> Result<Tensor> {
        self.attend_with(layer, queries, plan, Sight::All)
    }

    fn attend_with(&self, layer: usize, queries: &Tensor, plan: &AttentionPlan, sight: Sight) -> Result<Tensor> {
        match &self.layers {
            Layers::Blocks(blocks) => blocks.attend(layer, queries, plan, sight),
            Layers::Tensors(layers) => {
                let cache = layers.get(layer).ok_or_else(|| no_layer(layer))?;
                gather::attend(queries, cache, plan, &self.shape, sight)
            }
        }
    }
}

/// What a row sees of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The tokens up to its own; of these the last so many, itself included.
    Before(Option<usize>),
    /// All of them.
    All,
}

impl Sight {
    const fn window(self) -> Option<usize> {
        match self {
            Self::Before(window) => window,
            Self::All => None,
        }
    }
}

fn no_layer(layer: usize) -> candle_core::Error {
    candle_core::Error::Msg(format!("the cache has no layer {layer}"))
}

#[cfg(test)]
mod tests;
