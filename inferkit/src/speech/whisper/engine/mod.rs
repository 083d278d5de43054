//! The engine: a thread that owns the network and writes down many recordings at once.
//!
//! ```text
//! requests ─▶ queue, bounded ────────▶ ┌──────────────── thread ───────────────────┐
//!                                      │ work: recording, transcript, slot, lanes  │
//!                                      │ turn: mel + encoder of new windows, then  │
//!                                      │ one decoder step of all texts at once     │
//! EventStream ◀───────── events ────── │ windows that are written ─▶ segments      │
//!                                      └───────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** nothing outside the thread touches the network, and the thread never waits for a reader. What fails in a
//! step ends the requests in it; a panic ends the engine. A reader that has gone is noticed before the next step.

mod handle;
mod work;
mod worker;

pub(super) use handle::Engine;
pub(super) use handle::EngineOptions;
pub(super) use work::Recording;
pub(super) use work::Task;
