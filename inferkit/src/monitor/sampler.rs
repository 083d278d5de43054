//! The thread that samples, and what it leaves for readers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tokio::sync::watch;

use crate::error::Error;
use crate::error::Result;
use crate::monitor::DiskRole;
use crate::monitor::GpuMonitor;
use crate::monitor::GpuReport;
use crate::monitor::HostMonitor;
use crate::monitor::HostSample;
use crate::monitor::history::GpuPoint;
use crate::monitor::history::History;
use crate::monitor::history::HistoryWindow;
use crate::monitor::history::Point;

/// The machine at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// When it was read.
    pub at: SystemTime,
    /// Processor, memory, disks and this process.
    pub host: HostSample,
    /// The GPUs.
    pub gpu: GpuReport,
}

/// What a [`Monitor`] looks at, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorOptions {
    /// Folders whose disks are looked at.
    pub disks: Vec<(DiskRole, PathBuf)>,
    /// Between two points of the history.
    pub interval: Duration,
    /// Points of the history for each sample that is published.
    pub publish_every: u32,
}

impl Default for MonitorOptions {
    /// A point of history each second and a sample every two, without disks.
    fn default() -> Self {
        Self {
            disks: Vec::new(),
            interval: Duration::from_secs(1),
            publish_every: 2,
        }
    }
}

impl MonitorOptions {
    /// Looks at the disk of `path` as well.
    #[must_use]
    pub fn with_disk(mut self, role: DiskRole, path: impl Into<PathBuf>) -> Self {
        self.disks.push((role, path.into()));
        self
    }
}

/// Samples the machine on a thread of its own until it is dropped.
///
/// Readers get what was sampled last and never wait for a device, even one that hangs.
#[derive(Debug)]
pub struct Monitor {
    newest: watch::Receiver<Option<Arc<Sample>>>,
    history: Arc<Mutex<History>>,
    /// The thread ends when this is dropped.
    _alive: mpsc::Sender<()>,
}

impl Monitor {
    /// Starts sampling; the first sample is there a moment later.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no thread.
    pub fn start(options: MonitorOptions) -> Result<Self> {
        let (publish, newest) = watch::channel(None);
        let history = Arc::new(Mutex::new(History::new()));
        let (alive, ended) = mpsc::channel();
        let sampler = Sampler {
            options,
            publish,
            history: Arc::clone(&history),
        };
        std::thread::Builder::new()
            .name("inferkit-monitor".to_owned())
            .spawn(move || sampler.run(&ended))
            .map_err(|error| Error::internal("the system gives no thread to the monitor").with_source(error))?;
        Ok(Self {
            newest,
            history,
            _alive: alive,
        })
    }

    /// The newest sample; `None` in the first moments.
    pub fn newest(&self) -> Option<Arc<Sample>> {
        self.newest.borrow().clone()
    }

    /// The newest sample, and a way to wait for the next.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Sample>>> {
        self.newest.clone()
    }

    /// The last `window` seconds in steps of about `step` seconds; see [`History::window`].
    pub fn history(&self, window: u64, step: u64) -> HistoryWindow {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .window(unix_seconds(), window, step)
    }
}

struct Sampler {
    options: MonitorOptions,
    publish: watch::Sender<Option<Arc<Sample>>>,
    history: Arc<Mutex<History>>,
}

impl Sampler {
    fn run(self, ended: &mpsc::Receiver<()>) {
        // Made here: looking for a driver takes its time.
        let mut host = HostMonitor::new(self.options.disks.iter().cloned());
        let mut gpu = GpuMonitor::new();
        let publish_every = self.options.publish_every.max(1);
        let mut due = Instant::now();
        let mut round = 0_u32;
        loop {
            let sample = Sample {
                at: SystemTime::now(),
                host: host.sample(),
                gpu: gpu.sample(),
            };
            self.history
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(unix_seconds(), &point(&sample));
            if round.is_multiple_of(publish_every) {
                self.publish.send_replace(Some(Arc::new(sample)));
            }
            round = round.wrapping_add(1);
            // Rounds missed while a device hung or the machine slept are not made up for.
            due = (due + self.options.interval).max(Instant::now());
            match ended.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn point(sample: &Sample) -> Point {
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);
    let gpus = sample.gpu.gpus.iter().map(|gpu| GpuPoint {
        index: gpu.index,
        utilization_percent: gpu.utilization_percent.map(f64::from),
        memory_used_bytes: bytes(gpu.memory_used_bytes),
        temperature_celsius: gpu.temperature_celsius.map(f64::from),
        power_watts: gpu.power_watts,
    });
    Point {
        gpus: gpus.collect(),
        cpu_percent: sample.host.cpu_percent.map(f64::from),
        memory_used_bytes: bytes(sample.host.memory_used_bytes),
        process_cpu_percent: sample.host.process.cpu_percent.map(f64::from),
        process_rss_bytes: bytes(sample.host.process.rss_bytes),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn samples_come_by_themselves_and_end_with_the_monitor() {
        let folder = tempfile::tempdir().unwrap();
        let options = MonitorOptions {
            interval: Duration::from_millis(5),
            publish_every: 1,
            ..MonitorOptions::default()
        };
        let monitor = Monitor::start(options.with_disk(DiskRole::Models, folder.path())).unwrap();
        let mut samples = monitor.watch();
        samples.wait_for(Option::is_some).await.map(|_| ()).unwrap();
        samples.changed().await.unwrap();

        let newest = monitor.newest().unwrap();
        assert!(newest.host.memory_total_bytes.is_some());
        assert_eq!(newest.host.disks.len(), 1);
        assert!(newest.gpu.available || newest.gpu.reason.is_some());
        assert!(monitor.history(60, 1).points.iter().flatten().count() >= 1);

        drop(monitor);
        while samples.changed().await.is_ok() {}
    }
}
