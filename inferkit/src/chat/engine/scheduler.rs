//! Chooses what each step computes: continuous batching within a token budget.
//!
//! A step takes, in this order: one row of every answer in progress; prompts in progress, in chunks;
//! waiting sequences, first come first served, while slots and blocks last.
//!
//! | situation | what happens |
//! |---|---|
//! | an answer needs a block and none is free | a paused sequence gives up its blocks, else the latest arrival; never an earlier one |
//! | no later arrival has any | it skips the step and keeps what it has |
//! | a sequence gave up its blocks | it waits in its old place and is computed again, generated tokens included |
//! | its reader is slow (paused) | it gets no row, and yields slot and blocks to whoever needs them |
//!
//! A sequence is admitted only when blocks for its whole length are free, and takes them at once. So a prompt
//! never loses blocks to its own chunks, and two long prompts cannot drive each other out in turn.
//!
//! **Invariant:** of the sequences at work that are not paused, the earliest gets a row in every step. The engine
//! admits none that could outgrow the pool, so that it ends, then the next, and the line moves: nothing starves.

use std::collections::HashSet;
use std::collections::VecDeque;

use crate::chat::engine::pace::Pace;
use crate::chat::engine::pool::BlockPool;
use crate::chat::engine::sequence::Sequence;
use crate::chat::engine::sequence::SequenceId;

/// What a scheduler may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SchedulerLimits {
    /// Tokens a block holds.
    pub(super) block_size: usize,
    /// Blocks of the cache, the null block included.
    pub(super) blocks: usize,
    /// Most sequences at work at once.
    pub(super) max_running: usize,
    /// Most tokens of a step; at least `max_running + block_size`, so that prompts move in every step.
    pub(super) max_step_tokens: usize,
}

/// One sequence's part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: SequenceId,
    /// Tokens to compute.
    pub(super) tokens: usize,
    /// Whether they are the last known ones, so that the next token is drawn after them.
    pub(super) draws: bool,
}

/// What a step computes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
    /// Rows of answers in progress; they stand first.
    pub(super) answers: usize,
    /// Tokens of the other rows.
    pub(super) prompt_tokens: usize,
    /// Sequences that gave up their blocks.
    pub(super) preempted: usize,
    /// Whether an answer skips this step for want of a block.
    stalled: bool,
}

impl Plan {
    fn push(&mut self, sequence: &Sequence, tokens: usize) {
        self.rows.push(Row {
            id: sequence.id,
            tokens,
            draws: tokens == sequence.remaining(),
        });
    }
}

/// The sequences of an engine and the blocks they hold.
#[derive(Debug)]
pub(super) struct Scheduler {
    limits: SchedulerLimits,
    pool: BlockPool,
    /// By arrival.
    waiting: VecDeque<Sequence>,
    /// By arrival.
    running: Vec<Sequence>,
}

/// Sequences whose reader is too slow for more of them.
pub(super) type Paused = HashSet<SequenceId>;

impl Scheduler {
    /// A scheduler without sequences.
    pub(super) fn new(limits: SchedulerLimits) -> Self {
        let limits = SchedulerLimits {
            max_step_tokens: limits.max_step_tokens.max(limits.max_running + limits.block_size),
            ..limits
        };
        Self {
            pool: BlockPool::new(limits.blocks),
            waiting: VecDeque::new(),
            running: Vec::new(),
            limits,
        }
    }

    /// Puts a sequence, later than all others, at the end of the line.
    pub(super) fn add(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// Takes a sequence out, wherever it is, and frees its blocks.
    pub(super) fn remove(&mut self, id: SequenceId) {
        if let Ok(place) = self.running.binary_search_by_key(&id, |sequence| sequence.id) {
            self.running.remove(place).release(&mut self.pool);
        } else if let Ok(place) = self.waiting.binary_search_by_key(&id, |sequence| sequence.id) {
            self.waiting.remove(place);
        }
    }

    /// A sequence that is at work.
    pub(super) fn running(&self, id: SequenceId) -> Option<&Sequence> {
        self.running
            .binary_search_by_key(&id, |sequence| sequence.id)
            .ok()
            .and_then(|place| self.running.get(place))
    }

    /// Whether there is neither a waiting nor a running sequence.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Sequences that could be added and start in the next step, as far as slots go.
    pub(super) fn spare_slots(&self) -> usize {
        if self.waiting.is_empty() {
            self.limits.max_running.saturating_sub(self.running.len())
        } else {
            0
        }
    }

    /// Blocks that no sequence holds, and all there are.
    pub(super) fn free_blocks(&self) -> (usize, usize) {
        (self.pool.free_blocks(), self.pool.usable())
    }

    /// Chooses the next step's work. Call [`Scheduler::complete`] once it is computed.
    pub(super) fn schedule(&mut self, pace: &Pace, paused: &Paused) -> Plan {
        let mut plan = Plan::default();
        self.take_answers(&mut plan, paused);
        plan.answers = plan.rows.len();
        let room = pace.prompt_tokens(plan.answers).max(self.limits.block_size);
        let mut room = room.min(self.limits.max_step_tokens - plan.answers);
        let whole = room;
        self.take_prompts(&mut plan, &mut room, paused);
        if plan.preempted == 0 && !plan.stalled {
            self.admit(&mut plan, &mut room, paused);
        }
        plan.prompt_tokens = whole - room;
        plan
    }

    /// Notes that the tokens of `plan` are in the cache.
    pub(super) fn complete(&mut self, plan: &Plan) {
        for row in &plan.rows {
            if let Some(sequence) = self.running_mut(row.id) {
                sequence.computed += row.tokens;
            }
        }
    }

    /// Appends a drawn token to a running sequence.
    pub(super) fn append(&mut self, id: SequenceId, token: u32) {
        if let Some(sequence) = self.running_mut(id) {
            sequence.tokens.push(token);
        }
    }

    fn running_mut(&mut self, id: SequenceId) -> Option<&mut Sequence> {
        let place = self.running.binary_search_by_key(&id, |sequence| sequence.id).ok()?;
        self.running.get_mut(place)
    }

    fn take_answers(&mut self, plan: &mut Plan, paused: &Paused) {
        let answers = self
            .running
            .iter()
            .filter(|sequence| sequence.is_decoding() && !paused.contains(&sequence.id));
        for id in answers.map(|sequence| sequence.id).collect::<Vec<_>>() {
            // Gone from `running` if an earlier one took its blocks.
            while let Ok(place) = self.running.binary_search_by_key(&id, |sequence| sequence.id) {
                let sequence = &mut self.running[place];
                if sequence.grow(&mut self.pool, self.limits.block_size) {
                    plan.push(sequence, 1);
                    break;
                }
                let Some(victim) = self.victim(id, paused) else {
                    plan.stalled = true;
                    break;
                };
                self.preempt(victim);
                plan.preempted += 1;
            }
        }
    }

    /// Whose blocks the sequence `id` may take: a paused one's, else the latest later arrival's.
    fn victim(&self, id: SequenceId, paused: &Paused) -> Option<SequenceId> {
        let latest = || {
            self.running
                .last()
                .map(|sequence| sequence.id)
                .filter(|&latest| latest > id)
        };
        self.latest_paused(paused).or_else(latest)
    }

    fn latest_paused(&self, paused: &Paused) -> Option<SequenceId> {
        self.running
            .iter()
            .rev()
            .map(|sequence| sequence.id)
            .find(|id| paused.contains(id))
    }

    /// Moves a running sequence back to its place in the line, without its blocks.
    fn preempt(&mut self, id: SequenceId) {
        let Ok(place) = self.running.binary_search_by_key(&id, |sequence| sequence.id) else {
            return;
        };
        let mut sequence = self.running.remove(place);
        sequence.release(&mut self.pool);
        let place = self.waiting.partition_point(|waiting| waiting.id < id);
        self.waiting.insert(place, sequence);
    }

    fn take_prompts(&self, plan: &mut Plan, room: &mut usize, paused: &Paused) {
        let prompts = self
            .running
            .iter()
            .filter(|sequence| !sequence.is_decoding() && !paused.contains(&sequence.id));
        for sequence in prompts {
            let tokens = chunk(sequence, *room, self.limits.block_size);
            if tokens == 0 {
                break;
            }
            plan.push(sequence, tokens);
            *room -= tokens;
        }
    }

    fn admit(&mut self, plan: &mut Plan, room: &mut usize, paused: &Paused) {
        let mut place = 0;
        while let Some(first) = self.waiting.get(place) {
            if paused.contains(&first.id) {
                place += 1;
                continue;
            }
            let tokens = chunk(first, *room, self.limits.block_size);
            let missing = first.missing_blocks(self.limits.block_size);
            if tokens == 0 || !self.make_room(missing, plan, paused) {
                break;
            }
            // Paused sequences that gave way stand in the line too, perhaps before this one.
            let unpaused = |sequence: &Sequence| !paused.contains(&sequence.id);
            let Some(now_at) = self.waiting.iter().position(unpaused) else {
                break;
            };
            let Some(mut sequence) = self.waiting.remove(now_at) else {
                break;
            };
            sequence.grow(&mut self.pool, self.limits.block_size);
            plan.push(&sequence, tokens);
            *room -= tokens;
            let at = self.running.partition_point(|running| running.id < sequence.id);
            self.running.insert(at, sequence);
            place = now_at;
        }
    }

    /// Frees a slot and `missing` blocks if paused sequences can yield what is lacking; otherwise changes nothing.
    ///
    /// One block more for each running sequence stays free, so that a newcomer does not drive out an answer
    /// at its next block.
    fn make_room(&mut self, missing: usize, plan: &mut Plan, paused: &Paused) -> bool {
        let yielding = self.running.iter().filter(|sequence| paused.contains(&sequence.id));
        let (yielding, yielded) = yielding.fold((0, 0), |(n, blocks), next| (n + 1, blocks + next.blocks.len()));
        let active = self.running.len() - yielding;
        let needed = missing + active;
        if active >= self.limits.max_running || self.pool.free_blocks() + yielded < needed {
            return false;
        }
        while self.running.len() >= self.limits.max_running || self.pool.free_blocks() < needed {
            let Some(victim) = self.latest_paused(paused) else {
                return false;
            };
            self.preempt(victim);
            plan.preempted += 1;
        }
        true
    }
}

/// How many tokens of a prompt a step with `room` takes.
///
/// Unless it is the last one, a chunk ends with a block: then no block is written in two steps, and a
/// prompt is always cut at the same kind of places.
fn chunk(sequence: &Sequence, room: usize, block_size: usize) -> usize {
    let remaining = sequence.remaining();
    if remaining <= room {
        remaining
    } else {
        room.saturating_sub((sequence.computed + room) % block_size)
    }
}

#[cfg(test)]
mod tests;
