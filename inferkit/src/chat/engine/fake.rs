//! A runner without a model, for tests: the next token is a hash of the sequence's history, which it reads
//! back through the block table from a cache of token ids. A wrong slot, table or position changes the text.

use std::sync::mpsc;

use crate::chat::engine::Answer;
use crate::chat::engine::Piece;
use crate::chat::engine::Step;
use crate::chat::runner::Runner;
use crate::chat::runner::RunnerCapabilities;
use crate::chat::runner::SequenceSlice;
use crate::chat::runner::StepBatch;
use crate::error::Error;
use crate::error::Result;
use crate::task::Delta;
use crate::task::FinishReason;

pub(super) const VOCABULARY: usize = 40;
/// Ends an answer.
pub(super) const END: u32 = 0;

/// What a step does besides computing.
pub(super) enum Before {
    Nothing,
    /// Waits for a message; goes on without once there is no sender.
    Gate(mpsc::Receiver<()>),
    /// Fails the step of that number, from 0.
    Fail(usize),
    /// Panics in the step of that number.
    Panic(usize),
}

pub(super) struct FakeRunner {
    capabilities: RunnerCapabilities,
    max_step_tokens: usize,
    before: Before,
    steps: usize,
    /// Token and position of each slot.
    cache: Vec<Option<(u32, u32)>>,
}

impl FakeRunner {
    pub(super) fn new(block_size: usize, blocks: usize, max_step_tokens: usize) -> Self {
        let capabilities = RunnerCapabilities {
            block_size,
            blocks,
            max_model_len: 1000,
            vocabulary: VOCABULARY,
        };
        let cache = vec![None; block_size * blocks];
        Self {
            capabilities,
            max_step_tokens,
            before: Before::Nothing,
            steps: 0,
            cache,
        }
    }

    pub(super) fn before(self, before: Before) -> Self {
        Self { before, ..self }
    }

    fn write(&mut self, batch: &StepBatch, sequence: &SequenceSlice) -> Result<()> {
        let size = self.capabilities.block_size;
        let table = &batch.block_tables[sequence.block_table.clone()];
        check(
            table.len() == sequence.context_len.div_ceil(size),
            "a block table of another length",
        )?;
        check(!table.contains(&0), "the null block in a table")?;
        for (nth, place) in sequence.tokens.clone().enumerate() {
            let position = batch.positions[place] as usize;
            check(
                position == sequence.context_len - sequence.tokens.len() + nth,
                "positions out of order",
            )?;
            let slot = batch.slot_mapping[place] as usize;
            check(
                slot == table[position / size] as usize * size + position % size,
                "a slot outside the table",
            )?;
            self.cache[slot] = Some((batch.tokens[place], batch.positions[place]));
        }
        Ok(())
    }

    fn history(&self, batch: &StepBatch, row: u32) -> Result<Vec<u32>> {
        let size = self.capabilities.block_size;
        let owner = batch
            .sequences
            .iter()
            .find(|sequence| sequence.tokens.contains(&(row as usize)));
        let Some(sequence) = owner else {
            return Err(Error::internal("a row of no sequence"));
        };
        let table = &batch.block_tables[sequence.block_table.clone()];
        (0..=batch.positions[row as usize])
            .map(|position| {
                let slot = table[position as usize / size] as usize * size + position as usize % size;
                let found = self.cache[slot].filter(|&(_, written_for)| written_for == position);
                found
                    .map(|(token, _)| token)
                    .ok_or_else(|| Error::internal("a slot with something else in it"))
            })
            .collect()
    }
}

impl Runner for FakeRunner {
    fn capabilities(&self) -> RunnerCapabilities {
        self.capabilities
    }

    fn step(&mut self, batch: &StepBatch, logits: &mut Vec<f32>) -> Result<()> {
        let step = self.steps;
        self.steps += 1;
        match &self.before {
            Before::Nothing => {}
            Before::Gate(gate) => drop(gate.recv()),
            Before::Fail(at) => check(*at != step, "the device has failed")?,
            Before::Panic(at) => assert!(*at != step, "the device is on fire"),
        }
        check(!batch.sequences.is_empty(), "a step without sequences")?;
        check(batch.tokens.len() <= self.max_step_tokens, "a step over the budget")?;
        let mut slots = batch.slot_mapping.clone();
        slots.sort_unstable();
        slots.dedup();
        check(slots.len() == batch.tokens.len(), "two tokens in one slot")?;
        for sequence in &batch.sequences {
            self.write(batch, sequence)?;
        }
        logits.clear();
        for &row in &batch.logit_rows {
            let next = next_token(&self.history(batch, row)?);
            logits.extend((0..VOCABULARY).map(|token| if token == next as usize { 1.0 } else { 0.0 }));
        }
        Ok(())
    }
}

fn check(holds: bool, message: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::internal(message)) }
}

/// FNV-1a over the history.
fn next_token(history: &[u32]) -> u32 {
    let hash = history
        .iter()
        .fold(0x811c_9dc5_u32, |hash, token| (hash ^ token).wrapping_mul(0x0100_0193));
    (hash >> 8) % u32::try_from(VOCABULARY).unwrap()
}

/// What a request gets when it is alone.
pub(super) fn alone(prompt: &[u32], max_tokens: usize) -> String {
    let mut history = prompt.to_vec();
    let mut text = String::new();
    for _ in 0..max_tokens {
        let token = next_token(&history);
        text.push_str(&token.to_string());
        text.push(' ');
        if token == END {
            break;
        }
        history.push(token);
    }
    text
}

/// Says the numbers of its tokens and ends at [`END`].
pub(super) struct FakeAnswer {
    /// The call, from 1, that panics.
    pub(super) panics_at: usize,
    pub(super) calls: usize,
}

impl FakeAnswer {
    pub(super) fn boxed() -> Box<dyn Answer> {
        Box::new(Self { panics_at: 0, calls: 0 })
    }
}

impl Answer for FakeAnswer {
    fn advance(&mut self, logits: &mut [f32], _is_last: bool) -> Result<Step> {
        self.calls += 1;
        assert!(self.calls != self.panics_at, "no words");
        let best = logits.iter().position(|&logit| logit > 0.0);
        let token = u32::try_from(best.ok_or_else(|| Error::internal("nothing to draw from"))?).unwrap();
        let piece = Piece {
            delta: Delta::Content(format!("{token} ")),
            logprobs: Vec::new(),
        };
        let end = (token == END).then_some(FinishReason::Stop);
        Ok(Step {
            token,
            pieces: vec![piece],
            is_reasoning: false,
            end,
        })
    }
}
