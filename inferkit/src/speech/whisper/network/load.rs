//! From a published folder to a network in memory, tensor by tensor.
//!
//! **Invariant:** no tensor is copied before its shape has been compared with the configuration's.

use std::borrow::Cow;
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
use crate::error::Error;
use crate::error::Result;
use crate::formats::safetensors::Checkpoint;
use crate::formats::safetensors::ElementType;
use crate::formats::safetensors::TensorView;
use crate::nn::CacheShape;
use crate::nn::Conv1d;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::nn::Embedding;
use crate::nn::Encoding;
use crate::nn::LayerNorm;
use crate::nn::Linear;
use crate::nn::PagedCache;
use crate::nn::Placement;
use crate::nn::StoredTensor;
use crate::nn::Weight;
use crate::nn::device_fault;
use crate::speech::whisper::config::StackConfig;
use crate::speech::whisper::config::WhisperConfig;
use crate::wrapper::Job;
use crate::wrapper::MemoryUse;
use crate::wrapper::Progress;

/// Added to the variance of a layer norm (PyTorch's default, which Whisper has).
const NORM_EPSILON: f32 = 1e-5;

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
    /// [`Error::BadModel`] naming file and key when it is broken or of a kind that is not supported.
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
    /// [`Error::BadModel`] for a tensor of a type that is not known.
    pub(in crate::speech::whisper) fn memory(&self, options: &NetworkOptions) -> Result<MemoryUse> {
        let placement = self.placement(options)?;
        let mut weights_bytes = 0_u64;
        for name in self.checkpoint.names() {
            if let Some(view) = self.checkpoint.find(name)? {
                weights_bytes = weights_bytes.saturating_add(placement.resident_bytes(&stored(view)?));
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
    /// [`Error::BadModel`] for a tensor that is missing or does not fit the configuration, [`Error::Unavailable`] when
    /// cancelled or when memory runs out.
    pub(in crate::speech::whisper) fn load(&self, options: &NetworkOptions, job: &Job) -> Result<Network> {
        let placement = self.placement(options)?;
        let weight_type = placement.name_of(self.need(TOKEN_TABLE)?.encoding);
        let mut loader = Loader {
            source: self,
            placement: &placement,
            job,
            read_bytes: 0,
            weights_bytes: 0,
        };
        let [work, own, sound] = self.caches(options);
        let cache = |(shape, _): &(CacheShape, Places)| {
            let (dtype, kernels) = (placement.cache_dtype(), placement.layer_kernels());
            PagedCache::new(*shape, dtype, &placement.device, kernels).map_err(device_fault)
        };
        let encoder = loader.encoder(cache(&work)?, work.1)?;
        let decoder = loader.decoder([cache(&own)?, cache(&sound)?], [own.1, sound.1])?;
        let cache_bytes = self.memory(options)?.cache_bytes;
        Ok(Network {
            encoder,
            decoder,
            memory: MemoryUse::new(loader.weights_bytes, cache_bytes),
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
        stored(self.checkpoint.tensor(name)?)
    }
}

/// Windows that are encoded together: more only take memory.
const LARGEST_BATCH: usize = 4;

/// Reads tensors, counts them, tells progress, and stops when the job is cancelled.
struct Loader<'a> {
    source: &'a NetworkSource,
    placement: &'a Placement,
    job: &'a Job,
    read_bytes: u64,
    weights_bytes: u64,
}

impl Loader<'_> {
    fn encoder(&mut self, cache: PagedCache, places: Places) -> Result<Encoder> {
        let config = &self.source.config;
        let (width, mel_bins, stack) = (config.width, config.mel_bins, config.encoder);
        let convolutions = [
            self.convolution("model.encoder.conv1", [width, mel_bins, 3], 1)?,
            self.convolution("model.encoder.conv2", [width, width, 3], 2)?,
        ];
        let positions = self.plain("model.encoder.embed_positions.weight", &[stack.positions, width])?;
        let layers = (0..stack.layers).map(|index| {
            let name = format!("model.encoder.layers.{index}");
            Ok(EncoderLayer {
                attention: self.attention(&name, "self_attn", stack.heads)?,
                feed_forward: self.feed_forward(&name, stack.inner)?,
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Encoder {
            mel_bins,
            convolutions,
            positions,
            layers,
            norm: self.norm("model.encoder.layer_norm")?,
            cache,
            places,
            device: self.placement.device.clone(),
            dtype: self.placement.dtype,
        })
    }

    fn decoder(&mut self, [own, sound]: [PagedCache; 2], [lanes, slots]: [Places; 2]) -> Result<Decoder> {
        let config = &self.source.config;
        let (width, stack) = (config.width, config.decoder);
        let table = self.weight(TOKEN_TABLE, [config.vocabulary, width])?;
        let positions = self.plain("model.decoder.embed_positions.weight", &[stack.positions, width])?;
        let layers = (0..stack.layers).map(|index| {
            let name = format!("model.decoder.layers.{index}");
            Ok(DecoderLayer {
                own: self.attention(&name, "self_attn", stack.heads)?,
                sound: self.attention(&name, "encoder_attn", stack.heads)?,
                feed_forward: self.feed_forward(&name, stack.inner)?,
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Decoder {
            head: Linear::new(&table, None).map_err(device_fault)?,
            embedding: Embedding::new(table, self.placement.dtype),
            positions,
            layers,
            norm: self.norm("model.decoder.layer_norm")?,
            own,
            lanes,
            sound,
            slots,
            device: self.placement.device.clone(),
            kernels: self.placement.layer_kernels().cloned(),
        })
    }

    fn attention(&mut self, layer: &str, kind: &str, heads: usize) -> Result<Attention> {
        let width = self.source.config.width;
        let name = |part: &str| format!("{layer}.{kind}.{part}");
        Ok(Attention {
            norm: self.norm(&format!("{layer}.{kind}_layer_norm"))?,
            query: self.linear(&name("q_proj"), [width, width])?,
            key: self.without_bias(&name("k_proj"), [width, width])?,
            value: self.linear(&name("v_proj"), [width, width])?,
            output: self.linear(&name("out_proj"), [width, width])?,
            heads,
        })
    }

    fn feed_forward(&mut self, layer: &str, inner: usize) -> Result<FeedForward> {
        let width = self.source.config.width;
        Ok(FeedForward {
            norm: self.norm(&format!("{layer}.final_layer_norm"))?,
            up: self.linear(&format!("{layer}.fc1"), [inner, width])?,
            down: self.linear(&format!("{layer}.fc2"), [width, inner])?,
        })
    }

    fn linear(&mut self, name: &str, shape: [usize; 2]) -> Result<Linear> {
        let weight = self.weight(&format!("{name}.weight"), shape)?;
        let bias = self.plain(&format!("{name}.bias"), &shape[..1])?;
        Linear::new(&weight, Some(bias)).map_err(device_fault)
    }

    fn without_bias(&mut self, name: &str, shape: [usize; 2]) -> Result<Linear> {
        let weight = self.weight(&format!("{name}.weight"), shape)?;
        Linear::new(&weight, None).map_err(device_fault)
    }

    fn norm(&mut self, name: &str) -> Result<LayerNorm> {
        let shape = [self.source.config.width];
        let weight = self.plain(&format!("{name}.weight"), &shape)?;
        let bias = self.plain(&format!("{name}.bias"), &shape)?;
        LayerNorm::new(weight, bias, NORM_EPSILON, self.placement.layer_kernels()).map_err(device_fault)
    }

    fn convolution(&mut self, name: &str, shape: [usize; 3], stride: usize) -> Result<Conv1d> {
        let weight = self.source.need(&format!("{name}.weight"))?;
        weight.expect_shape(&shape)?;
        let bias = self.source.need(&format!("{name}.bias"))?;
        let convolution = Conv1d::load(&weight, &bias, (stride, 1), self.placement)?;
        self.account(&weight)?;
        self.account(&bias)?;
        Ok(convolution)
    }

    fn weight(&mut self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        let stored = self.source.need(name)?;
        stored.expect_shape(&shape)?;
        let weight = stored.to_weight(self.placement)?;
        self.account(&stored)?;
        Ok(weight)
    }

    fn plain(&mut self, name: &str, shape: &[usize]) -> Result<candle_core::Tensor> {
        let stored = self.source.need(name)?;
        stored.expect_shape(shape)?;
        let tensor = stored.to_plain(self.placement)?;
        self.account(&stored)?;
        Ok(tensor)
    }

    /// Counts a tensor that was read, tells so, and stops if asked to.
    fn account(&mut self, stored: &StoredTensor<'_>) -> Result<()> {
        self.job.check()?;
        self.read_bytes = self.read_bytes.saturating_add(stored.bytes.len() as u64);
        self.weights_bytes = self.weights_bytes.saturating_add(self.placement.resident_bytes(stored));
        let total = self.source.checkpoint.bytes_total() as u64;
        self.job
            .report(Progress::phase("reading weights").with_bytes(self.read_bytes, Some(total)));
        Ok(())
    }
}

fn stored(view: TensorView<'_>) -> Result<StoredTensor<'_>> {
    let dtype = match view.dtype {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::Bf16 => DType::BF16,
        other => {
            return Err(Error::unsupported_model(format!(
                "tensor {}: weights of {other} are not supported; use a checkpoint of F32, F16 or BF16",
                view.name
            )));
        }
    };
    Ok(StoredTensor {
        name: Cow::Borrowed(view.name),
        encoding: Encoding::Plain(dtype),
        shape: view.shape,
        bytes: Cow::Borrowed(view.bytes),
    })
}
