//! A pipeline of pyannote: what its `config.yaml` says, where its parts lie, and how it is run.
//!
//! ```text
//! config.yaml ─config─▶ references ─parts─▶ files ─load─▶ networks, clustering ─run─▶ turns
//! ```
//!
//! **Invariant:** every value comes from the pipeline's files; what stands here are the values that pyannote.audio takes
//! where a file says nothing.

mod config;
mod load;
mod parts;
mod plan;
mod reference;
mod run;
mod segmenter;

pub(super) use config::PipelineConfig;
pub(super) use load::Pipeline;
pub(super) use parts::Need;
pub(super) use parts::Origin;
pub(super) use parts::PartFiles;
pub(super) use parts::needs;
pub(super) use run::Listener;

/// The file that describes a pipeline.
pub(super) const CONFIG: &str = "config.yaml";
