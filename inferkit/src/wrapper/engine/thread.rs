//! The thread that owns an engine, from its beginning to its end.

use std::ops::ControlFlow;
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

use super::line::Line;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::panics::contain;
use crate::panics::panic_text;

/// How long dropping an engine waits for its thread: far longer than a step. After that the device hangs, and the thread is
/// left behind rather than the owner.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// What an engine's thread does.
pub(crate) trait Turns {
    /// One round of work; sleeps where there is none. Breaks once the engine's owner has let go of it.
    ///
    /// A panic ends the engine: its health breaks, and it is never called again.
    fn turn(&mut self) -> ControlFlow<()>;

    /// Ends all requests that are left, in line and at work, with `error`. The line is closed already.
    fn end_all(&mut self, error: &Error);
}

/// A running thread. Whoever owns it tells what runs on it to end and then drops this, which waits until all is freed.
#[derive(Debug)]
pub(crate) struct EngineThread {
    handle: Option<JoinHandle<()>>,
    /// Disconnected once what ran is freed. Behind a lock so that the engine can be shared; only `drop` reads it.
    gone: Mutex<mpsc::Receiver<()>>,
}

impl EngineThread {
    /// Starts a thread called `name`, builds on it what takes turns, waits for that, and returns what `build` tells of it.
    ///
    /// The line is closed when the turns end, with the reason; if that is a panic, its health has broken.
    ///
    /// # Errors
    /// What `build` returns; [`Error::Internal`] if it panics or no thread can be started.
    pub(crate) async fn start<T, F, B>(name: &str, line: Arc<Line>, build: B) -> Result<(Self, F)>
    where
        T: Turns,
        F: Send + 'static,
        B: FnOnce() -> Result<(T, F)> + Send + 'static,
    {
        let (ready, built) = oneshot::channel();
        let (alive, gone) = mpsc::channel();
        let body = move || {
            // Dropped last, after what takes turns.
            let _alive: mpsc::Sender<()> = alive;
            match contain(build, |text| {
                Error::internal(format!("loading the model panicked: {text}"))
            }) {
                // Nobody is there to receive if the load was given up.
                Ok((turns, facts)) => {
                    if ready.send(Ok(facts)).is_ok() {
                        take_turns(turns, &line);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|e| Error::internal("no thread could be started for the model").with_source(e))?;
        let facts = built
            .await
            .map_err(|_| Error::internal("the model's thread ended while it was built"))??;
        let thread = Self {
            handle: Some(handle),
            gone: Mutex::new(gone),
        };
        Ok((thread, facts))
    }

    /// Waits until the thread has freed everything, at most for `limit`; `false` if it is left behind.
    fn join(&mut self, limit: Duration) -> bool {
        let gone = self.gone.get_mut().unwrap_or_else(PoisonError::into_inner);
        if gone.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        if let Some(handle) = self.handle.take() {
            // A panic has been told to the callers already.
            let _ = handle.join();
        }
        true
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        if !self.join(LONGEST_STOP) {
            tracing::warn!("a model's thread has not ended after {LONGEST_STOP:?}; it is left behind");
        }
    }
}

/// What a caller is told whose engine was let go of while it waited or was answered.
pub(crate) fn unloaded() -> Error {
    let message = "the model was unloaded before the answer ended; load it and ask again";
    Error::unavailable(UnavailableFault::ModelNotLoaded, message)
}

/// Takes turns until the owner lets go or one panics; then closes the line and ends what is left.
fn take_turns(mut turns: impl Turns, line: &Line) {
    let ending = loop {
        match catch_unwind(AssertUnwindSafe(|| turns.turn())) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break None,
            Err(panic) => break Some(panic_text(panic.as_ref())),
        }
    };
    let Some(text) = ending else {
        let end = unloaded();
        line.close(end.clone());
        return turns.end_all(&end);
    };
    let end = Error::generation_failed(format!("the model's thread panicked ({text})"));
    tracing::error!("{end}");
    let message = "the model failed while it answered; load it again";
    line.close(Error::unavailable(UnavailableFault::ModelFailed, message).with_source(end.clone()));
    line.health().fail(end.clone());
    turns.end_all(&end);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a turn for each message, and ends with the sender.
    struct Fake {
        turns: mpsc::Receiver<&'static str>,
        ends: mpsc::Sender<String>,
    }

    impl Turns for Fake {
        fn turn(&mut self) -> ControlFlow<()> {
            match self.turns.recv() {
                Ok("panic") => panic!("asked for"),
                Ok(_) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        }

        fn end_all(&mut self, error: &Error) {
            self.ends.send(error.to_string()).unwrap();
        }
    }

    async fn started() -> (
        EngineThread,
        Arc<Line>,
        mpsc::Sender<&'static str>,
        mpsc::Receiver<String>,
    ) {
        let line = Arc::new(Line::new(1, 1));
        let ((turn, turns), (ends, ended)) = (mpsc::channel(), mpsc::channel());
        let build = move || Ok((Fake { turns, ends }, 7));
        let (thread, fact) = EngineThread::start("test", Arc::clone(&line), build).await.unwrap();
        assert_eq!(fact, 7, "what the builder tells arrives");
        (thread, line, turn, ended)
    }

    #[tokio::test]
    async fn an_owner_that_lets_go_ends_what_is_left_and_closes_the_line() {
        let (thread, line, turn, ended) = started().await;
        turn.send("turn").unwrap();
        assert!(line.admit().is_ok());
        drop(turn);
        drop(thread);
        assert!(ended.recv().unwrap().contains("was unloaded"));
        assert_eq!(line.admit().unwrap_err().code(), "model_not_loaded");
        assert!(line.health().failure().is_none(), "an unload is no failure");
    }

    #[tokio::test]
    async fn a_panic_breaks_the_health_and_tells_later_callers_to_load_again() {
        let (_thread, line, turn, ended) = started().await;
        turn.send("panic").unwrap();
        let told = ended.recv().unwrap();
        assert_eq!(told, "generation failed: the model's thread panicked (asked for)");
        assert_eq!(line.health().failure().unwrap().to_string(), told);
        let refusal = line.admit().unwrap_err();
        assert_eq!(
            (refusal.code(), refusal.to_string().contains("load it again")),
            ("model_failed", true)
        );
    }

    #[tokio::test]
    async fn a_thread_that_hangs_is_left_behind() {
        let (mut thread, _line, turn, _ended) = started().await;
        assert!(!thread.join(Duration::from_millis(1)));
        drop(turn);
        assert!(thread.join(LONGEST_STOP), "it ended in the end");
    }

    #[tokio::test]
    async fn what_fails_or_panics_while_it_is_built_is_an_error_of_the_start() {
        let start = |build: fn() -> Result<(Fake, ())>| EngineThread::start("test", Arc::new(Line::new(1, 1)), build);
        assert_eq!(
            start(|| Err(Error::bad_model("x"))).await.unwrap_err().code(),
            "bad_model"
        );
        let panicked = start(|| panic!("no device")).await.unwrap_err();
        assert_eq!(panicked.to_string(), "loading the model panicked: no device");
    }
}
