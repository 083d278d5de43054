//! The threads that all models of a process compute with on the processor.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::OnceLock;

use inferkit_kernels::Pool;

/// The threads that models share on the processor. Cheap to clone: clones are the same threads.
///
/// A registry makes one and hands it to each model that it loads: with a set of threads for each, two models at work would
/// have twice as many as there are cores. Models that work at the same time each make progress, and divide the cores among
/// themselves. The threads are started when the first model asks for them, sleep when nobody computes, and end with their
/// last owner.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    count: Option<NonZeroUsize>,
    pool: Arc<OnceLock<Arc<Pool>>>,
}

impl Threads {
    /// As many as this process may use: one for each physical core in its affinity mask, no more than its cgroup quota.
    pub fn new() -> Self {
        Self::default()
    }

    /// That many, the thread that asks for a computation being one of them.
    pub fn with_count(count: NonZeroUsize) -> Self {
        Self {
            count: Some(count),
            ..Self::default()
        }
    }

    /// How many work on a computation. Starts them.
    pub fn count(&self) -> usize {
        self.pool().threads()
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        self.pool.get_or_init(|| {
            Arc::new(
                self.count
                    .map_or_else(Pool::with_available, |count| Pool::new(count.get())),
            )
        })
    }
}

/// Whether both are the same threads.
impl PartialEq for Threads {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool)
    }
}

impl Eq for Threads {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_threads_and_others_are_not() {
        let threads = Threads::with_count(NonZeroUsize::new(2).unwrap());
        let clone = threads.clone();
        assert_eq!(clone.count(), 2);
        assert!(Arc::ptr_eq(threads.pool(), clone.pool()) && threads == clone);
        assert_ne!(threads, Threads::new());
    }

    #[test]
    fn there_is_at_least_one() {
        assert!(Threads::new().count() >= 1);
    }
}
