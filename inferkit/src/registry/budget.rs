//! Memory promised to models: an upper limit on the sum of all.
//!
//! **Invariant:** without force, the sum of what is promised never exceeds the limit.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::registry::shared::locked;

/// Memory of the models of one registry, in bytes.
pub(super) struct Budget {
    limit: Option<u64>,
    promised: Mutex<BTreeMap<String, u64>>,
    releases: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            promised: Mutex::new(BTreeMap::new()),
            releases: AtomicU64::new(0),
        }
    }

    /// Promises `bytes` to the model `key` in place of what it had.
    ///
    /// # Errors
    /// [`UnavailableFault::InsufficientMemory`] when they do not fit beside the other models'.
    pub(super) fn promise(&self, key: &str, bytes: u64) -> Result<()> {
        let mut promised = locked(&self.promised);
        if let Some(limit) = self.limit {
            let others = promised
                .iter()
                .filter(|(other, _)| *other != key)
                .map(|(_, bytes)| bytes);
            let available = others.fold(limit, |rest, bytes| rest.saturating_sub(*bytes));
            if bytes > available {
                return Err(Error::unavailable(
                    UnavailableFault::InsufficientMemory,
                    format!(
                        "the model '{key}' needs {bytes} bytes and {available} of {limit} are free; \
                         unload another model or raise the memory limit"
                    ),
                ));
            }
        }
        promised.insert(key.to_owned(), bytes);
        Ok(())
    }

    /// Promises `bytes` to the model `key` even if they do not fit.
    pub(super) fn force(&self, key: &str, bytes: u64) {
        locked(&self.promised).insert(key.to_owned(), bytes);
    }

    /// Takes back what the model `key` had.
    pub(super) fn release(&self, key: &str) {
        if locked(&self.promised).remove(key).is_some() {
            self.releases.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How often memory was taken back: who was refused sees from it whether asking again may help.
    pub(super) fn releases(&self) -> u64 {
        self.releases.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_does_not_fit_is_refused_with_both_numbers() {
        let budget = Budget::new(Some(100));
        budget.promise("a", 60).unwrap();
        let error = budget.promise("b", 41).unwrap_err();
        assert_eq!(error.code(), "insufficient_memory");
        assert!(
            error.to_string().contains("needs 41 bytes and 40 of 100 are free"),
            "{error}"
        );

        budget
            .promise("a", 59)
            .expect("a new promise takes the place of the old one");
        budget.promise("b", 41).expect("what the first gave back is free");
        assert_eq!(budget.releases(), 0);
        budget.release("a");
        budget.promise("c", 59).expect("what was released is free");
        budget.release("a");
        assert_eq!(budget.releases(), 1, "the second time there was nothing");
    }

    #[test]
    fn without_a_limit_and_with_force_everything_is_promised() {
        Budget::new(None).promise("a", u64::MAX).unwrap();
        let budget = Budget::new(Some(1));
        budget.force("a", 5);
        assert!(budget.promise("b", 0).is_ok());
        assert!(budget.promise("b", 1).is_err(), "a forced promise counts");
    }
}
