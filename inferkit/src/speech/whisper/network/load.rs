//! From a published folder to a network in memory.

use std::path::Path;

use candle_core::DType;

use super::Network;
use super::decoder::Decoder;
use super::decoder::DecoderLayer;
use super::encoder::Encoder;
use super::encoder::EncoderLayer;
use super::layer::Attention;
use super::layer::FeedForward;
use super::plan::Places;
use crate::error::Result;
use crate::formats::safetensors::Checkpoint;
use crate::nn::CacheShape;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::nn::Embedding;
use crate::nn::Encoding;
use crate::nn::Linear;
use crate::nn::PagedCache;
use crate::nn::Placement;
use crate::nn::StoredTensor;
use crate::nn::device_fault;
use crate::nn::loader::Loader;
use crate::nn::loader::Loading;
use crate::nn::loader::TensorSource;
use crate::nn::loader::missing;
use crate::speech::whisper::config::StackConfig;
use crate::speech::whisper::config::WhisperConfig;
use crate::wrapper::Job;
use crate::wrapper::MemoryUse;

/// The token table, which is also the output matrix.
const TOKEN_TABLE: &str = "model.decoder.embed_tokens.weight";

/// A network on disk: opened and checked, nothing loaded.
#[derive(Debug)]
pub(in crate::speech::whisper) struct NetworkSource {
    config: WhisperConfig,
    checkpoint: Checkpoint,
}

/// Where a network goes and how much it does at once.
#[derive(Debug, Clone)]
pub(in crate::speech::whisper) struct NetworkOptions {
    pub(in crate::speech::whisper) device: Device,
    pub(in crate::speech::whisper) dtype: DtypePreference,
    /// Windows that are at work at once.
    pub(in crate::speech::whisper) slots: usize,
    /// Texts that are written at once.
    pub(in crate::speech::whisper) lanes: usize,
}

impl NetworkSource {
    /// Opens a model's folder.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] naming file and key when it is broken or of a kind that is not supported.
    pub(in crate::speech::whisper) fn open(folder: &Path) -> Result<Self> {
        Ok(Self {
            config: WhisperConfig::from_folder(folder)?,
            checkpoint: Checkpoint::open(folder)?,
        })
    }

    /// What the network looks like.
    pub(in crate::speech::whisper) const fn config(&self) -> &WhisperConfig {
        &self.config
    }

    /// Memory that loading will take, from the directory alone.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] for a tensor of a type that is not known.
    pub(in crate::speech::whisper) fn memory(&self, options: &NetworkOptions) -> Result<MemoryUse> {
        let placement = self.placement(options)?;
        let mut weights_bytes = 0_u64;
        for name in self.checkpoint.names() {
            if let Some(stored) = TensorSource::find(&self.checkpoint, name)? {
                weights_bytes = weights_bytes.saturating_add(placement.resident_bytes(&stored));
            }
        }
        let caches = self.caches(options);
        let bytes = |(shape, _): &(CacheShape, Places)| shape.bytes(placement.cache_dtype());
        Ok(MemoryUse::new(
            weights_bytes,
            caches.iter().map(bytes).fold(0, u64::saturating_add),
        ))
    }

    /// Loads the network.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] for a tensor that is missing or does not fit the configuration, [`crate::Error::Unavailable`] when
    /// cancelled or when memory runs out.
    pub(in crate::speech::whisper) fn load(&self, options: &NetworkOptions, job: &Job) -> Result<Network> {
        let placement = self.placement(options)?;
        let weight_type = placement.name_of(self.need(TOKEN_TABLE)?.encoding);
        let loading = Loading::new(placement, job, self.checkpoint.bytes_total() as u64);
        let placement = &loading.placement;
        let layers = Layers {
            config: &self.config,
            weights: Loader::new(&self.checkpoint, &loading).at("model"),
            placement,
        };
        let [work, own, sound] = self.caches(options);
        let cache = |(shape, _): &(CacheShape, Places)| {
            let (dtype, kernels) = (placement.cache_dtype(), placement.layer_kernels());
            PagedCache::new(*shape, dtype, &placement.device, kernels).map_err(device_fault)
        };
        let encoder = layers.encoder(cache(&work)?, work.1)?;
        let decoder = layers.decoder([cache(&own)?, cache(&sound)?], [own.1, sound.1])?;
        let cache_bytes = self.memory(options)?.cache_bytes;
        Ok(Network {
            encoder,
            decoder,
            memory: MemoryUse::new(loading.weights_bytes.get(), cache_bytes),
            weight_type,
        })
    }

    fn placement(&self, options: &NetworkOptions) -> Result<Placement> {
        let stored = match self.need(TOKEN_TABLE)?.encoding {
            Encoding::Plain(dtype) => dtype,
            Encoding::Blocks(_) => DType::F32,
        };
        Ok(options.device.placement(options.dtype, stored))
    }

    /// Shape and places of the three caches: the encoder's at work, the lanes', the slots'.
    fn caches(&self, options: &NetworkOptions) -> [(CacheShape, Places); 3] {
        let block_size = options.device.block_size();
        let shape = |stack: &StackConfig, layers, count, tokens| {
            let places = Places {
                count,
                tokens,
                block_size,
            };
            let shape = CacheShape {
                layers,
                blocks: places.blocks(),
                block_size,
                kv_heads: stack.heads,
                head_dim: stack.head_dim(self.config.width),
            };
            (shape, places)
        };
        let (encoder, decoder) = (&self.config.encoder, &self.config.decoder);
        [
            shape(encoder, 1, options.slots.min(LARGEST_BATCH), encoder.positions),
            shape(decoder, decoder.layers, options.lanes, decoder.positions),
            shape(decoder, decoder.layers, options.slots, encoder.positions),
        ]
    }

    fn need(&self, name: &str) -> Result<StoredTensor<'_>> {
        TensorSource::find(&self.checkpoint, name)?.ok_or_else(|| missing(name))
    }
}

/// Windows that are encoded together: more only take memory.
const LARGEST_BATCH: usize = 4;

/// Makes layers of the tensors that the configuration names.
struct Layers<'a> {
    config: &'a WhisperConfig,
    /// Tensors below `model.`.
    weights: Loader<'a>,
    placement: &'a Placement,
}

impl Layers<'_> {
    fn encoder(&self, cache: PagedCache, places: Places) -> Result<Encoder> {
        let (width, mel_bins, stack) = (self.config.width, self.config.mel_bins, self.config.encoder);
        let weights = self.weights.at("encoder");
        let convolutions = [
            weights.at("conv1").convolution([width, mel_bins, 3], (1, 1))?,
            weights.at("conv2").convolution([width, width, 3], (2, 1))?,
        ];
        let positions = weights
            .at("embed_positions")
            .plain("weight", &[stack.positions, width])?;
        let layers = (0..stack.layers).map(|index| {
            let layer = weights.at(format_args!("layers.{index}"));
            Ok(EncoderLayer {
                attention: self.attention(&layer, "self_attn", stack.heads)?,
                feed_forward: self.feed_forward(&layer, stack.inner)?,
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Encoder {
            mel_bins,
            convolutions,
            positions,
            layers,
            norm: weights.at("layer_norm").layer_norm(width)?,
            cache,
            places,
            device: self.placement.device.clone(),
            dtype: self.placement.dtype,
        })
    }

    fn decoder(&self, [own, sound]: [PagedCache; 2], [lanes, slots]: [Places; 2]) -> Result<Decoder> {
        let (width, stack) = (self.config.width, self.config.decoder);
        let weights = self.weights.at("decoder");
        let table = weights
            .at("embed_tokens")
            .matrix("weight", &[self.config.vocabulary, width])?;
        let positions = weights
            .at("embed_positions")
            .plain("weight", &[stack.positions, width])?;
        let layers = (0..stack.layers).map(|index| {
            let layer = weights.at(format_args!("layers.{index}"));
            Ok(DecoderLayer {
                own: self.attention(&layer, "self_attn", stack.heads)?,
                sound: self.attention(&layer, "encoder_attn", stack.heads)?,
                feed_forward: self.feed_forward(&layer, stack.inner)?,
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Decoder {
            head: Linear::new(&table, None).map_err(device_fault)?,
            embedding: Embedding::new(table, self.placement.dtype),
            positions,
            layers,
            norm: weights.at("layer_norm").layer_norm(width)?,
            own,
            lanes,
            sound,
            slots,
            device: self.placement.device.clone(),
            kernels: self.placement.layer_kernels().cloned(),
        })
    }

    fn attention(&self, layer: &Loader<'_>, kind: &str, heads: usize) -> Result<Attention> {
        let width = self.config.width;
        let linear = |part: &str, has_bias| {
            layer
                .at(format_args!("{kind}.{part}"))
                .linear(&[width, width], has_bias)
        };
        Ok(Attention {
            norm: layer.at(format_args!("{kind}_layer_norm")).layer_norm(width)?,
            query: linear("q_proj", true)?,
            key: linear("k_proj", false)?,
            value: linear("v_proj", true)?,
            output: linear("out_proj", true)?,
            heads,
        })
    }

    fn feed_forward(&self, layer: &Loader<'_>, inner: usize) -> Result<FeedForward> {
        let width = self.config.width;
        Ok(FeedForward {
            norm: layer.at("final_layer_norm").layer_norm(width)?,
            up: layer.at("fc1").linear(&[inner, width], true)?,
            down: layer.at("fc2").linear(&[width, inner], true)?,
        })
    }
}
