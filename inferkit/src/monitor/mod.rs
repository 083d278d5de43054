//! What the machine is doing: GPUs, processor, memory, disks and this process, sampled and remembered.
//!
//! ```text
//! GpuMonitor ─┐                        ┌─▶ watch: the newest Sample, for whoever asks
//! HostMonitor ┴─▶ Monitor's own thread ┴─▶ History: three resolutions, a day back
//! ```
//!
//! **Invariant:** readers only read what was sampled; asking never touches a device. What the machine does not
//! say is `None`, never 0.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod disk;
mod gpu;
mod history;
mod host;
mod proc_files;
mod sampler;

pub use disk::DiskRole;
pub use disk::DiskSample;
pub use gpu::GpuMonitor;
pub use gpu::GpuReport;
pub use gpu::GpuSample;
pub use history::GpuPoint;
pub use history::History;
pub use history::HistoryWindow;
pub use history::Point;
pub use host::HostMonitor;
pub use host::HostSample;
pub use host::ProcessSample;
pub use sampler::Monitor;
pub use sampler::MonitorOptions;
pub use sampler::Sample;

#[cfg(test)]
pub(crate) use gpu::test_report;
