use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const BLOCK: usize = 4;

fn scheduler(blocks: usize, max_running: usize, max_step_tokens: usize) -> Scheduler {
    Scheduler::new(SchedulerLimits {
        block_size: BLOCK,
        blocks: blocks + 1,
        max_running,
        max_step_tokens,
    })
}

/// A pace that has learned that tokens take no time.
fn fast() -> Pace {
    let mut pace = Pace::default();
    pace.observe(0, 1000, std::time::Duration::from_nanos(1));
    pace
}

fn add(scheduler: &mut Scheduler, id: u64, tokens: usize) {
    scheduler.add(Sequence::new(SequenceId(id), vec![7; tokens]));
}

/// One step: what was planned, as `(sequence, tokens)`; every row that draws gets another token.
fn step(scheduler: &mut Scheduler, paused: &[u64]) -> Vec<(u64, usize)> {
    let plan = scheduler.schedule(&fast(), &paused.iter().copied().map(SequenceId).collect());
    scheduler.complete(&plan);
    for row in plan.rows.iter().filter(|row| row.draws) {
        scheduler.append(row.id, 7);
    }
    plan.rows.iter().map(|row| (row.id.0, row.tokens)).collect()
}

#[test]
fn answers_come_first_then_prompts_in_progress_then_those_who_wait() {
    let mut scheduler = scheduler(100, 4, 12);
    add(&mut scheduler, 0, 5);
    assert_eq!(step(&mut scheduler, &[]), [(0, 5)]);
    add(&mut scheduler, 1, 22);
    add(&mut scheduler, 2, 5);
    assert_eq!(
        step(&mut scheduler, &[]),
        [(0, 1), (1, 8)],
        "11 left: two whole blocks, and no room for the next"
    );
    assert_eq!(step(&mut scheduler, &[]), [(0, 1), (1, 8)]);
    assert_eq!(step(&mut scheduler, &[]), [(0, 1), (1, 6), (2, 5)]);
    assert_eq!(step(&mut scheduler, &[]), [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn a_chunk_ends_with_a_block_unless_it_ends_the_prompt() {
    let mut scheduler = scheduler(100, 1, 7);
    add(&mut scheduler, 0, 10);
    assert_eq!(step(&mut scheduler, &[]), [(0, 4)]);
    assert_eq!(step(&mut scheduler, &[]), [(0, 6)]);
}

#[test]
fn no_more_sequences_are_at_work_than_allowed() {
    let mut scheduler = scheduler(100, 2, 100);
    (0..3).for_each(|id| add(&mut scheduler, id, 2));
    assert_eq!(scheduler.spare_slots(), 0, "the line is not empty");
    assert_eq!(step(&mut scheduler, &[]), [(0, 2), (1, 2)]);
    scheduler.remove(SequenceId(0));
    assert_eq!(step(&mut scheduler, &[]), [(1, 1), (2, 2)]);
    scheduler.remove(SequenceId(2));
    assert_eq!(scheduler.spare_slots(), 1);
}

#[test]
fn a_newcomer_leaves_each_answer_its_next_block() {
    let mut scheduler = scheduler(3, 4, 100);
    add(&mut scheduler, 0, 3);
    add(&mut scheduler, 1, 8);
    assert_eq!(
        step(&mut scheduler, &[]),
        [(0, 3)],
        "two blocks are free, and one of them is for the first"
    );
    scheduler.remove(SequenceId(0));
    assert_eq!(step(&mut scheduler, &[]), [(1, 8)]);
}

#[test]
fn the_latest_arrival_gives_up_its_blocks_and_is_computed_again() {
    let mut scheduler = scheduler(5, 4, 100);
    add(&mut scheduler, 0, 7);
    assert_eq!(step(&mut scheduler, &[]), [(0, 7)]);
    add(&mut scheduler, 2, 4);
    assert_eq!(step(&mut scheduler, &[]), [(0, 1), (2, 4)]);
    // Sequence 0 has 9 tokens, sequence 2 has 5: each takes a block, and none is left.
    assert_eq!(step(&mut scheduler, &[]), [(0, 1), (2, 1)]);
    for _ in 0..3 {
        assert_eq!(step(&mut scheduler, &[]), [(0, 1), (2, 1)]);
    }
    assert_eq!(
        step(&mut scheduler, &[]),
        [(0, 1)],
        "13 tokens need the block of the other"
    );
    assert_eq!(scheduler.free_blocks(), (1, 5));
    scheduler.remove(SequenceId(0));
    assert_eq!(
        step(&mut scheduler, &[]),
        [(2, 9)],
        "prompt and generated tokens at once"
    );
}

#[test]
fn the_latest_waits_with_its_blocks_when_only_earlier_ones_hold_more() {
    let mut scheduler = scheduler(4, 4, 100);
    add(&mut scheduler, 0, 5);
    step(&mut scheduler, &[]);
    add(&mut scheduler, 1, 4);
    step(&mut scheduler, &[]);
    assert_eq!(step(&mut scheduler, &[]), [(0, 1), (1, 1)]);
    assert_eq!(scheduler.free_blocks(), (0, 4));
    step(&mut scheduler, &[0]);
    step(&mut scheduler, &[0]);
    step(&mut scheduler, &[0]);
    assert_eq!(scheduler.running(SequenceId(1)).unwrap().tokens.len(), 9);
    assert_eq!(
        step(&mut scheduler, &[0]),
        [(1, 1)],
        "the paused one yields, though it is the earliest"
    );
    assert_eq!(
        step(&mut scheduler, &[]),
        [(1, 1)],
        "it returns when its whole length fits"
    );
}

#[test]
fn a_paused_sequence_gets_no_row_and_yields_its_slot() {
    let mut scheduler = scheduler(100, 1, 100);
    add(&mut scheduler, 0, 2);
    step(&mut scheduler, &[]);
    add(&mut scheduler, 1, 2);
    assert_eq!(step(&mut scheduler, &[]), [(0, 1)]);
    assert_eq!(step(&mut scheduler, &[0]), [(1, 2)]);
    assert_eq!(step(&mut scheduler, &[0, 1]), []);
    scheduler.remove(SequenceId(1));
    assert_eq!(step(&mut scheduler, &[0]), [], "it waits in line, paused");
    assert_eq!(step(&mut scheduler, &[]), [(0, 4)]);
}

#[test]
fn a_sequence_that_is_not_there_can_be_removed() {
    let mut scheduler = scheduler(4, 1, 100);
    scheduler.remove(SequenceId(3));
    assert!(scheduler.is_empty());
}

#[derive(Debug, Clone)]
enum Act {
    Add(usize),
    Remove(prop::sample::Index),
    Pause(prop::sample::Index),
    Resume,
    Step,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (1_usize..25).prop_map(Act::Add),
        1 => any::<prop::sample::Index>().prop_map(Act::Remove),
        1 => any::<prop::sample::Index>().prop_map(Act::Pause),
        1 => Just(Act::Resume),
        8 => Just(Act::Step),
    ]
}

/// Lengths, the budget and the pool bound each sequence to 28 tokens, which fit 7 blocks.
const LONGEST: usize = 28;

fn check_step(
    scheduler: &mut Scheduler,
    open: &mut Vec<u64>,
    paused: &HashSet<SequenceId>,
) -> Result<(), TestCaseError> {
    let mut in_order = scheduler
        .running
        .iter()
        .chain(&scheduler.waiting)
        .map(|sequence| sequence.id);
    let earliest = in_order.find(|id| !paused.contains(id));
    let plan = scheduler.schedule(&fast(), paused);
    let tokens: usize = plan.rows.iter().map(|row| row.tokens).sum();
    prop_assert!(tokens <= scheduler.limits.max_step_tokens, "{tokens} tokens");
    prop_assert!(scheduler.running.len() <= scheduler.limits.max_running);
    prop_assert!(plan.rows.iter().all(|row| row.tokens > 0 && !paused.contains(&row.id)));
    prop_assert!(
        earliest.is_none_or(|id| plan.rows.iter().any(|row| row.id == id)),
        "{earliest:?}: {plan:?}"
    );

    let blocks = |sequence: &Sequence| {
        sequence
            .blocks
            .iter()
            .map(crate::chat::engine::pool::Block::index)
            .collect()
    };
    let held: Vec<Vec<u32>> = scheduler.running.iter().map(blocks).collect();
    let distinct: HashSet<u32> = held.iter().flatten().copied().collect();
    prop_assert_eq!(distinct.len() + scheduler.pool.free_blocks(), scheduler.pool.usable());
    for row in &plan.rows {
        let sequence = scheduler.running(row.id).unwrap();
        prop_assert!(sequence.blocks.len() * BLOCK >= sequence.computed + row.tokens);
    }

    scheduler.complete(&plan);
    for row in plan.rows.iter().filter(|row| row.draws) {
        scheduler.append(row.id, 7);
        if scheduler.running(row.id).unwrap().tokens.len() > LONGEST {
            scheduler.remove(row.id);
            open.retain(|&id| id != row.id.0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_the_earliest_at_work_moves_and_all_end(
        blocks in 7_usize..30,
        max_running in 1_usize..6,
        max_step_tokens in 1_usize..40,
        acts in prop::collection::vec(act(), 1..80),
    ) {
        let mut scheduler = scheduler(blocks, max_running, max_step_tokens);
        let (mut open, mut paused, mut next) = (Vec::new(), HashSet::new(), 0);
        for act in acts {
            match act {
                Act::Add(tokens) => {
                    add(&mut scheduler, next, tokens);
                    open.push(next);
                    next += 1;
                }
                Act::Remove(which) if !open.is_empty() => {
                    scheduler.remove(SequenceId(open.remove(which.index(open.len()))));
                }
                Act::Pause(which) if !open.is_empty() => {
                    paused.insert(SequenceId(open[which.index(open.len())]));
                }
                Act::Remove(_) | Act::Pause(_) => {}
                Act::Resume => paused.clear(),
                Act::Step => check_step(&mut scheduler, &mut open, &paused)?,
            }
        }
        let mut steps = 0;
        while !open.is_empty() {
            check_step(&mut scheduler, &mut open, &HashSet::new())?;
            steps += 1;
            prop_assert!(steps < 10_000, "the line does not end");
        }
        prop_assert!(scheduler.is_empty());
        prop_assert_eq!(scheduler.pool.free_blocks(), scheduler.pool.usable());
    }
}
