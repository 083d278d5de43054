//! The machine and this process: processor, memory, swap, disks, threads, open files.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use sysinfo::CpuRefreshKind;
use sysinfo::Pid;
use sysinfo::ProcessRefreshKind;
use sysinfo::ProcessesToUpdate;
use sysinfo::System;

use crate::monitor::disk;
use crate::monitor::disk::DiskRole;
use crate::monitor::disk::DiskSample;
use crate::monitor::proc_files;
use crate::storage;

/// Where Linux shows control groups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Between two counts of the files in the models directory.
const USED_EVERY: Duration = Duration::from_mins(1);

/// Reads the machine and this process. Shares over time come from two samples, so that the first has none.
pub struct HostMonitor {
    system: Option<System>,
    pid: Option<Pid>,
    fixed: Fixed,
    disks: Vec<Disk>,
    sampled_before: bool,
}

/// What does not change while the process runs.
#[derive(Debug, Clone, Default)]
struct Fixed {
    hostname: Option<String>,
    os: Option<String>,
    kernel: Option<String>,
    cpu_model: Option<String>,
    cpu_cores: Option<usize>,
}

struct Disk {
    role: DiskRole,
    path: PathBuf,
    used_bytes: Option<u64>,
    counted: Option<Instant>,
}

/// The machine at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HostSample {
    /// Name of the machine.
    pub hostname: Option<String>,
    /// Its system with version.
    pub os: Option<String>,
    /// Version of the kernel.
    pub kernel: Option<String>,
    /// Model of the processor.
    pub cpu_model: Option<String>,
    /// Threads that the processor runs at once.
    pub cpu_cores: Option<usize>,
    /// Use of all of them together, 0 to 100.
    pub cpu_percent: Option<f32>,
    /// Tasks waiting to run, over 1, 5 and 15 minutes.
    pub load_average: Option<[f64; 3]>,
    /// Memory in all.
    pub memory_total_bytes: Option<u64>,
    /// Memory that is not available.
    pub memory_used_bytes: Option<u64>,
    /// Memory that can be had without swapping.
    pub memory_available_bytes: Option<u64>,
    /// Memory that this process's control group may take, if it is limited.
    pub cgroup_memory_limit_bytes: Option<u64>,
    /// Swap in use.
    pub swap_used_bytes: Option<u64>,
    /// Room on the disks.
    pub disks: Vec<DiskSample>,
    /// This process.
    pub process: ProcessSample,
}

/// This process at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProcessSample {
    /// Memory it keeps in RAM.
    pub rss_bytes: Option<u64>,
    /// Use of the processor; 100 is one of its threads.
    pub cpu_percent: Option<f32>,
    /// Its threads.
    pub threads: Option<usize>,
    /// Its open files and sockets.
    pub open_files: Option<usize>,
}

impl HostMonitor {
    /// A monitor of this machine and of the disks that these folders lie on.
    pub fn new(disks: impl IntoIterator<Item = (DiskRole, PathBuf)>) -> Self {
        let disks = disks.into_iter().map(|(role, path)| Disk {
            role,
            path,
            used_bytes: None,
            counted: None,
        });
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_list(CpuRefreshKind::nothing().with_usage());
        }
        Self {
            fixed: Fixed::of(system.as_ref()),
            system,
            pid: sysinfo::get_current_pid().ok(),
            disks: disks.collect(),
            sampled_before: false,
        }
    }

    /// Reads everything once. Never fails: what cannot be read is `None`.
    pub fn sample(&mut self) -> HostSample {
        let known = std::mem::replace(&mut self.sampled_before, true);
        let disks = self.disks.iter_mut().map(Disk::sample).collect();
        let process = self.process(known);
        let mut sample = HostSample {
            hostname: self.fixed.hostname.clone(),
            os: self.fixed.os.clone(),
            kernel: self.fixed.kernel.clone(),
            cpu_model: self.fixed.cpu_model.clone(),
            cpu_cores: self.fixed.cpu_cores,
            load_average: System::load_average()
                .ok()
                .map(|load| [load.one, load.five, load.fifteen]),
            cgroup_memory_limit_bytes: cgroup_limit(),
            disks,
            process,
            ..HostSample::default()
        };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            sample.cpu_percent = known.then(|| system.global_cpu_usage());
            // A total of nothing means that the system did not say.
            if system.total_memory() > 0 {
                sample.memory_total_bytes = Some(system.total_memory());
                sample.memory_available_bytes = Some(system.available_memory());
                sample.memory_used_bytes = Some(system.total_memory().saturating_sub(system.available_memory()));
                sample.swap_used_bytes = Some(system.used_swap());
            }
        }
        sample
    }

    fn process(&mut self, known: bool) -> ProcessSample {
        let (Some(system), Some(pid)) = (&mut self.system, self.pid) else {
            return ProcessSample::default();
        };
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
        let Some(process) = system.process(pid) else {
            return ProcessSample::default();
        };
        ProcessSample {
            rss_bytes: Some(process.memory()).filter(|bytes| *bytes > 0),
            cpu_percent: known.then(|| process.cpu_usage()),
            threads: read("/proc/self/status").and_then(|status| proc_files::threads(&status)),
            open_files: process.open_files(),
        }
    }
}

impl std::fmt::Debug for HostMonitor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HostMonitor")
            .field("fixed", &self.fixed)
            .finish_non_exhaustive()
    }
}

impl Fixed {
    fn of(system: Option<&System>) -> Self {
        let cpus = system.map(System::cpus).unwrap_or_default();
        Self {
            hostname: System::host_name().ok(),
            os: System::long_os_version().ok(),
            kernel: System::kernel_version().ok(),
            cpu_model: cpus
                .first()
                .map(|cpu| cpu.brand().trim().to_owned())
                .filter(|model| !model.is_empty()),
            cpu_cores: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        }
    }
}

impl Disk {
    fn sample(&mut self) -> DiskSample {
        let due = self.counted.is_none_or(|counted| counted.elapsed() >= USED_EVERY);
        if due && self.role == DiskRole::Models {
            self.used_bytes = disk::used_bytes(&self.path);
            self.counted = Some(Instant::now());
        }
        let space = storage::space(&self.path);
        DiskSample {
            role: self.role,
            path: self.path.clone(),
            total_bytes: space.map(|space| space.total_bytes),
            free_bytes: space.map(|space| space.free_bytes),
            used_by_models_bytes: self.used_bytes,
        }
    }
}

fn cgroup_limit() -> Option<u64> {
    let root = Path::new(CGROUP_ROOT);
    let group = proc_files::memory_group(&read("/proc/self/cgroup")?, root)?;
    proc_files::memory_limit(&group, root)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_its_memory_and_this_process_at_once_and_shares_of_time_later() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model"), "12345").unwrap();
        let mut monitor = HostMonitor::new([(DiskRole::Models, folder.path().to_owned())]);
        let first = monitor.sample();
        assert!(first.memory_total_bytes > Some(0) && first.memory_used_bytes <= first.memory_total_bytes);
        assert!(first.cpu_cores > Some(0));
        assert_eq!(
            (first.cpu_percent, first.process.cpu_percent),
            (None, None),
            "a share needs two samples"
        );
        assert_eq!(first.disks.first().unwrap().used_by_models_bytes, Some(5));

        let second = monitor.sample();
        assert!(
            second
                .cpu_percent
                .is_some_and(|percent| (0.0..=100.0).contains(&percent))
        );
        assert!(second.process.rss_bytes > Some(1 << 20));
        #[cfg(target_os = "linux")]
        assert!(second.process.threads >= Some(1) && second.process.open_files >= Some(1));
    }
}
