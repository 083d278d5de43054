//! A piece of long work as both sides see it: progress one way, cancellation the other.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::error::Result;

/// A piece of long work: tells its progress and learns of cancellation. Clones are the same job.
#[derive(Debug, Clone)]
pub struct Job {
    progress: Arc<watch::Sender<Progress>>,
    cancellation: CancellationToken,
}

impl Default for Job {
    fn default() -> Self {
        Self::new()
    }
}

impl Job {
    /// A job that nobody watches yet.
    pub fn new() -> Self {
        Self {
            progress: Arc::new(watch::Sender::new(Progress::default())),
            cancellation: CancellationToken::new(),
        }
    }

    /// Publishes how far the work is.
    pub fn report(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// The newest progress, and a way to wait for more.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Asks the work to stop. It stops at its next [`Job::check`] or where it waits for [`Job::cancelled`].
    pub fn cancel(&self) {
        self.cancellation.cancel();
    }

    /// Whether the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Returns once the work was asked to stop.
    pub async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }

    /// Fails if the work was asked to stop.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the code `cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }
}

/// How far a piece of work is. What is not known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done, in a word or two: `listing files`, `fetching`, `reading weights`.
    pub phase: &'static str,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: Option<u64>,
    /// Files done.
    pub done_files: usize,
    /// Files in all.
    pub total_files: Option<usize>,
    /// The file at work.
    pub file: Option<PathBuf>,
}

impl Progress {
    /// Work in `phase`, nothing done yet.
    pub fn phase(phase: &'static str) -> Self {
        Self {
            phase,
            ..Self::default()
        }
    }

    /// Sets the bytes done and in all.
    #[must_use]
    pub fn with_bytes(self, done: u64, total: Option<u64>) -> Self {
        Self {
            done_bytes: done,
            total_bytes: total,
            ..self
        }
    }

    /// Sets the files done and in all.
    #[must_use]
    pub fn with_files(self, done: usize, total: Option<usize>) -> Self {
        Self {
            done_files: done,
            total_files: total,
            ..self
        }
    }

    /// Sets the file at work.
    #[must_use]
    pub fn with_file(self, file: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(file.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_sees_the_progress_and_the_cancellation_of_the_job() {
        let job = Job::new();
        let worker = job.clone();
        worker.report(Progress::phase("fetching").with_bytes(3, Some(9)));
        assert_eq!(job.progress().borrow().done_bytes, 3);

        job.cancel();
        assert_eq!(worker.check().unwrap_err().code(), "cancelled");
    }
}
