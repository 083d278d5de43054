//! Work of a wrapper on a thread of its own, watched: panics, hangs and progress.
//!
//! A wrapper may block for as long as it likes, so it never runs on a thread of the async runtime.
//! Nor does it run on the runtime's pool for blocking work, since a thread there that hangs would
//! keep the process from ending.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::panics::panic_text;
use crate::wrapper::Job;
use crate::wrapper::Progress;

/// Stack of a working thread in bytes: what a process's first thread has.
const STACK_BYTES: usize = 8 << 20;

/// Shortest time between two reports that are passed on.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Work on a thread of its own.
pub(super) struct Work<T> {
    result: oneshot::Receiver<Result<T>>,
}

impl<T: Send + 'static> Work<T> {
    /// Runs `future` on a new thread. A panic becomes an error; dropping the work abandons it: it runs
    /// on, and its result is dropped there.
    pub(super) fn start<F>(runtime: &Handle, name: &str, future: F) -> Result<Self>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (sender, result) = oneshot::channel();
        let runtime = runtime.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(future)));
                // A result that nobody waits for any more is dropped here.
                let _ = sender.send(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))));
            })
            .map_err(|error| Error::internal("no thread can be started for the model").with_source(error))?;
        Ok(Self { result })
    }

    /// Waits for the result, for no longer than `patience` after the work's last sign of life.
    ///
    /// # Errors
    /// The work's own error, or [`UnavailableFault::Timeout`] once it is silent for too long.
    pub(super) async fn watched(
        mut self,
        job: &Job,
        patience: Duration,
        mut report: impl FnMut(Progress),
    ) -> Result<T> {
        let mut progress = job.progress();
        if *progress.borrow() != Progress::default() {
            // The work was quicker than this line, and its report must not pass for seen.
            progress.mark_changed();
        }
        let mut deadline = Instant::now() + patience;
        loop {
            tokio::select! {
                biased;
                result = &mut self.result => return received(result),
                // The job holds a sender, so the channel never closes.
                _ = progress.changed() => {
                    deadline = Instant::now() + patience;
                    report(progress.borrow_and_update().clone());
                    tokio::select! {
                        biased;
                        result = &mut self.result => return received(result),
                        () = tokio::time::sleep(REPORT_INTERVAL) => {}
                    }
                }
                () = tokio::time::sleep_until(deadline) => return Err(silent(patience)),
            }
        }
    }
}

fn received<T>(result: Result<Result<T>, oneshot::error::RecvError>) -> Result<T> {
    result.unwrap_or_else(|_| Err(Error::internal("the model's thread ended without a result")))
}

fn silent(patience: Duration) -> Error {
    Error::unavailable(
        UnavailableFault::Timeout,
        format!(
            "the work made no progress for {} s and was given up; try again",
            patience.as_secs_f64()
        ),
    )
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::internal(format!("the model panicked: {}", panic_text(panic)))
}
