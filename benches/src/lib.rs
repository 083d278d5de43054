//! What the harnesses beside this file share: a model that answers at once, order statistics, and
//! figures of a process.
//!
//! Each harness answers one question and prints its figures; `scripts/bench.sh` runs them all, and
//! `doc/benchmarks.md` keeps what they printed, with machine and command. No test asserts them.

mod echo;
mod figures;
mod process;

pub use echo::Echo;
pub use figures::Figures;
pub use process::cpu_seconds;
pub use process::peak_resident_bytes;
pub use process::resident_bytes;
