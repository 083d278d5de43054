//! A decoder on disk: its configuration and its stored tensors, from either kind of file.

use std::borrow::Cow;
use std::path::Path;

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use super::config::DecoderConfig;
use super::names;
use super::names::Name;
use crate::chat::files::ModelFiles;
use crate::error::Error;
use crate::error::Result;
use crate::formats::gguf;
use crate::formats::gguf::GgmlType;
use crate::formats::gguf::Gguf;
use crate::formats::safetensors;
use crate::formats::safetensors::Checkpoint;
use crate::formats::safetensors::ElementType;
use crate::nn::CacheDtypePreference;
use crate::nn::CacheShape;
use crate::nn::CacheType;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::nn::Encoding;
use crate::nn::Placement;
use crate::nn::StoredTensor;

/// Longest `config.json` that is read; published ones have two kilobytes.
const LONGEST_CONFIG: u64 = 1 << 20;

/// A decoder's files, opened and checked, nothing loaded. Cheap to make.
#[derive(Debug)]
pub(crate) struct DecoderSource {
    pub(super) config: DecoderConfig,
    pub(super) tensors: Tensors,
}

/// The stored tensors of either kind of file.
#[derive(Debug)]
pub(super) enum Tensors {
    Published(Checkpoint),
    Gguf(Gguf),
}

/// The memory that a decoder will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryEstimate {
    /// Weights, in bytes.
    pub(crate) weights_bytes: u64,
    /// Key/value cache, in bytes per token of context.
    pub(crate) cache_bytes_per_token: u64,
}

impl DecoderSource {
    /// Opens a model's files and reads its configuration.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming file and key when they are broken or of a kind that is not supported.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self> {
        match files {
            ModelFiles::Folder(folder) => {
                let text = read_config(&folder.join("config.json"))?;
                let checkpoint = Checkpoint::open(folder)?;
                let config = DecoderConfig::from_json(&text, checkpoint.contains("lm_head.weight"))?;
                Ok(Self {
                    config,
                    tensors: Tensors::Published(checkpoint),
                })
            }
            ModelFiles::Gguf(path) => {
                let gguf = Gguf::open(path)?;
                Ok(Self {
                    config: DecoderConfig::from_gguf(&gguf)?,
                    tensors: Tensors::Gguf(gguf),
                })
            }
        }
    }

    /// What the decoder looks like.
    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// What loading will take on `device`, from the directories alone.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a tensor of a type that is not known, [`Error::InvalidRequest`] for keys and values of a type that
    /// attention does not read there.
    pub(crate) fn memory(
        &self,
        device: &Device,
        dtype: DtypePreference,
        cache_dtype: CacheDtypePreference,
    ) -> Result<MemoryEstimate> {
        let placement = self.placement(device, dtype)?;
        let mut weights_bytes = 0_u64;
        for name in self.tensors.names() {
            if let Some(tensor) = self.tensors.find(name)? {
                weights_bytes = weights_bytes.saturating_add(placement.resident_bytes(&tensor));
            }
        }
        let shape = self.cache_shape(0, 0);
        Ok(MemoryEstimate {
            weights_bytes,
            cache_bytes_per_token: shape.bytes_per_token(CacheType::choose(cache_dtype, &placement, shape.head_dim)?),
        })
    }

    /// Where the weights go and what they become there.
    ///
    /// Blocks stay blocks with `auto`, and compute in f32. A named type widens them to that type.
    pub(super) fn placement(&self, device: &Device, dtype: DtypePreference) -> Result<Placement> {
        let stored = match &self.tensors {
            Tensors::Gguf(_) => DType::F32,
            Tensors::Published(_) => match self.stored_encoding()? {
                Encoding::Plain(dtype) => dtype,
                Encoding::Blocks(_) => DType::F32,
            },
        };
        Ok(device.placement(dtype, stored))
    }

    /// How most of the weights are stored: what the first layer's query matrix is.
    pub(super) fn stored_encoding(&self) -> Result<Encoding> {
        let name = self.tensors.layer_name(0, names::QUERY);
        Ok(self.tensors.need(&format!("{name}.weight"))?.encoding)
    }

    /// Least and most bytes that a token of the cache takes before the device is known: numbers of 16 and of 32 bits, unless a type
    /// was asked for.
    pub(crate) fn cache_bytes_per_token(&self, wanted: CacheDtypePreference) -> (u64, u64) {
        let shape = self.cache_shape(0, 0);
        let [least, most] = match wanted {
            CacheDtypePreference::Auto => [DType::F16, DType::F32].map(CacheType::Plain),
            CacheDtypePreference::F32 => [CacheType::Plain(DType::F32); 2],
            CacheDtypePreference::Bf16 => [CacheType::Plain(DType::BF16); 2],
            CacheDtypePreference::Int8 => [CacheType::Int8; 2],
        };
        (shape.bytes_per_token(least), shape.bytes_per_token(most))
    }

    pub(super) fn cache_shape(&self, blocks: usize, block_size: usize) -> CacheShape {
        let config = &self.config;
        let (layers, kv_heads, head_dim) = (config.layers.len(), config.kv_heads, config.head_dim);
        CacheShape {
            layers,
            blocks,
            block_size,
            kv_heads,
            head_dim,
        }
    }
}

impl Tensors {
    /// The name of a tensor that stands outside the layers, without `.weight`.
    pub(super) const fn model_name(&self, name: Name) -> &'static str {
        match self {
            Self::Published(_) => name.published,
            Self::Gguf(_) => name.gguf,
        }
    }

    /// The name of a layer's tensor, without `.weight`.
    pub(super) fn layer_name(&self, layer: usize, name: Name) -> String {
        match self {
            Self::Published(_) => format!("model.layers.{layer}.{}", name.published),
            Self::Gguf(_) => format!("blk.{layer}.{}", name.gguf),
        }
    }

    /// The tensor `name`, suffix included.
    pub(super) fn need(&self, name: &str) -> Result<StoredTensor<'_>> {
        match self {
            Self::Published(checkpoint) => from_safetensors(checkpoint.tensor(name)?),
            Self::Gguf(gguf) => from_gguf(gguf.need(name)?),
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        match self {
            Self::Published(checkpoint) => checkpoint.find(name)?.map(from_safetensors).transpose(),
            Self::Gguf(gguf) => gguf.tensor(name)?.map(from_gguf).transpose(),
        }
    }

    pub(super) fn bytes_total(&self) -> u64 {
        match self {
            Self::Published(checkpoint) => checkpoint.bytes_total() as u64,
            Self::Gguf(gguf) => gguf.bytes_total() as u64,
        }
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Published(checkpoint) => Box::new(checkpoint.names()),
            Self::Gguf(gguf) => Box::new(gguf.names()),
        }
    }
}

fn read_config(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        let message = format!(
            "{} cannot be read; download the model again or correct the path",
            path.display()
        );
        Error::bad_model(message).with_source(error)
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST_CONFIG {
        let message = format!("{} has {length} bytes; no configuration is that long", path.display());
        return Err(Error::bad_model(message));
    }
    std::fs::read(path).map_err(unreadable)
}

fn from_safetensors(view: safetensors::TensorView<'_>) -> Result<StoredTensor<'_>> {
    let dtype = match view.dtype {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::Bf16 => DType::BF16,
        other => {
            return Err(Error::unsupported_model(format!(
                "tensor {}: weights of {other} are not supported; use a checkpoint of F32, F16 or BF16, or a GGUF",
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

fn from_gguf(view: gguf::TensorView<'_>) -> Result<StoredTensor<'_>> {
    let encoding = match view.kind {
        GgmlType::F32 => Encoding::Plain(DType::F32),
        GgmlType::F16 => Encoding::Plain(DType::F16),
        GgmlType::Bf16 => Encoding::Plain(DType::BF16),
        GgmlType::Q4_0 => Encoding::Blocks(GgmlDType::Q4_0),
        GgmlType::Q4_1 => Encoding::Blocks(GgmlDType::Q4_1),
        GgmlType::Q5_0 => Encoding::Blocks(GgmlDType::Q5_0),
        GgmlType::Q5_1 => Encoding::Blocks(GgmlDType::Q5_1),
        GgmlType::Q8_0 => Encoding::Blocks(GgmlDType::Q8_0),
        GgmlType::Q2K => Encoding::Blocks(GgmlDType::Q2K),
        GgmlType::Q3K => Encoding::Blocks(GgmlDType::Q3K),
        GgmlType::Q4K => Encoding::Blocks(GgmlDType::Q4K),
        GgmlType::Q5K => Encoding::Blocks(GgmlDType::Q5K),
        GgmlType::Q6K => Encoding::Blocks(GgmlDType::Q6K),
        GgmlType::Q8K => Encoding::Blocks(GgmlDType::Q8K),
        GgmlType::Unknown(_) => {
            let message = format!("tensor {}: weights of {} are not supported", view.name, view.kind);
            return Err(Error::unsupported_model(message));
        }
    };
    Ok(StoredTensor {
        name: Cow::Borrowed(view.name),
        encoding,
        shape: view.shape,
        bytes: Cow::Borrowed(view.bytes),
    })
}
