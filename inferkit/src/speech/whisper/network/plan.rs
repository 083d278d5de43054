//! Which rows of a step belong to whom, and where their keys and values stand.

use crate::nn::AttentionPlan;
use crate::nn::SequencePlan;

/// Equal stretches of a cache, one for each slot or lane. Block 0 belongs to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// How many there are.
    pub(super) count: usize,
    /// Tokens that each holds.
    pub(super) tokens: usize,
    /// Tokens of a block.
    pub(super) block_size: usize,
}

/// Rows of one lane in a step: the last tokens of its text so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::speech::whisper) struct LaneRows {
    pub(in crate::speech::whisper) lane: usize,
    pub(in crate::speech::whisper) slot: usize,
    /// Rows of this step.
    pub(in crate::speech::whisper) rows: usize,
    /// Tokens of the lane before this step.
    pub(in crate::speech::whisper) cached: usize,
}

/// What the decoder computes at once: rows of several lanes, one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::speech::whisper) struct DecoderStep {
    /// `[t]`
    pub(in crate::speech::whisper) tokens: Vec<u32>,
    pub(in crate::speech::whisper) lanes: Vec<LaneRows>,
    /// Rows whose logits are wanted.
    pub(in crate::speech::whisper) logit_rows: Vec<u32>,
}

impl DecoderStep {
    /// Adds the next `tokens` of a lane that has `cached` tokens; the logits of the rows `wanted`, counted within them, are
    /// asked for.
    pub(in crate::speech::whisper) fn add(
        &mut self,
        tokens: &[u32],
        (lane, slot, cached): (usize, usize, usize),
        wanted: &[usize],
    ) {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.lanes.push(LaneRows {
            lane,
            slot,
            rows: tokens.len(),
            cached,
        });
        let rows = wanted.iter().filter_map(|row| u32::try_from(first + row).ok());
        self.logit_rows.extend(rows);
    }

    /// A whole text, with the logits of all its rows.
    pub(super) fn whole(tokens: &[u32], lane: usize, slot: usize) -> Self {
        let mut step = Self::default();
        let all: Vec<usize> = (0..tokens.len()).collect();
        step.add(tokens, (lane, slot, 0), &all);
        step
    }

    /// The position of each row in its lane's text.
    pub(super) fn positions(&self) -> Vec<u32> {
        let of_lane = |lane: &LaneRows| lane.cached..lane.cached + lane.rows;
        let positions = self.lanes.iter().flat_map(of_lane);
        positions
            .map(|position| u32::try_from(position).unwrap_or(u32::MAX))
            .collect()
    }
}

impl Places {
    /// Blocks in all, block 0 included.
    pub(super) const fn blocks(&self) -> usize {
        self.count * self.blocks_each() + 1
    }

    const fn blocks_each(&self) -> usize {
        self.tokens.div_ceil(self.block_size)
    }

    /// The blocks of a place, in order.
    pub(super) fn blocks_of(&self, place: usize) -> Vec<u32> {
        let first = 1 + place * self.blocks_each();
        (first..first + self.blocks_each())
            .map(|block| u32::try_from(block).unwrap_or(u32::MAX))
            .collect()
    }

    fn slot(&self, place: usize, token: usize) -> u32 {
        u32::try_from((1 + place * self.blocks_each()) * self.block_size + token).unwrap_or(u32::MAX)
    }

    /// The first `count` places, each written and read as a whole.
    pub(super) fn whole(&self, count: usize) -> AttentionPlan {
        let sequences = (0..count).map(|place| SequencePlan {
            rows: place * self.tokens..(place + 1) * self.tokens,
            context: self.tokens,
            blocks: self.blocks_of(place),
        });
        let slots: Vec<u32> = (0..count)
            .flat_map(|place| (0..self.tokens).map(move |token| self.slot(place, token)))
            .collect();
        AttentionPlan::new(sequences.collect(), &slots)
    }

    /// All tokens of one place are written, none read.
    pub(super) fn fill(&self, place: usize) -> AttentionPlan {
        let slots: Vec<u32> = (0..self.tokens).map(|token| self.slot(place, token)).collect();
        AttentionPlan::new(Vec::new(), &slots)
    }

    /// Each lane of `step` writes its rows to its own place and sees its own text.
    pub(super) fn own(&self, step: &DecoderStep) -> AttentionPlan {
        let mut sequences = Vec::with_capacity(step.lanes.len());
        let mut slots = Vec::with_capacity(step.tokens.len());
        let mut row = 0;
        for lane in &step.lanes {
            sequences.push(SequencePlan {
                rows: row..row + lane.rows,
                context: lane.cached + lane.rows,
                blocks: self.blocks_of(lane.lane),
            });
            slots.extend((lane.cached..lane.cached + lane.rows).map(|token| self.slot(lane.lane, token)));
            row += lane.rows;
        }
        AttentionPlan::new(sequences, &slots)
    }

    /// Each lane of `step` sees all of its slot.
    pub(super) fn seen(&self, step: &DecoderStep) -> AttentionPlan {
        let mut sequences = Vec::with_capacity(step.lanes.len());
        let mut row = 0;
        for lane in &step.lanes {
            sequences.push(SequencePlan {
                rows: row..row + lane.rows,
                context: self.tokens,
                blocks: self.blocks_of(lane.slot),
            });
            row += lane.rows;
        }
        AttentionPlan::new(sequences, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places {
        count: 3,
        tokens: 40,
        block_size: 32,
    };

    #[test]
    fn places_do_not_overlap_and_leave_block_0_alone() {
        assert_eq!(PLACES.blocks(), 7);
        assert_eq!((PLACES.blocks_of(0), PLACES.blocks_of(2)), (vec![1, 2], vec![5, 6]));
        assert_eq!((PLACES.slot(0, 0), PLACES.slot(2, 39)), (32, 199));
    }

    #[test]
    fn rows_of_lanes_follow_one_another_and_know_their_positions() {
        let mut step = DecoderStep::default();
        step.add(&[7, 8, 9], (2, 0, 0), &[0, 2]);
        step.add(&[5], (1, 0, 6), &[0]);
        assert_eq!(step.positions(), [0, 1, 2, 6]);
        assert_eq!(step.logit_rows, [0, 2, 3]);
        let own = PLACES.own(&step);
        assert_eq!((own.sequences[1].rows.clone(), own.sequences[1].context), (3..4, 7));
        let seen = PLACES.seen(&step);
        assert_eq!(
            (seen.sequences[0].context, &seen.sequences[1].blocks),
            (40, &vec![1, 2])
        );
    }
}
