//! How to load a decoder, and the decoder loaded.

use super::loader::Loader;
use super::source::DecoderSource;
use super::step::Decoder;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::nn::CacheDtypePreference;
use crate::nn::CacheType;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::nn::PagedCache;
use crate::nn::RotaryTable;
use crate::nn::device_fault;
use crate::wrapper::Job;
use crate::wrapper::MemoryUse;

/// How to load a decoder.
#[derive(Debug, Clone)]
pub(crate) struct DecoderOptions {
    /// Where to.
    pub(crate) device: Device,
    /// What the weights become.
    pub(crate) dtype: DtypePreference,
    /// What keys and values become.
    pub(crate) cache_dtype: CacheDtypePreference,
    /// Room for keys and values.
    pub(crate) cache: CacheSize,
    /// Longest sequence in tokens, if shorter than what the model is made for.
    pub(crate) max_model_len: Option<usize>,
}

/// Room for keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheSize {
    /// Blocks, block 0 included.
    pub(crate) blocks: usize,
    /// Tokens a block holds; [`Device::block_size`] suits the device.
    pub(crate) block_size: usize,
}

impl CacheSize {
    #[cfg(any(fuzzing, test))]
    /// Room for `tokens` tokens in blocks that suit `device`, and block 0.
    pub(crate) fn for_tokens(tokens: usize, device: &Device) -> Self {
        let block_size = device.block_size();
        Self {
            blocks: tokens.div_ceil(block_size).saturating_add(1),
            block_size,
        }
    }
}

impl Decoder {
    /// Loads a decoder; reports bytes read, and stops between two tensors when the job is cancelled.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming a tensor that is missing or has another shape than the configuration calls for,
    /// [`Error::InvalidRequest`] for a cache that cannot be addressed or of a type that attention does not read there, [`Error::Unavailable`] when cancelled or
    /// when the device's memory runs out.
    pub(crate) fn load(source: &DecoderSource, options: &DecoderOptions, job: &Job) -> Result<Self> {
        let config = &source.config;
        let placement = source.placement(&options.device, options.dtype)?;
        let shape = source.cache_shape(options.cache.blocks, options.cache.block_size);
        let cache_type = CacheType::choose(options.cache_dtype, &placement, shape.head_dim)?;
        let slots = shape
            .blocks
            .checked_mul(shape.block_size)
            .filter(|slots| u32::try_from(*slots).is_ok());
        if slots.is_none_or(|slots| slots <= shape.block_size) {
            let message = format!(
                "a cache of {} blocks of {} tokens is not possible",
                shape.blocks, shape.block_size
            );
            return Err(Error::invalid(RequestFault::InvalidValue, "cache", message));
        }
        let mut loader = Loader::new(source, placement, job);
        let (embedding, head) = loader.ends()?;
        let layers = (0..config.layers.len())
            .map(|index| loader.layer(index))
            .collect::<Result<Vec<_>>>()?;
        let norm = loader.final_norm()?;
        let (placement, weights_bytes) = loader.finish();
        let kernels = placement.kernels.as_ref();
        let cache = PagedCache::new(shape, cache_type, &placement.device, kernels).map_err(device_fault)?;
        let memory = MemoryUse::new(weights_bytes, shape.bytes(cache_type));
        let limit = options.max_model_len.unwrap_or(usize::MAX);
        tracing::info!(
            architecture = %config.architecture,
            layers = layers.len(),
            weights_bytes = memory.weights_bytes,
            cache_bytes = memory.cache_bytes,
            device = %options.device.name(),
            dtype = %placement.dtype.as_str(),
            "decoder loaded"
        );
        Ok(Self {
            embedding,
            layers,
            norm,
            head,
            rotary: RotaryTable::new(&config.rope, config.head_dim, placement.layer_kernels()),
            cache,
            max_model_len: config.max_positions.min(limit),
            vocabulary: config.vocabulary,
            memory,
            weight_type: placement.name_of(source.stored_encoding()?),
            placement,
        })
    }
}
