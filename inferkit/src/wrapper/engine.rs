//! What every engine is made of: the line in front of it, the thread that owns it, the way back to each caller.
//!
//! ```text
//! submit ─ Line: counts, health ─▶ Queue: who waits ─▶ EngineThread: Turns::turn, again and again
//! EventStream ◀──────────────────────── Outlet ◀───────────┘
//! ```
//!
//! A family brings what a turn does. Here stands what is the same for all: places in line, refusals and when to come back,
//! the end of those who wait too long or whose caller has gone, panics, and the end of the thread with its owner.
//!
//! **Invariant:** a place in line depends on nothing that a turn computes: who leaves it or is late in it is out of it at
//! once, however long the turn takes.

mod line;
mod queue;
mod stream;
mod thread;

pub(crate) use line::Line;
pub(crate) use queue::Order;
pub(crate) use queue::Queue;
pub(crate) use queue::QueueLimits;
pub(crate) use stream::EventStream;
pub(crate) use stream::Outlet;
pub(crate) use thread::EngineThread;
pub(crate) use thread::Turns;
pub(crate) use thread::unloaded;
