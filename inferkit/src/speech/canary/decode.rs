//! From the states of several windows to their texts: one search a window, one network for all.

use super::decoder::Decoder;
use super::decoder::Room;
use super::decoder::StepRow;
use super::encoder::States;
use super::search::Child;
use super::search::Found;
use super::search::Search;
use crate::error::Error;
use crate::error::Result;

/// A window at work.
struct Running {
    window: usize,
    search: Search,
    /// Places of the hypotheses in the session.
    slots: Vec<usize>,
    /// What is to be computed next: the hypotheses that are not finished.
    rows: Vec<StepRow>,
}

/// What a window is decoded with.
pub(super) struct Task<'a> {
    /// Tokens before the answer.
    pub(super) prompt: &'a [u32],
    /// The search; `None` where there is no room for an answer.
    pub(super) search: Option<Search>,
    /// Most tokens of a sequence, prompt included.
    pub(super) longest: usize,
}

/// Decodes windows together; each gives what it would give alone.
///
/// * `states`: one window for each task
/// * `goes_on`: asked before every step whether the text of a window is still wanted
/// * `finished`: told the text of a window as soon as it is found
pub(super) fn decode(
    decoder: &Decoder,
    states: &States,
    tasks: Vec<Task<'_>>,
    goes_on: &mut dyn FnMut(usize) -> bool,
    finished: &mut dyn FnMut(usize, Found),
) -> Result<()> {
    let room = |task: &Task<'_>| Room {
        hypotheses: task.search.as_ref().map_or(0, Search::beam),
        tokens: task.longest,
    };
    let rooms: Vec<Room> = tasks.iter().map(room).collect();
    let mut session = decoder.begin(states, &rooms)?;
    let mut running = Vec::with_capacity(tasks.len());
    let mut first_slot = 0;
    for (window, (task, room)) in tasks.into_iter().zip(&rooms).enumerate() {
        let slots: Vec<usize> = (first_slot..first_slot + room.hypotheses).collect();
        first_slot += room.hypotheses;
        match (task.search, slots.first()) {
            (Some(search), Some(&slot)) => running.push(Running {
                window,
                search,
                rows: vec![StepRow {
                    slot,
                    tokens: task.prompt.to_vec(),
                }],
                slots,
            }),
            _ => finished(window, Found::default()),
        }
    }
    loop {
        running.retain(|running| goes_on(running.window));
        if running.is_empty() {
            return Ok(());
        }
        let rows: Vec<StepRow> = running
            .iter()
            .flat_map(|running| running.rows.iter().cloned())
            .collect();
        let logits = decoder.step(&mut session, &rows)?;
        let mut logits = logits.chunks_exact((logits.len() / rows.len()).max(1));
        let mut next = Vec::with_capacity(running.len());
        for mut window in running {
            let own: Vec<&[f32]> = logits.by_ref().take(window.rows.len()).collect();
            if own.len() < window.rows.len() {
                return Err(Error::internal("a step gave fewer logits than it had rows"));
            }
            match window.search.advance(&own) {
                Some(children) => {
                    let parents: Vec<usize> = children.iter().map(|child| child.parent).collect();
                    let slots = session.descend(&window.slots, &parents)?;
                    window.rows = rows_of(&slots, &children);
                    window.slots = slots;
                    next.push(window);
                }
                None => finished(window.window, window.search.into_found()),
            }
        }
        running = next;
    }
}

fn rows_of(slots: &[usize], children: &[Child]) -> Vec<StepRow> {
    let unfinished = slots.iter().zip(children).filter(|(_, child)| !child.finished);
    unfinished
        .map(|(slot, child)| StepRow {
            slot: *slot,
            tokens: vec![child.token],
        })
        .collect()
}

#[cfg(test)]
mod tests;
