//! From stored tensors to layers in memory, tensor by tensor.
//!
//! **Invariant:** no tensor is copied before its shape has been compared with the configuration's.

use super::config::DecoderConfig;
use super::config::ExpertConfig;
use super::layer::Attention;
use super::layer::FeedForward;
use super::layer::Layer;
use super::names;
use super::names::Name;
use super::source::DecoderSource;
use super::source::Tensors;
use crate::error::Result;
use crate::nn::Embedding;
use crate::nn::Linear;
use crate::nn::Mixture;
use crate::nn::Mlp;
use crate::nn::Placement;
use crate::nn::RmsNorm;
use crate::nn::StoredTensor;
use crate::nn::Weight;
use crate::nn::device_fault;
use crate::wrapper::Job;
use crate::wrapper::Progress;

/// Reads tensors, counts them, tells progress, and stops when the job is cancelled.
pub(super) struct Loader<'a> {
    config: &'a DecoderConfig,
    tensors: &'a Tensors,
    placement: Placement,
    job: &'a Job,
    read_bytes: u64,
    weights_bytes: u64,
}

/// Which tensor of a name's kind is meant.
#[derive(Clone, Copy)]
enum Place {
    Model,
    Layer(usize),
}

/// What a linear layer looks like.
#[derive(Clone, Copy)]
struct Form {
    rows: usize,
    columns: usize,
    bias: Bias,
}

#[derive(Clone, Copy)]
enum Bias {
    None,
    Stored,
}

impl Form {
    const fn new(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            bias: Bias::None,
        }
    }

    fn with_bias_if(self, stored: bool) -> Self {
        let bias = if stored { Bias::Stored } else { Bias::None };
        Self { bias, ..self }
    }
}

impl<'a> Loader<'a> {
    pub(super) fn new(source: &'a DecoderSource, placement: Placement, job: &'a Job) -> Self {
        Self {
            config: &source.config,
            tensors: &source.tensors,
            placement,
            job,
            read_bytes: 0,
            weights_bytes: 0,
        }
    }

    /// Where the weights went, and the bytes they take there.
    pub(super) fn finish(self) -> (Placement, u64) {
        (self.placement, self.weights_bytes)
    }

    /// The embedding, and the output matrix, which may be the same.
    pub(super) fn ends(&mut self) -> Result<(Embedding, Linear)> {
        let form = Form::new(self.config.vocabulary, self.config.hidden);
        let embedding = self.need(&format!("{}.weight", self.name(Place::Model, names::EMBEDDING)))?;
        embedding.expect_shape(&[form.rows, form.columns])?;
        let table = self.weight(&embedding)?;
        let head = if self.config.tied_output {
            Linear::new(&table, None).map_err(device_fault)?
        } else {
            self.linear(Place::Model, names::OUTPUT, form)?
        };
        Ok((Embedding::new(table, self.placement.dtype), head))
    }

    pub(super) fn final_norm(&mut self) -> Result<RmsNorm> {
        self.norm(Place::Model, names::FINAL_NORM, self.config.hidden)
    }

    pub(super) fn layer(&mut self, index: usize) -> Result<Layer> {
        let (hidden, place) = (self.config.hidden, Place::Layer(index));
        let layer = self.config.layers.get(index).copied().unwrap_or_default();
        Ok(Layer {
            attention_norm: self.norm(place, names::ATTENTION_NORM, hidden)?,
            attention: self.attention(place, layer.window)?,
            feed_forward_norm: self.norm(place, names::MLP_NORM, hidden)?,
            feed_forward: match self.config.experts.filter(|_| layer.sparse) {
                Some(experts) => FeedForward::Sparse(self.mixture(index, experts)?),
                None => FeedForward::Dense(self.mlp(place)?),
            },
        })
    }

    fn attention(&mut self, place: Place, window: Option<usize>) -> Result<Attention> {
        let DecoderConfig {
            hidden,
            head_dim,
            biases,
            ..
        } = *self.config;
        let queries = Form::new(self.config.query_width(), hidden).with_bias_if(biases.query_key_value);
        let kv = Form::new(self.config.kv_width(), hidden).with_bias_if(biases.query_key_value);
        let output = Form::new(hidden, self.config.query_width()).with_bias_if(biases.attention_output);
        Ok(Attention {
            query: self.turned(place, names::QUERY, queries)?,
            key: self.turned(place, names::KEY, kv)?,
            value: self.linear(place, names::VALUE, kv)?,
            output: self.linear(place, names::ATTENTION_OUTPUT, output)?,
            head_norms: if self.config.head_norms {
                let of_queries = self.norm(place, names::QUERY_NORM, head_dim)?;
                Some((of_queries, self.norm(place, names::KEY_NORM, head_dim)?))
            } else {
                None
            },
            head_dim,
            window,
        })
    }

    fn mlp(&mut self, place: Place) -> Result<Mlp> {
        let (hidden, width, bias) = (self.config.hidden, self.config.intermediate, self.config.biases.mlp);
        Ok(Mlp {
            gate: self.linear(place, names::GATE, Form::new(width, hidden).with_bias_if(bias))?,
            up: self.linear(place, names::UP, Form::new(width, hidden).with_bias_if(bias))?,
            down: self.linear(place, names::DOWN, Form::new(hidden, width).with_bias_if(bias))?,
        })
    }

    fn mixture(&mut self, layer: usize, experts: ExpertConfig) -> Result<Mixture> {
        let router = self.need(&format!("{}.weight", self.name(Place::Layer(layer), names::ROUTER)))?;
        router.expect_shape(&[experts.count, self.config.hidden])?;
        let in_f32 = self.placement.in_f32();
        let weight = router.to_weight(&in_f32)?;
        self.account(&router, in_f32.resident_bytes(&router))?;
        let router = Linear::new(&weight, None).map_err(device_fault)?;
        let inward = Form::new(experts.intermediate, self.config.hidden);
        let outward = Form::new(self.config.hidden, experts.intermediate);
        let gates = self.experts(layer, names::EXPERT_GATE, (experts.count, inward))?;
        let ups = self.experts(layer, names::EXPERT_UP, (experts.count, inward))?;
        let downs = self.experts(layer, names::EXPERT_DOWN, (experts.count, outward))?;
        let parts = gates.into_iter().zip(ups).zip(downs);
        let mlps = parts.map(|((gate, up), down)| Mlp { gate, up, down }).collect();
        Ok(Mixture::new(router, mlps, experts.routing))
    }

    /// One matrix of all experts: a tensor each in a checkpoint, a stack in a GGUF.
    fn experts(&mut self, layer: usize, name: Name, (count, form): (usize, Form)) -> Result<Vec<Linear>> {
        match self.tensors {
            Tensors::Published(_) => (0..count)
                .map(|expert| {
                    let name = format!("model.layers.{layer}.mlp.experts.{expert}.{}", name.published);
                    self.rearranged(&name, form, Ok)
                })
                .collect(),
            Tensors::Gguf(_) => {
                let stack = self.need(&format!("{}.weight", self.name(Place::Layer(layer), name)))?;
                stack.expect_shape(&[count, form.rows, form.columns])?;
                let matrix = |part| Linear::new(&self.weight(part)?, None).map_err(device_fault);
                stack.unstack()?.iter().map(matrix).collect()
            }
        }
    }

    fn norm(&mut self, place: Place, name: Name, width: usize) -> Result<RmsNorm> {
        let stored = self.need(&format!("{}.weight", self.name(place, name)))?;
        stored.expect_shape(&[width])?;
        let weight = self.plain(&stored)?;
        RmsNorm::new(weight, self.config.norm_epsilon, self.placement.layer_kernels()).map_err(device_fault)
    }

    fn linear(&mut self, place: Place, name: Name, form: Form) -> Result<Linear> {
        self.rearranged(&self.name(place, name), form, Ok)
    }

    /// A linear layer whose output is turned by position: its rows become half-split.
    fn turned(&mut self, place: Place, name: Name, form: Form) -> Result<Linear> {
        if !self.config.interleaved {
            return self.linear(place, name, form);
        }
        let head_dim = self.config.head_dim;
        self.rearranged(&self.name(place, name), form, |stored| stored.into_half_split(head_dim))
    }

    fn rearranged(
        &mut self,
        name: &str,
        form: Form,
        rearrange: impl Fn(StoredTensor<'a>) -> Result<StoredTensor<'a>>,
    ) -> Result<Linear> {
        let stored = self.need(&format!("{name}.weight"))?;
        stored.expect_shape(&[form.rows, form.columns])?;
        let weight = self.weight(&rearrange(stored)?)?;
        let bias = match form.bias {
            Bias::None => None,
            Bias::Stored => {
                let stored = self.need(&format!("{name}.bias"))?;
                stored.expect_shape(&[form.rows])?;
                Some(self.plain(&rearrange(stored)?)?)
            }
        };
        Linear::new(&weight, bias).map_err(device_fault)
    }

    fn name(&self, place: Place, name: Name) -> String {
        match place {
            Place::Model => self.tensors.model_name(name).to_owned(),
            Place::Layer(layer) => self.tensors.layer_name(layer, name),
        }
    }

    fn need(&self, name: &str) -> Result<StoredTensor<'a>> {
        self.tensors.need(name)
    }

    fn weight(&mut self, stored: &StoredTensor<'_>) -> Result<Weight> {
        let weight = stored.to_weight(&self.placement)?;
        self.account(stored, self.placement.resident_bytes(stored))?;
        Ok(weight)
    }

    fn plain(&mut self, stored: &StoredTensor<'_>) -> Result<candle_core::Tensor> {
        let tensor = stored.to_plain(&self.placement)?;
        self.account(stored, self.placement.resident_bytes(stored))?;
        Ok(tensor)
    }

    /// Counts a tensor that was read, tells so, and stops if asked to.
    fn account(&mut self, stored: &StoredTensor<'_>, resident_bytes: u64) -> Result<()> {
        self.job.check()?;
        self.read_bytes = self.read_bytes.saturating_add(stored.bytes.len() as u64);
        self.weights_bytes = self.weights_bytes.saturating_add(resident_bytes);
        let progress = Progress::phase("reading weights").with_bytes(self.read_bytes, Some(self.tensors.bytes_total()));
        self.job.report(progress);
        Ok(())
    }
}
