//! The engine: a thread that owns the networks and writes down many recordings at once.
//!
//! ```text
//! requests ─▶ queue, bounded ────────▶ ┌───────────────── thread ─────────────────┐
//!                                      │ work: recording, transcript              │
//!                                      │ turn: the next windows of all works,     │
//!                                      │ encoded together, decoded together       │
//! EventStream ◀───────── events ────── │ a window that is written ─▶ segments     │
//!                                      └──────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** nothing outside the thread touches the networks, and the thread never waits for a reader. What fails in a
//! turn ends the requests in it; a panic ends the engine. A reader that has gone is noticed before the next step.

mod handle;
mod work;
mod worker;

pub(super) use handle::Engine;
pub(super) use handle::EngineOptions;
pub(super) use work::Recording;
