//! The engine as its callers hold it.

use std::sync::Arc;
use std::sync::mpsc;

use crate::chat::engine::EngineConfig;
use crate::chat::engine::admission::Admission;
use crate::chat::engine::worker::Worker;
use crate::chat::runner::Runner;
use crate::error::Result;
use crate::wrapper::engine::EngineThread;
use crate::wrapper::engine::Line;

/// A running engine. Dropping it ends its thread and frees the runner; answers in progress end with an error.
#[derive(Debug)]
pub(crate) struct Engine {
    admission: Admission,
    /// Held until the admission has told it to end.
    _thread: EngineThread,
}

impl Engine {
    /// Starts a thread called `name`, builds the runner on it, and waits until it is ready.
    ///
    /// # Errors
    /// What `build` returns; [`crate::Error::Internal`] if it panics or no thread can be started.
    pub(crate) async fn start<B>(name: &str, config: EngineConfig, build: B) -> Result<Self>
    where
        B: FnOnce() -> Result<Box<dyn Runner>> + Send + 'static,
    {
        let (inbox, commands) = mpsc::channel();
        let line = Arc::new(Line::new(config.max_queued, config.max_running));
        let line_of_worker = Arc::clone(&line);
        let build = move || {
            let worker = Worker::new(build()?, config, commands, line_of_worker);
            let facts = (worker.capabilities(), Arc::clone(worker.throughput()));
            Ok((worker, facts))
        };
        let (thread, facts) = EngineThread::start(name, Arc::clone(&line), build).await?;
        Ok(Self {
            admission: Admission::new(inbox, line, facts),
            _thread: thread,
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
    }
}
