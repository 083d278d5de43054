//! Loads golden models, runs prompts through steps, compares with what the reference computed.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::chat::decoder::CacheSize;
use crate::chat::decoder::Decoder;
use crate::chat::decoder::DecoderOptions;
use crate::chat::decoder::DecoderSource;
use crate::chat::files::ModelFiles;
use crate::chat::runner::Runner;
use crate::chat::runner::SequenceSlice;
use crate::chat::runner::StepBatch;
use crate::error::Result;
use crate::formats::safetensors::Checkpoint;
use crate::nn::CacheDtypePreference;
use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::wrapper::Job;

pub(super) const BLOCK_SIZE: usize = 32;
const BLOCKS: usize = 40;

/// The folder of the language model goldens.
pub(super) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/llm")
}

pub(super) fn options(dtype: DtypePreference) -> DecoderOptions {
    DecoderOptions {
        device: Device::under_test(),
        dtype,
        cache_dtype: CacheDtypePreference::Auto,
        cache: CacheSize {
            blocks: BLOCKS,
            block_size: BLOCK_SIZE,
        },
        max_model_len: None,
    }
}

pub(super) fn load(path: &Path, dtype: DtypePreference) -> Result<Decoder> {
    let source = DecoderSource::open(&ModelFiles::find(path)?)?;
    Decoder::load(&source, &options(dtype), &Job::new())
}

/// One sequence: its block table and how many of its tokens are in the cache.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) blocks: Vec<u32>,
    pub(super) cached: usize,
}

impl Sequence {
    pub(super) fn new(blocks: impl IntoIterator<Item = u32>) -> Self {
        Self {
            blocks: blocks.into_iter().collect(),
            cached: 0,
        }
    }

    /// A sequence in the first blocks, one after the other.
    pub(super) fn alone() -> Self {
        Self::new(1..16)
    }
}

/// Appends `tokens` of `sequence` to `batch`; all of their rows give logits.
pub(super) fn push(batch: &mut StepBatch, sequence: &mut Sequence, tokens: &[u32]) {
    let first_row = batch.tokens.len();
    for (offset, token) in tokens.iter().enumerate() {
        let position = sequence.cached + offset;
        let slot = sequence.blocks[position / BLOCK_SIZE] as usize * BLOCK_SIZE + position % BLOCK_SIZE;
        batch.logit_rows.push(number(batch.tokens.len()));
        batch.tokens.push(*token);
        batch.positions.push(number(position));
        batch.slot_mapping.push(number(slot));
    }
    sequence.cached += tokens.len();
    let first_block = batch.block_tables.len();
    batch.block_tables.extend(&sequence.blocks);
    batch.sequences.push(SequenceSlice {
        tokens: first_row..batch.tokens.len(),
        context_len: sequence.cached,
        block_table: first_block..batch.block_tables.len(),
    });
}

/// Runs one step and cuts its logits into rows.
pub(super) fn step(decoder: &mut Decoder, batch: &StepBatch) -> Vec<Vec<f32>> {
    let mut logits = Vec::new();
    decoder.step(batch, &mut logits).unwrap();
    let vocabulary = decoder.capabilities().vocabulary;
    assert_eq!(logits.len(), batch.logit_rows.len() * vocabulary);
    logits.chunks(vocabulary).map(<[f32]>::to_vec).collect()
}

/// The logits of every one of `tokens`, appended to `sequence` in steps of at most `chunk` tokens.
pub(super) fn run(decoder: &mut Decoder, sequence: &mut Sequence, tokens: &[u32], chunk: usize) -> Vec<Vec<f32>> {
    let mut logits = Vec::new();
    for tokens in tokens.chunks(chunk) {
        let mut batch = StepBatch::default();
        push(&mut batch, sequence, tokens);
        logits.extend(step(decoder, &batch));
    }
    logits
}

/// The `count` most probable tokens, one after the other, behind `logits`.
pub(super) fn greedy(decoder: &mut Decoder, sequence: &mut Sequence, logits: &[f32], count: usize) -> Vec<u32> {
    let mut tokens = vec![best(logits)];
    while tokens.len() < count {
        let last = tokens[tokens.len() - 1];
        let logits = run(decoder, sequence, &[last], 1);
        tokens.push(best(&logits[0]));
    }
    tokens
}

/// The most probable token; a tie goes to the lowest id.
pub(super) fn best(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    number(best)
}

pub(super) fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap()
}

/// What the reference computed for a model.
pub(super) struct Expected {
    pub(super) value: Value,
    tensors: Checkpoint,
}

/// What the reference computed for a prompt.
pub(super) struct ExpectedPrompt {
    pub(super) name: String,
    pub(super) ids: Vec<u32>,
    /// Logits of the positions from `first_position` to the end.
    pub(super) logits: Vec<Vec<f32>>,
    pub(super) first_position: usize,
    pub(super) greedy: Vec<u32>,
    pub(super) greedy_ignoring_eos: Vec<u32>,
    /// Between the best and the second logit of each step of `greedy_ignoring_eos`.
    pub(super) margins: Vec<f32>,
}

impl Expected {
    pub(super) fn read(folder: &Path) -> Self {
        let text = std::fs::read(folder.join("expected.json")).unwrap();
        Self {
            value: serde_json::from_slice(&text).unwrap(),
            tensors: Checkpoint::open(&folder.join("expected.safetensors")).unwrap(),
        }
    }

    /// The prompts that stand under `value`.
    pub(super) fn prompts(&self, value: &Value) -> Vec<ExpectedPrompt> {
        let prompts = value["prompts"].as_array().unwrap();
        prompts.iter().map(|prompt| self.prompt(prompt)).collect()
    }

    fn prompt(&self, prompt: &Value) -> ExpectedPrompt {
        let tensor = self
            .tensors
            .tensor(prompt["logits"]["tensor"].as_str().unwrap())
            .unwrap();
        let numbers: Vec<f32> = tensor
            .bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let margins = prompt["greedy_ignoring_eos"]["margins"].as_array().unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "margins are compared with f32")]
        let margins = margins.iter().map(|margin| margin.as_f64().unwrap() as f32);
        ExpectedPrompt {
            name: prompt["name"].as_str().unwrap().to_owned(),
            ids: ids(&prompt["ids"]),
            logits: numbers.chunks(tensor.shape[1]).map(<[f32]>::to_vec).collect(),
            first_position: usize::try_from(prompt["logits"]["first_position"].as_u64().unwrap()).unwrap(),
            greedy: ids(&prompt["greedy"]["ids"]),
            greedy_ignoring_eos: ids(&prompt["greedy_ignoring_eos"]["ids"]),
            margins: margins.collect(),
        }
    }
}

pub(super) fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
        .collect()
}

/// Everything that is compared of a prompt.
pub(super) struct Found {
    /// Logits of the positions that the reference has.
    pub(super) logits: Vec<Vec<f32>>,
    pub(super) greedy_ignoring_eos: Vec<u32>,
}

/// Runs a prompt in one step, then as many greedy steps as the reference made.
pub(super) fn follow(decoder: &mut Decoder, prompt: &ExpectedPrompt) -> Found {
    let mut sequence = Sequence::alone();
    let logits = run(decoder, &mut sequence, &prompt.ids, usize::MAX);
    let last = logits[logits.len() - 1].clone();
    Found {
        logits: logits[prompt.first_position..].to_vec(),
        greedy_ignoring_eos: greedy(decoder, &mut sequence, &last, prompt.greedy_ignoring_eos.len()),
    }
}

/// A greedy run cut behind the first id that ends it.
pub(super) fn cut(tokens: &[u32], stop_ids: &[u32]) -> Vec<u32> {
    let end = tokens
        .iter()
        .position(|token| stop_ids.contains(token))
        .map_or(tokens.len(), |stop| stop + 1);
    tokens[..end].to_vec()
}

/// The largest difference between two lists of rows.
pub(super) fn largest_difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    assert_eq!(found.len(), expected.len(), "another number of rows");
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    // A comparison that is false for NaN, which must not pass as no difference.
    pairs.map(|(a, b)| (a - b).abs()).fold(
        0.0,
        |largest, difference| {
            if difference <= largest { largest } else { difference }
        },
    )
}

/// Root mean square of the difference over the standard deviation of what was expected.
pub(super) fn relative_rms(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    assert_eq!(found.len(), expected.len(), "another number of rows");
    let expected: Vec<f64> = expected.iter().flatten().map(|number| f64::from(*number)).collect();
    let count = expected.len() as f64;
    let mean = expected.iter().sum::<f64>() / count;
    let variance = expected.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
    let pairs = found.iter().flatten().zip(&expected);
    let square = pairs
        .map(|(found, expected)| (f64::from(*found) - expected).powi(2))
        .sum::<f64>()
        / count;
    (square / variance).sqrt()
}
