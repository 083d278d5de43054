//! The operations of a registry: those that run and the last that ended.
//!
//! **Invariant:** an operation that has ended never changes, and its observers and the event
//! stream see the same changes in the same order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tokio::sync::watch;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::registry::Event;
use crate::registry::Operation;
use crate::registry::OperationKind;
use crate::registry::OperationState;
use crate::registry::event::Events;
use crate::registry::shared::locked;
use crate::wrapper::Progress;

/// Operations kept, those at work not counted.
const KEPT: usize = 100;

/// One operation, written by its driver and read by anybody.
pub(super) type Entry = Arc<watch::Sender<Operation>>;

pub(super) struct Journal {
    events: Events,
    book: Mutex<Book>,
}

struct Book {
    next_id: u128,
    /// Oldest first.
    entries: VecDeque<Entry>,
}

impl Journal {
    pub(super) fn new(events: Events) -> Self {
        // Beginning at the time of day, no id of an earlier process is valid in this one.
        let next_id = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        Self {
            events,
            book: Mutex::new(Book {
                next_id,
                entries: VecDeque::new(),
            }),
        }
    }

    /// Writes down an operation that begins.
    pub(super) fn begin(&self, kind: OperationKind, model: &str) -> Entry {
        self.add(kind, model, OperationState::Running)
    }

    /// Writes down an operation that had nothing to do.
    pub(super) fn nothing_to_do(&self, kind: OperationKind, model: &str) -> Operation {
        self.add(kind, model, OperationState::Succeeded).borrow().clone()
    }

    fn add(&self, kind: OperationKind, model: &str, state: OperationState) -> Entry {
        let now = SystemTime::now();
        let mut book = locked(&self.book);
        let operation = Operation {
            id: format!("op_{}", book.next_id),
            kind,
            model: model.to_owned(),
            state,
            changed: !state.is_finished(),
            created_at: now,
            finished_at: state.is_finished().then_some(now),
            progress: Progress::default(),
            error: None,
        };
        book.next_id += 1;
        // Told under the lock, so that events of new operations come in the order of their ids.
        self.tell(&operation);
        let entry = Arc::new(watch::Sender::new(operation));
        book.entries.push_back(Arc::clone(&entry));
        book.forget_the_oldest();
        entry
    }

    /// Changes an operation that has not ended.
    pub(super) fn change(&self, entry: &Entry, change: impl FnOnce(&mut Operation)) {
        entry.send_if_modified(|operation| {
            if operation.state.is_finished() {
                return false;
            }
            change(operation);
            self.tell(operation);
            true
        });
    }

    fn tell(&self, operation: &Operation) {
        self.events.tell(|| Event::Operation(Box::new(operation.clone())));
    }

    /// The operation `id`, running or kept.
    pub(super) fn find(&self, id: &str) -> Result<Entry> {
        locked(&self.book)
            .entries
            .iter()
            .find(|entry| entry.borrow().id == id)
            .cloned()
            .ok_or_else(|| {
                let id: String = id.chars().take(200).collect();
                Error::invalid(
                    RequestFault::OperationNotFound,
                    None,
                    format!("The operation '{id}' does not exist; the last {KEPT} are kept"),
                )
            })
    }

    /// The newest operation of `model`.
    pub(super) fn last_of(&self, model: &str) -> Option<Operation> {
        let book = locked(&self.book);
        book.entries
            .iter()
            .rev()
            .map(|entry| entry.borrow())
            .find(|operation| operation.model == model)
            .as_deref()
            .cloned()
    }

    /// All operations, newest first.
    pub(super) fn newest_first(&self) -> Vec<Operation> {
        locked(&self.book)
            .entries
            .iter()
            .rev()
            .map(|entry| entry.borrow().clone())
            .collect()
    }
}

impl Book {
    fn forget_the_oldest(&mut self) {
        let ended = |entry: &Entry| entry.borrow().state.is_finished();
        while self.entries.iter().filter(|entry| ended(entry)).count() > KEPT {
            match self.entries.iter().position(ended) {
                Some(oldest) => drop(self.entries.remove(oldest)),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal::new(Events::new())
    }

    #[test]
    fn the_last_hundred_are_kept_and_those_at_work_beyond_that() {
        let journal = journal();
        let running = journal.begin(OperationKind::Load, "first");
        let ended: Vec<_> = (0..150)
            .map(|_| journal.nothing_to_do(OperationKind::Load, "other").id)
            .collect();

        let kept: Vec<_> = journal
            .newest_first()
            .into_iter()
            .map(|operation| operation.id)
            .collect();
        assert_eq!(kept.len(), KEPT + 1);
        assert_eq!(kept.first(), ended.last(), "newest first");
        assert_eq!(
            kept.last(),
            Some(&running.borrow().id),
            "an operation at work is not forgotten"
        );
        assert_eq!(journal.find(&ended[0]).unwrap_err().code(), "operation_not_found");
    }

    #[test]
    fn an_operation_that_has_ended_never_changes() {
        let journal = journal();
        let entry = journal.begin(OperationKind::Download, "model");
        journal.change(&entry, |operation| operation.state = OperationState::Cancelled);
        journal.change(&entry, |operation| operation.state = OperationState::Running);
        assert_eq!(entry.borrow().state, OperationState::Cancelled);
    }
}
