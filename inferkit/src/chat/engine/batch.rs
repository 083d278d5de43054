//! From a plan to the flat arrays a runner computes.

use crate::chat::engine::pool::Block;
use crate::chat::engine::scheduler::Plan;
use crate::chat::engine::scheduler::Scheduler;
use crate::chat::runner::SequenceSlice;
use crate::chat::runner::StepBatch;
use crate::error::Error;
use crate::error::Result;

/// Fills `batch` with the work of `plan`, reusing its memory.
///
/// # Errors
/// [`Error::Internal`] if the plan and the sequences do not agree.
pub(super) fn fill(batch: &mut StepBatch, plan: &Plan, scheduler: &Scheduler, block_size: usize) -> Result<()> {
    clear(batch);
    for row in &plan.rows {
        let broken = || Error::internal(format!("a step plans {row:?}, which the sequence does not hold"));
        let sequence = scheduler.running(row.id).ok_or_else(broken)?;
        let context_len = sequence.computed + row.tokens;
        let tokens = sequence.tokens.get(sequence.computed..context_len).ok_or_else(broken)?;
        let blocks = sequence
            .blocks
            .get(..context_len.div_ceil(block_size))
            .ok_or_else(broken)?;

        let (first_token, first_block) = (batch.tokens.len(), batch.block_tables.len());
        batch.tokens.extend_from_slice(tokens);
        for position in sequence.computed..context_len {
            let block = blocks.get(position / block_size).ok_or_else(broken)?;
            let slot = block.index() as usize * block_size + position % block_size;
            batch.positions.push(to_u32(position)?);
            batch.slot_mapping.push(to_u32(slot)?);
        }
        batch.block_tables.extend(blocks.iter().map(Block::index));
        batch.sequences.push(SequenceSlice {
            tokens: first_token..batch.tokens.len(),
            context_len,
            block_table: first_block..batch.block_tables.len(),
        });
        if row.draws {
            batch.logit_rows.push(to_u32(batch.tokens.len() - 1)?);
        }
    }
    Ok(())
}

fn clear(batch: &mut StepBatch) {
    let StepBatch {
        tokens,
        positions,
        slot_mapping,
        sequences,
        block_tables,
        logit_rows,
    } = batch;
    for numbers in [tokens, positions, slot_mapping, block_tables, logit_rows] {
        numbers.clear();
    }
    sequences.clear();
}

fn to_u32(number: usize) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::internal(format!("{number} does not fit the cache's 32-bit numbers")))
}
