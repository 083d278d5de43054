//! The thread that owns a pipeline: a bounded line of requests, one after another, each on all processors.
//!
//! ```text
//! diarize ─▶ queue, bounded ─▶ thread: pipeline.run ─▶ progress, result ─▶ stream of the caller
//! ```
//!
//! A caller who drops the stream ends the work at the pipeline's next check; dropping the engine ends its thread.

mod handle;
mod work;

pub(super) use handle::Diarize;
pub(super) use handle::Engine;
pub(super) use handle::EngineConfig;
