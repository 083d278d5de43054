//! What a decoder keeps of the windows that it decodes together: keys and values of their states and of their hypotheses.

use candle_core::Tensor;

use super::Room;
use super::StepRow;
use crate::error::Error;
use crate::error::Result;
use crate::nn::AttentionPlan;
use crate::nn::CacheShape;
use crate::nn::PagedCache;
use crate::nn::SequencePlan;
use crate::nn::device_fault;

/// Caches of a batch of windows. Dropping it frees them.
#[derive(Debug)]
pub(in crate::speech::canary) struct Session {
    states: PagedCache,
    tokens: PagedCache,
    windows: Vec<Window>,
    /// Places of hypotheses, those of a window side by side.
    slots: Vec<Slot>,
    block_size: usize,
}

/// States of a window.
#[derive(Debug, Clone)]
struct Window {
    frames: usize,
    blocks: Vec<u32>,
}

/// Room for a hypothesis.
#[derive(Debug, Clone)]
struct Slot {
    window: usize,
    blocks: Vec<u32>,
    /// Tokens in the cache.
    tokens: usize,
}

/// A step's rows, flattened, and where they look.
#[derive(Debug)]
pub(in crate::speech::canary) struct StepPlan {
    /// `[t]`
    pub(super) tokens: Vec<u32>,
    /// `[t]`
    pub(super) positions: Vec<u32>,
    /// The last token of each row.
    pub(super) last_rows: Vec<u32>,
    own: AttentionPlan,
    cross: AttentionPlan,
}

impl Session {
    /// Empty caches for windows of so many frames; `shape` lacks the number of blocks.
    pub(super) fn new(
        frames: Vec<usize>,
        rooms: &[Room],
        shape: &CacheShape,
        cache: impl Fn(CacheShape) -> Result<PagedCache>,
    ) -> Result<Self> {
        let block_size = shape.block_size;
        // Block 0 is never read.
        let mut next = 1;
        let windows: Vec<Window> = frames
            .into_iter()
            .map(|frames| Window {
                frames,
                blocks: take(&mut next, frames.div_ceil(block_size)),
            })
            .collect();
        let of_states = CacheShape {
            blocks: next as usize,
            ..*shape
        };
        next = 1;
        let mut slots = Vec::new();
        for (window, room) in rooms.iter().enumerate() {
            slots.extend((0..room.hypotheses).map(|_| Slot {
                window,
                blocks: take(&mut next, room.tokens.div_ceil(block_size)),
                tokens: 0,
            }));
        }
        let of_tokens = CacheShape {
            blocks: next as usize,
            ..*shape
        };
        Ok(Self {
            states: cache(of_states)?,
            tokens: cache(of_tokens)?,
            windows,
            slots,
            block_size,
        })
    }

    /// Writes keys and values of all windows' states, `[t, heads, d]` each.
    pub(super) fn write_states(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> candle_core::Result<()> {
        let slots: Vec<u32> = self
            .windows
            .iter()
            .flat_map(|window| (0..window.frames).map(|frame| place(&window.blocks, frame, self.block_size)))
            .collect();
        self.states
            .write(layer, keys, values, &AttentionPlan::new(Vec::new(), &slots))
    }

    /// Where the rows of a step go and look; counts their tokens.
    ///
    /// # Errors
    /// [`Error::Internal`] for a row without tokens, without room, or of a slot that is not there.
    pub(super) fn plan(&mut self, rows: &[StepRow]) -> Result<StepPlan> {
        let mut plan = Flat::default();
        for row in rows {
            let block_size = self.block_size;
            let slot = self.slots.get_mut(row.slot);
            let (Some(slot), false) = (slot, row.tokens.is_empty()) else {
                return Err(Error::internal(
                    "a step of a hypothesis that is not there, or of no tokens",
                ));
            };
            let (start, end) = (slot.tokens, slot.tokens + row.tokens.len());
            if end.div_ceil(block_size) > slot.blocks.len() {
                return Err(Error::internal("a hypothesis has outgrown its room"));
            }
            slot.tokens = end;
            let first = plan.tokens.len();
            plan.tokens.extend(&row.tokens);
            for position in start..end {
                plan.slots.push(place(&slot.blocks, position, block_size));
                plan.positions.push(u32::try_from(position).unwrap_or(u32::MAX));
            }
            let rows = first..plan.tokens.len();
            if let Some(window) = self.windows.get(slot.window) {
                // Each row alone: there may be fewer frames than rows, and all see every frame.
                plan.cross.extend(rows.clone().map(|row| SequencePlan {
                    rows: row..row + 1,
                    context: window.frames,
                    blocks: window.blocks.clone(),
                }));
            }
            plan.last_rows.push(u32::try_from(rows.end - 1).unwrap_or(u32::MAX));
            plan.own.push(SequencePlan {
                rows,
                context: end,
                blocks: slot.blocks.clone(),
            });
        }
        Ok(StepPlan {
            tokens: plan.tokens,
            positions: plan.positions,
            last_rows: plan.last_rows,
            own: AttentionPlan::new(plan.own, &plan.slots),
            cross: AttentionPlan::new(plan.cross, &[]),
        })
    }

    /// Keeps the tokens' keys and values, and attends each row to its hypothesis up to itself: `[t, heads · d]`.
    pub(super) fn attend_tokens(
        &mut self,
        layer: usize,
        [queries, keys, values]: [&Tensor; 3],
        plan: &StepPlan,
    ) -> candle_core::Result<Tensor> {
        self.tokens.write(layer, keys, values, &plan.own)?;
        self.tokens.attend(layer, queries, &plan.own, None)
    }

    /// Attends each row to all states of its window: `[t, heads · d]`.
    pub(super) fn attend_states(&self, layer: usize, queries: &Tensor, plan: &StepPlan) -> candle_core::Result<Tensor> {
        self.states.attend_all(layer, queries, &plan.cross)
    }

    /// Makes hypotheses descend from others: returns the slot of each child.
    ///
    /// The first child of a parent takes its slot; further ones get slots of parents without children, and a copy.
    ///
    /// * `slots`: those of the parents, all of one window
    /// * `parents`: for each child, the number of its parent in `slots`
    ///
    /// # Errors
    /// [`Error::Internal`] when there are more children than slots.
    pub(in crate::speech::canary) fn descend(&mut self, slots: &[usize], parents: &[usize]) -> Result<Vec<usize>> {
        let missing = || Error::internal("a hypothesis descends from one that is not there");
        let mut free: Vec<usize> = slots
            .iter()
            .enumerate()
            .filter(|(number, _)| !parents.contains(number))
            .map(|(_, slot)| *slot)
            .collect();
        let mut taken = vec![false; slots.len()];
        let mut children = Vec::with_capacity(parents.len());
        for parent in parents {
            let slot = *slots.get(*parent).ok_or_else(missing)?;
            match taken.get_mut(*parent) {
                Some(taken) if !*taken => {
                    *taken = true;
                    children.push(slot);
                }
                _ => {
                    let copy = free.pop().ok_or_else(missing)?;
                    self.copy(slot, copy)?;
                    children.push(copy);
                }
            }
        }
        Ok(children)
    }

    fn copy(&mut self, from: usize, to: usize) -> Result<()> {
        let missing = || Error::internal("a hypothesis has no slot");
        let source = self.slots.get(from).ok_or_else(missing)?.clone();
        let target = self.slots.get_mut(to).ok_or_else(missing)?;
        target.tokens = source.tokens;
        let used = source.tokens.div_ceil(self.block_size);
        let pairs: Vec<(u32, u32)> = source
            .blocks
            .into_iter()
            .zip(target.blocks.iter().copied())
            .take(used)
            .collect();
        self.tokens.copy_blocks(&pairs).map_err(device_fault)
    }
}

#[derive(Default)]
struct Flat {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    slots: Vec<u32>,
    last_rows: Vec<u32>,
    own: Vec<SequencePlan>,
    cross: Vec<SequencePlan>,
}

/// The next `count` blocks.
fn take(next: &mut u32, count: usize) -> Vec<u32> {
    let start = *next;
    *next = next.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    (start..*next).collect()
}

/// The slot of a cache in which position `position` of a sequence stands.
fn place(blocks: &[u32], position: usize, block_size: usize) -> u32 {
    let block = blocks.get(position / block_size).copied().unwrap_or(0);
    let size = u32::try_from(block_size).unwrap_or(u32::MAX);
    let offset = u32::try_from(position % block_size).unwrap_or(0);
    block.saturating_mul(size).saturating_add(offset)
}
