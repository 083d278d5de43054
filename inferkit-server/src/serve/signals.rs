//! Signals: TERM and INT end the process, HUP re-reads keys, certificates and log level, USR1 drains.

use std::io;
use std::process;

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// Exit code of a process that was told twice to end.
const INTERRUPTED: i32 = 130;

/// The signals that the server listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The process should end.
    End,
    /// Keys, certificates and log level should be read again.
    Reload,
    /// New inference should be refused.
    Drain,
}

impl Signals {
    /// Listens from now on, so that no signal is lost while the server starts.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next wish.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hang_up.recv() => Wish::Reload,
            _ = self.user.recv() => Wish::Drain,
        }
    }

    /// Ends the process at once when it is told a second time.
    pub async fn exit_when_told_again(&mut self) {
        while self.next().await != Wish::End {}
        tracing::warn!("told twice to end; what runs is cut off");
        process::exit(INTERRUPTED);
    }
}
