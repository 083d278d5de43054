//! From stored tensors to a decoder in memory, tensor by tensor.

use candle_core::DType;

use super::config::DecoderConfig;
use super::config::ExpertConfig;
use super::layer::Attention;
use super::layer::FeedForward;
use super::layer::Layer;
use super::names;
use super::names::Name;
use super::source::DecoderSource;
use super::source::Tensors;
use super::source::resident_bytes;
use super::step::Decoder;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::nn::Embedding;
use crate::nn::Linear;
use crate::nn::Mixture;
use crate::nn::Mlp;
use crate::nn::PagedCache;
use crate::nn::Placement;
use crate::nn::RmsNorm;
use crate::nn::RotaryTable;
use crate::nn::StoredTensor;
use crate::nn::Weight;
use crate::nn::device_fault;
use crate::wrapper::Job;
use crate::wrapper::MemoryUse;
use crate::wrapper::Progress;

/// How to load a decoder.
#[derive(Debug, Clone)]
pub(crate) struct DecoderOptions {
    /// Where to.
    pub(crate) device: Device,
    /// What the weights become.
    pub(crate) dtype: DtypePreference,
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
    /// [`Error::InvalidRequest`] for a cache that cannot be addressed, [`Error::Unavailable`] when cancelled or
    /// when the device's memory runs out.
    pub(crate) fn load(source: &DecoderSource, options: &DecoderOptions, job: &Job) -> Result<Self> {
        let config = &source.config;
        let placement = source.placement(&options.device, options.dtype)?;
        let shape = source.cache_shape(options.cache.blocks, options.cache.block_size);
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
        let norm = loader.norm(loader.global(names::FINAL_NORM), config.hidden)?;
        let placement = loader.placement;
        let cache = PagedCache::new(shape, placement.cache_dtype(), &placement.device).map_err(device_fault)?;
        let memory = MemoryUse::new(loader.weights_bytes, shape.bytes(placement.cache_dtype()));
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
            rotary: RotaryTable::new(&config.rope, config.head_dim),
            cache,
            max_model_len: config.max_positions.min(limit),
            vocabulary: config.vocabulary,
            memory,
            weight_type: placement.name_of(source.stored_encoding()?),
            placement,
        })
    }
}

struct Loader<'a> {
    config: &'a DecoderConfig,
    tensors: &'a Tensors,
    placement: Placement,
    job: &'a Job,
    read_bytes: u64,
    weights_bytes: u64,
}

impl<'a> Loader<'a> {
    fn new(source: &'a DecoderSource, placement: Placement, job: &'a Job) -> Self {
        let DecoderSource { config, tensors } = source;
        Self {
            config,
            tensors,
            placement,
            job,
            read_bytes: 0,
            weights_bytes: 0,
        }
    }

    fn layer(&mut self, index: usize) -> Result<Layer> {
        let (config, name) = (self.config, |name: Name| {
            self.tensors.layer_name(index, name.published, name.gguf)
        });
        let names = (name(names::ATTENTION_NORM), name(names::MLP_NORM));
        let sparse = config
            .experts
            .filter(|_| config.layers.get(index).is_some_and(|layer| layer.sparse));
        Ok(Layer {
            attention_norm: self.norm(names.0, config.hidden)?,
            attention: self.attention(index)?,
            feed_forward_norm: self.norm(names.1, config.hidden)?,
            feed_forward: match sparse {
                Some(experts) => FeedForward::Sparse(self.mixture(index, experts)?),
                None => FeedForward::Dense(self.mlp(index)?),
            },
        })
    }

    fn attention(&mut self, index: usize) -> Result<Attention> {
        let config = self.config;
        let name = |name: Name| self.tensors.layer_name(index, name.published, name.gguf);
        let (query, key, value, output) = (
            name(names::QUERY),
            name(names::KEY),
            name(names::VALUE),
            name(names::ATTENTION_OUTPUT),
        );
        let norms = (name(names::QUERY_NORM), name(names::KEY_NORM));
        let biases = config.biases;
        Ok(Attention {
            query: self.turned(&query, [config.query_width(), config.hidden], biases.query_key_value)?,
            key: self.turned(&key, [config.kv_width(), config.hidden], biases.query_key_value)?,
            value: self.linear(&value, [config.kv_width(), config.hidden], biases.query_key_value)?,
            output: self.linear(&output, [config.hidden, config.query_width()], biases.attention_output)?,
            head_norms: match config.head_norms {
                true => Some((
                    self.norm(norms.0, config.head_dim)?,
                    self.norm(norms.1, config.head_dim)?,
                )),
                false => None,
            },
            head_dim: config.head_dim,
            window: config.layers.get(index).and_then(|layer| layer.window),
        })
    }

    fn mlp(&mut self, index: usize) -> Result<Mlp> {
        let (hidden, width, bias) = (self.config.hidden, self.config.intermediate, self.config.biases.mlp);
        let name = |name: Name| self.tensors.layer_name(index, name.published, name.gguf);
        let (gate, up, down) = (name(names::GATE), name(names::UP), name(names::DOWN));
        Ok(Mlp {
            gate: self.linear(&gate, [width, hidden], bias)?,
            up: self.linear(&up, [width, hidden], bias)?,
            down: self.linear(&down, [hidden, width], bias)?,
        })
    }

    fn mixture(&mut self, index: usize, experts: ExpertConfig) -> Result<Mixture> {
        let router = self
            .tensors
            .layer_name(index, names::ROUTER.published, names::ROUTER.gguf);
        let router = self.tensors.need(&format!("{router}.weight"))?;
        router.expect_shape(&[experts.count, self.config.hidden])?;
        let in_f32 = Placement {
            dtype: DType::F32,
            widen_blocks: true,
            ..self.placement.clone()
        };
        let weight = Weight::Plain(router.to_plain(&in_f32)?);
        self.account(&router, &in_f32)?;
        let router = Linear::new(&weight, None).map_err(device_fault)?;
        let (hidden, width) = (self.config.hidden, experts.intermediate);
        let gates = self.experts(index, names::EXPERT_GATE, [experts.count, width, hidden])?;
        let ups = self.experts(index, names::EXPERT_UP, [experts.count, width, hidden])?;
        let downs = self.experts(index, names::EXPERT_DOWN, [experts.count, hidden, width])?;
        let parts = gates.into_iter().zip(ups).zip(downs);
        let experts_mlp = parts.map(|((gate, up), down)| Mlp { gate, up, down }).collect();
        Ok(Mixture::new(router, experts_mlp, experts.routing))
    }

    /// One matrix of all experts: a stack in a GGUF, a tensor each in a checkpoint.
    fn experts(&mut self, layer: usize, name: Name, [count, rows, columns]: [usize; 3]) -> Result<Vec<Linear>> {
        match self.tensors {
            Tensors::Published(_) => (0..count)
                .map(|expert| {
                    let name = self
                        .tensors
                        .layer_name(layer, &format!("mlp.experts.{expert}.{}", name.published), "");
                    self.linear(&name, [rows, columns], false)
                })
                .collect(),
            Tensors::Gguf(gguf) => {
                let name = format!("blk.{layer}.{}.weight", name.gguf);
                let stack = self.tensors.need(&name)?;
                debug_assert!(gguf.contains(&name), "the stack was found");
                stack.expect_shape(&[count, rows, columns])?;
                let mut experts = Vec::with_capacity(count);
                for part in stack.unstack()? {
                    let weight = self.weight(&part)?;
                    experts.push(Linear::new(&weight, None).map_err(device_fault)?);
                }
                Ok(experts)
            }
        }
    }

    /// The embedding, and the output matrix, which may be the same.
    fn ends(&mut self) -> Result<(Embedding, Linear)> {
        let shape = [self.config.vocabulary, self.config.hidden];
        let embedding = self
            .tensors
            .need(&format!("{}.weight", self.tensors.global_name(names::EMBEDDING)))?;
        embedding.expect_shape(&shape)?;
        let table = self.weight(&embedding)?;
        let head = match self.config.tied_output {
            true => Linear::new(&table, None).map_err(device_fault)?,
            false => self.linear(&self.global(names::OUTPUT), shape, false)?,
        };
        Ok((Embedding::new(table, self.placement.dtype), head))
    }

    fn global(&self, name: Name) -> String {
        self.tensors.global_name(name).to_owned()
    }

    fn norm(&mut self, name: String, width: usize) -> Result<RmsNorm> {
        let stored = self.tensors.need(&format!("{name}.weight"))?;
        stored.expect_shape(&[width])?;
        let weight = stored.to_plain(&self.placement)?;
        self.account(&stored, &self.placement.clone())?;
        Ok(RmsNorm::new(weight, self.config.norm_epsilon))
    }

    fn linear(&mut self, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear> {
        self.rearranged(name, shape, bias, Ok)
    }

    /// A linear layer whose output is turned by position: its rows become half-split.
    fn turned(&mut self, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear> {
        let (interleaved, head_dim) = (self.config.interleaved, self.config.head_dim);
        self.rearranged(name, shape, bias, |stored| match interleaved {
            true => stored.into_half_split(head_dim),
            false => Ok(stored),
        })
    }

    fn rearranged(
        &mut self,
        name: &str,
        shape: [usize; 2],
        bias: bool,
        rearrange: impl Fn(StoredTensor<'a>) -> Result<StoredTensor<'a>>,
    ) -> Result<Linear> {
        let tensors = self.tensors;
        let rows = tensors.need(&format!("{name}.weight"))?;
        rows.expect_shape(&shape)?;
        let weight = self.weight(&rearrange(rows)?)?;
        let bias = match bias {
            true => {
                let stored = tensors.need(&format!("{name}.bias"))?;
                stored.expect_shape(&shape[..1])?;
                let stored = rearrange(stored)?;
                self.account(&stored, &self.placement.clone())?;
                Some(stored.to_plain(&self.placement)?)
            }
            false => None,
        };
        Linear::new(&weight, bias).map_err(device_fault)
    }

    fn weight(&mut self, stored: &StoredTensor<'_>) -> Result<Weight> {
        let weight = stored.to_weight(&self.placement)?;
        self.account(stored, &self.placement.clone())?;
        Ok(weight)
    }

    /// Counts a tensor that was read, tells so, and stops if asked to.
    fn account(&mut self, stored: &StoredTensor<'_>, placement: &Placement) -> Result<()> {
        self.job.check()?;
        self.read_bytes = self.read_bytes.saturating_add(stored.bytes.len() as u64);
        self.weights_bytes = self.weights_bytes.saturating_add(resident_bytes(stored, placement));
        let progress = Progress::phase("reading weights").with_bytes(self.read_bytes, Some(self.tensors.bytes_total()));
        self.job.report(progress);
        Ok(())
    }
}
