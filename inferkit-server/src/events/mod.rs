//! What changes in the server, numbered, for any number of readers.
//!
//! ```text
//! registry, monitor, token, log ─ pump: at most two a second of each ─▶ ring of 1000 ─▶ readers
//! ```
//!
//! **Invariant:** numbers only grow, and begin at the process's start time in milliseconds, so that a
//! number of an earlier life is never valid. A reader never holds another back: it reads the ring at
//! its own pace, and one that falls behind gets the whole state instead of what it missed.

mod pump;
mod ring;

pub use pump::LogLine;
pub use pump::pump;
pub use ring::EventRing;
pub use ring::Missed;
pub use ring::Reader;
pub use ring::Recorded;
