//! The engine as its callers hold it.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::chat::engine::EngineConfig;
use crate::chat::engine::admission::Admission;
use crate::chat::engine::ledger::Ledger;
use crate::chat::engine::panic_text;
use crate::chat::engine::worker::Worker;
use crate::chat::runner::Runner;
use crate::error::Error;
use crate::error::Result;

/// How long dropping an engine waits for its thread: far longer than a step. After that the device hangs,
/// and the thread is left behind rather than the caller.
const LONGEST_STOP: Duration = Duration::from_secs(5);

/// A running engine. Dropping it ends its thread and frees the runner; answers in progress end with an error.
#[derive(Debug)]
pub(crate) struct Engine {
    admission: Admission,
    thread: Option<JoinHandle<()>>,
    /// Disconnected once the runner is gone. Behind a lock so that the engine can be shared; only `drop` reads it.
    gone: Mutex<mpsc::Receiver<()>>,
}

impl Engine {
    /// Starts a thread called `name`, builds the runner on it, and waits until it is ready.
    ///
    /// # Errors
    /// What `build` returns; [`Error::Internal`] if it panics or no thread can be started.
    pub(crate) async fn start<B>(name: &str, config: EngineConfig, build: B) -> Result<Self>
    where
        B: FnOnce() -> Result<Box<dyn Runner>> + Send + 'static,
    {
        let (inbox, commands) = mpsc::channel();
        let (ready, built) = oneshot::channel();
        let (alive, gone) = mpsc::channel();
        let ledger = Arc::new(Ledger::new(config.max_queued, config.max_running));
        let ledger_of_worker = Arc::clone(&ledger);
        let body = move || {
            // Dropped last, after the runner.
            let _alive: mpsc::Sender<()> = alive;
            match catch_unwind(AssertUnwindSafe(build)) {
                Ok(Ok(runner)) => {
                    let worker = Worker::new(runner, config, commands, ledger_of_worker);
                    if ready.send(Ok(worker.capabilities())).is_ok() {
                        worker.run();
                    }
                }
                Ok(Err(error)) => drop(ready.send(Err(error))),
                Err(panic) => {
                    let text = format!("loading the model panicked: {}", panic_text(&*panic));
                    drop(ready.send(Err(Error::internal(text))));
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        let thread = thread.map_err(|e| Error::internal("no thread could be started for the model").with_source(e))?;
        let capabilities = built
            .await
            .map_err(|_| Error::internal("the model's thread ended while it was built"))??;
        Ok(Self {
            admission: Admission::new(inbox, ledger, capabilities),
            thread: Some(thread),
            gone: Mutex::new(gone),
        })
    }

    /// Where requests come in.
    pub(crate) const fn admission(&self) -> &Admission {
        &self.admission
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.admission.stop();
        let gone = self.gone.get_mut().unwrap_or_else(PoisonError::into_inner);
        if gone.recv_timeout(LONGEST_STOP) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a model's thread has not ended after {LONGEST_STOP:?}; it is left behind");
            return;
        }
        if let Some(thread) = self.thread.take() {
            // A panic has been told to the callers already.
            let _ = thread.join();
        }
    }
}
