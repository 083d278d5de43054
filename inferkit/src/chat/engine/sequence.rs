//! One sequence as the scheduler sees it: tokens, how many of them are in the cache, and where.

use crate::chat::engine::pool::Block;
use crate::chat::engine::pool::BlockPool;

/// Names a sequence; smaller numbers came earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SequenceId(pub(super) u64);

/// A prompt and what was generated after it.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: SequenceId,
    /// Prompt and generated tokens.
    pub(super) tokens: Vec<u32>,
    /// Leading tokens whose keys and values are in the cache; the rest is still to be computed.
    pub(super) computed: usize,
    /// Blocks in the order of the tokens they hold.
    pub(super) blocks: Vec<Block>,
}

impl Sequence {
    /// A sequence of which nothing is computed.
    pub(super) const fn new(id: SequenceId, tokens: Vec<u32>) -> Self {
        Self {
            id,
            tokens,
            computed: 0,
            blocks: Vec::new(),
        }
    }

    /// Tokens that are still to be computed.
    pub(super) const fn remaining(&self) -> usize {
        self.tokens.len().saturating_sub(self.computed)
    }

    /// Whether only its newest token is missing, so that one row of a step gives the next one.
    pub(super) const fn is_decoding(&self) -> bool {
        self.computed > 0 && self.remaining() == 1
    }

    /// Blocks it lacks for its whole length.
    pub(super) const fn missing_blocks(&self, block_size: usize) -> usize {
        self.tokens.len().div_ceil(block_size).saturating_sub(self.blocks.len())
    }

    /// Takes the blocks it lacks; takes none and returns false if there are not enough.
    pub(super) fn grow(&mut self, pool: &mut BlockPool, block_size: usize) -> bool {
        let missing = self.missing_blocks(block_size);
        if missing > pool.free_blocks() {
            return false;
        }
        self.blocks.extend((0..missing).map_while(|_| pool.allocate()));
        true
    }

    /// Gives all blocks back; everything has to be computed again.
    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.computed = 0;
        for block in self.blocks.drain(..).rev() {
            pool.free(block);
        }
    }
}
