//! The blocks of the key/value cache: which are free, which belong to a sequence.
//!
//! **Invariant:** a block has one owner. It is given out as a [`Block`] that cannot be copied and taken
//! back by value, so that no block can be freed twice; block 0 is never given out.

/// A block of the cache, owned by whoever holds this value. Give it back with [`BlockPool::free`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Block(u32);

impl Block {
    /// Its place in the cache; never 0.
    pub(super) const fn index(&self) -> u32 {
        self.0
    }
}

/// Hands out blocks, most recently freed first, since those are the likeliest to be in the processor's cache.
#[derive(Debug)]
pub(super) struct BlockPool {
    free: Vec<Block>,
    usable: usize,
}

impl BlockPool {
    /// A pool over a cache of `blocks` blocks, of which block 0 stays out of use.
    pub(super) fn new(blocks: usize) -> Self {
        let end = u32::try_from(blocks).unwrap_or(u32::MAX);
        let free: Vec<_> = (1..end).rev().map(Block).collect();
        Self {
            usable: free.len(),
            free,
        }
    }

    /// Blocks that can be given out in all.
    pub(super) const fn usable(&self) -> usize {
        self.usable
    }

    /// Blocks that nobody owns.
    pub(super) fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// Gives out a block, if one is free. O(1).
    pub(super) fn allocate(&mut self) -> Option<Block> {
        self.free.pop()
    }

    /// Takes a block back. O(1).
    pub(super) fn free(&mut self, block: Block) {
        self.free.push(block);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_cache_has_nothing_to_give() {
        for blocks in [0, 1] {
            let mut pool = BlockPool::new(blocks);
            assert_eq!((pool.usable(), pool.allocate()), (0, None), "{blocks} blocks");
        }
    }

    #[test]
    fn the_block_freed_last_is_given_out_first() {
        let mut pool = BlockPool::new(4);
        let (first, second) = (pool.allocate().unwrap(), pool.allocate().unwrap());
        let (first_index, second_index) = (first.index(), second.index());
        pool.free(second);
        pool.free(first);
        assert_eq!(pool.allocate().unwrap().index(), first_index);
        assert_eq!(pool.allocate().unwrap().index(), second_index);
    }

    proptest! {
        #[test]
        fn a_pool_agrees_with_a_set_of_numbers(
            blocks in 1_usize..20,
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200),
        ) {
            let mut pool = BlockPool::new(blocks);
            let mut owned: Vec<Block> = Vec::new();
            let mut free: BTreeSet<u32> = (1..u32::try_from(blocks).unwrap()).collect();
            for (allocate, which) in steps {
                if allocate {
                    match pool.allocate() {
                        Some(block) => {
                            prop_assert!(free.remove(&block.index()), "block {} was not free", block.index());
                            owned.push(block);
                        }
                        None => prop_assert!(free.is_empty()),
                    }
                } else if !owned.is_empty() {
                    let block = owned.swap_remove(which.index(owned.len()));
                    prop_assert!(free.insert(block.index()));
                    pool.free(block);
                }
                prop_assert_eq!(pool.free_blocks(), free.len());
                prop_assert_eq!(pool.free_blocks() + owned.len(), pool.usable());
            }
        }
    }
}
