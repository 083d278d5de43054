//! One thread pool for every kernel of the process, as a value.
//!
//! ```text
//! run(units, f): post a region → workers take chunks of units → the caller works too → all done
//! ```
//!
//! A region costs well under a microsecond while the workers are awake. They stay awake for some tens of microseconds
//! after the last region (a decoder layer posts the next one sooner), then sleep: an idle process uses no processor
//! time. Chunks are handed out by a counter, since a fixed split waits for a thread that the system has put aside.
//!
//! Several callers may run regions at the same time. Each works on its own region, so each makes progress; workers
//! spread over the open regions and look again after every chunk.
//!
//! **Invariant:** the pool decides *when* a unit runs, never what it computes.

mod cores;
mod region;
mod worker;

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::denormals::FlushDenormals;
use region::{Region, Shared};

thread_local! {
    /// Whether this thread is inside a region; regions in regions run inline.
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
}

/// How long a worker looks for the next region before it sleeps.
const SPIN: Duration = Duration::from_micros(30);

/// A set of worker threads that share the units of a region.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool in which `threads` threads work on a region, the caller being one of them.
    ///
    /// Where the system refuses a thread, the pool has fewer. With more threads than processors, workers sleep at
    /// once instead of spinning.
    pub fn new(threads: usize) -> Self {
        let spin = if threads <= cores::available() {
            SPIN
        } else {
            Duration::ZERO
        };
        let shared = Arc::new(Shared::new(spin));
        let workers = (1..threads)
            .filter_map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("kernels-{number}"))
                    .spawn(move || worker::work(&shared))
                    .ok()
            })
            .collect();
        Self { shared, workers }
    }

    /// A pool as wide as this process may use: one thread for each physical core in its affinity mask, and no more than
    /// its cgroup quota allows.
    pub fn with_available() -> Self {
        Self::new(cores::physical())
    }

    /// Threads that work on a region, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `unit(0)`, …, `unit(units - 1)`, each once, in any order, on any of the threads; returns when all are done.
    ///
    /// Denormals count as zero inside. Called from inside a region, the units run one after another on this thread.
    ///
    /// # Panics
    /// When a unit panics, the first panic is raised again here once every thread has left the region; units that
    /// nobody had begun are skipped. The pool can be used afterwards.
    pub fn run(&self, units: usize, unit: impl Fn(usize) + Sync) {
        if units == 0 {
            return;
        }
        let _flush = FlushDenormals::new();
        if units == 1 || self.workers.is_empty() || IN_REGION.get() {
            (0..units).for_each(unit);
            return;
        }
        let chunk = (units / (8 * self.threads())).max(1);
        let region = Region::new(&unit, chunk);
        if let Some(panic) = self.shared.run(&region, units, self.workers.len()) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            // A worker catches what its units raise, so it has nothing to report.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests;
