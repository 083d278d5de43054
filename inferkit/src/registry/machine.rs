//! The states of a model and the one function that moves between them.
//!
//! Pure: it knows neither time nor tasks, so that every path through it can be tried. What
//! surrounds it ([`super::slot`]) asks it first and does the work it allows.
//!
//! **Invariant:** at most one operation runs, and which one is the state itself.

use crate::registry::RuntimeStatus;

/// Where a model is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    NotDownloaded,
    Downloading,
    Unloaded,
    Loading,
    Loaded,
    Unloading,
    /// `complete`: whether all files are present nevertheless.
    Failed {
        complete: bool,
    },
}

/// What can happen to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Somebody wants something done.
    Ask(Ask),
    /// The running operation has ended; `complete`: whether all files are present.
    Ended { ending: Ending, complete: bool },
    /// The loaded model can serve no more; `complete`: whether all files are present.
    Broke { complete: bool },
    /// Somebody has looked at the files.
    Files { complete: bool },
}

/// What somebody wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// `again`: also when the files are all present.
    Download {
        again: bool,
    },
    Load,
    Unload,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It did what was asked.
    Done,
    /// It was cancelled or refused: nothing is broken.
    Stopped,
    /// Something is broken.
    Fault,
}

/// What follows from an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The operation starts, and this is the state while it runs.
    Begin(State),
    /// The state is this one.
    Become(State),
    /// The operation asked for runs already.
    Join,
    /// There is nothing to do.
    Stay,
    /// What was asked for cannot be.
    Refuse(Refusal),
}

/// Why something cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An operation of another kind runs.
    Conflict,
    /// The files are missing.
    NotDownloaded,
    /// The files are in use by the loaded model.
    InUse,
}

impl State {
    /// The state of a model that nothing is done to and nothing is wrong with.
    pub(super) const fn at_rest(complete: bool) -> Self {
        if complete { Self::Unloaded } else { Self::NotDownloaded }
    }

    /// Its name for observers.
    pub(super) const fn runtime_status(self) -> RuntimeStatus {
        match self {
            Self::NotDownloaded => RuntimeStatus::NotDownloaded,
            Self::Downloading => RuntimeStatus::Downloading,
            Self::Unloaded => RuntimeStatus::Unloaded,
            Self::Loading => RuntimeStatus::Loading,
            Self::Loaded => RuntimeStatus::Loaded,
            Self::Unloading => RuntimeStatus::Unloading,
            Self::Failed { .. } => RuntimeStatus::Failed,
        }
    }

    /// What follows from `input` in this state.
    pub(super) const fn step(self, input: Input) -> Step {
        match input {
            Input::Ask(ask) => self.asked(ask),
            Input::Ended { ending, complete } => self.ended(ending, complete),
            Input::Broke { complete } => match self {
                Self::Loaded => Step::Become(Self::Failed { complete }),
                // An unload frees it anyway; if that is given up, its end asks again.
                Self::Unloading
                | Self::NotDownloaded
                | Self::Downloading
                | Self::Unloaded
                | Self::Loading
                | Self::Failed { .. } => Step::Stay,
            },
            Input::Files { complete } => match self {
                Self::NotDownloaded | Self::Unloaded => Step::Become(Self::at_rest(complete)),
                Self::Failed { .. } => Step::Become(Self::Failed { complete }),
                Self::Downloading | Self::Loading | Self::Loaded | Self::Unloading => Step::Stay,
            },
        }
    }

    const fn asked(self, ask: Ask) -> Step {
        match (self, ask) {
            (Self::NotDownloaded | Self::Failed { .. }, Ask::Download { .. })
            | (Self::Unloaded, Ask::Download { again: true }) => Step::Begin(Self::Downloading),
            (Self::Loaded, Ask::Download { again: true }) => Step::Refuse(Refusal::InUse),
            (Self::Unloaded | Self::Loaded, Ask::Download { again: false }) => Step::Stay,

            (Self::Unloaded | Self::Failed { complete: true }, Ask::Load) => Step::Begin(Self::Loading),
            (Self::NotDownloaded | Self::Failed { complete: false }, Ask::Load) => Step::Refuse(Refusal::NotDownloaded),

            (Self::Loaded, Ask::Unload) => Step::Begin(Self::Unloading),
            (Self::Loaded, Ask::Load) | (Self::NotDownloaded | Self::Unloaded | Self::Failed { .. }, Ask::Unload) => {
                Step::Stay
            }

            (Self::Downloading, Ask::Download { .. }) | (Self::Loading, Ask::Load) | (Self::Unloading, Ask::Unload) => {
                Step::Join
            }
            (Self::Downloading, Ask::Load | Ask::Unload)
            | (Self::Loading, Ask::Download { .. } | Ask::Unload)
            | (Self::Unloading, Ask::Download { .. } | Ask::Load) => Step::Refuse(Refusal::Conflict),
        }
    }

    const fn ended(self, ending: Ending, complete: bool) -> Step {
        match (self, ending) {
            // A download that is done and leaves files missing has not done what was asked.
            (Self::Downloading, Ending::Done) if !complete => Step::Become(Self::Failed { complete }),
            (Self::Downloading, Ending::Done | Ending::Stopped)
            | (Self::Loading, Ending::Stopped)
            | (Self::Unloading, Ending::Done) => Step::Become(Self::at_rest(complete)),
            (Self::Loading, Ending::Done) | (Self::Unloading, Ending::Stopped) => Step::Become(Self::Loaded),
            (Self::Downloading | Self::Loading | Self::Unloading, Ending::Fault) => {
                Step::Become(Self::Failed { complete })
            }
            (
                Self::NotDownloaded | Self::Unloaded | Self::Loaded | Self::Failed { .. },
                Ending::Done | Ending::Stopped | Ending::Fault,
            ) => Step::Stay,
        }
    }
}

#[cfg(test)]
mod tests;
