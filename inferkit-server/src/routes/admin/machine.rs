//! What the admin routes show of GPUs, host and dependencies.

use inferkit::Dependency;
use inferkit::DiskSample;
use inferkit::GpuReport;
use inferkit::GpuSample;
use inferkit::HostSample;
use inferkit::ProcessSample;
use poem_openapi::Object;

use crate::clock::rfc3339;

/// Whether GPUs can be watched.
#[derive(Debug, Object)]
#[oai(rename = "GpuMonitor")]
pub(crate) struct GpuMonitorView {
    /// Whether they can.
    available: bool,
    /// What tells about them, such as `nvml`.
    #[oai(nullable)]
    source: Option<String>,
    /// Why they cannot, in one sentence.
    #[oai(nullable)]
    reason: Option<String>,
}

/// One GPU. What it cannot tell is null.
#[derive(Debug, Object)]
#[oai(rename = "Gpu")]
pub(crate) struct GpuView {
    /// Its number.
    index: u32,
    /// Its name for all times.
    #[oai(nullable)]
    uuid: Option<String>,
    /// Its model.
    #[oai(nullable)]
    name: Option<String>,
    /// Version of the driver.
    #[oai(nullable)]
    driver_version: Option<String>,
    /// Version of CUDA that the driver knows.
    #[oai(nullable)]
    cuda_driver_version: Option<String>,
    /// Its generation, such as `9.0`.
    #[oai(nullable)]
    compute_capability: Option<String>,
    /// Memory in all.
    #[oai(nullable)]
    memory_total_bytes: Option<u64>,
    /// Memory in use by anybody.
    #[oai(nullable)]
    memory_used_bytes: Option<u64>,
    /// Memory that is free.
    #[oai(nullable)]
    memory_free_bytes: Option<u64>,
    /// Memory that this process uses.
    #[oai(nullable)]
    own_memory_bytes: Option<u64>,
    /// Share of time in which it computed.
    #[oai(nullable)]
    utilization_percent: Option<u32>,
    /// Share of time in which its memory was at work.
    #[oai(nullable)]
    memory_utilization_percent: Option<u32>,
    /// Its temperature.
    #[oai(nullable)]
    temperature_celsius: Option<u32>,
    /// The power it takes.
    #[oai(nullable)]
    power_watts: Option<f64>,
    /// The most power it may take.
    #[oai(nullable)]
    power_limit_watts: Option<f64>,
    /// The temperature at which it slows down.
    #[oai(nullable)]
    temperature_limit_celsius: Option<u32>,
    /// Its clock.
    #[oai(nullable)]
    sm_clock_mhz: Option<u32>,
    /// Why it is slowed down.
    #[oai(nullable)]
    throttle_reasons: Option<Vec<String>>,
    /// Memory errors that could not be corrected.
    #[oai(nullable)]
    ecc_errors: Option<u64>,
    /// Whether it is divided.
    #[oai(nullable)]
    mig: Option<bool>,
    /// Whether it shares the host's memory.
    #[oai(nullable)]
    unified_memory: Option<bool>,
    /// When this was read.
    sampled_at: String,
}

/// The machine and this process. What the machine cannot tell is null.
#[derive(Debug, Object)]
#[oai(rename = "System")]
pub(crate) struct SystemView {
    /// The machine's name.
    #[oai(nullable)]
    hostname: Option<String>,
    /// The operating system.
    #[oai(nullable)]
    os: Option<String>,
    /// Its kernel.
    #[oai(nullable)]
    kernel: Option<String>,
    /// The processor's model.
    #[oai(nullable)]
    cpu_model: Option<String>,
    /// The processor's cores.
    #[oai(nullable)]
    cpu_cores: Option<u64>,
    /// Share of the processor in use.
    #[oai(nullable)]
    cpu_percent: Option<f32>,
    /// Mean number of runnable tasks over 1, 5 and 15 minutes.
    #[oai(nullable)]
    load_average: Option<Vec<f64>>,
    /// Memory in all.
    #[oai(nullable)]
    memory_total_bytes: Option<u64>,
    /// Memory in use.
    #[oai(nullable)]
    memory_used_bytes: Option<u64>,
    /// Memory that can be had.
    #[oai(nullable)]
    memory_available_bytes: Option<u64>,
    /// The most that the container may take.
    #[oai(nullable)]
    cgroup_memory_limit_bytes: Option<u64>,
    /// Memory that was written to disk.
    #[oai(nullable)]
    swap_used_bytes: Option<u64>,
    /// The disks that matter.
    disks: Vec<DiskView>,
    /// This process.
    process: ProcessView,
}

/// A disk that matters.
#[derive(Debug, Object)]
#[oai(rename = "Disk")]
pub(crate) struct DiskView {
    /// `models` or `temp`.
    role: String,
    /// Its size.
    #[oai(nullable)]
    total_bytes: Option<u64>,
    /// What is free.
    #[oai(nullable)]
    free_bytes: Option<u64>,
    /// What models take.
    #[oai(nullable)]
    used_by_models_bytes: Option<u64>,
}

/// This process.
#[derive(Debug, Object)]
#[oai(rename = "Process")]
pub(crate) struct ProcessView {
    /// Memory it occupies.
    #[oai(nullable)]
    rss_bytes: Option<u64>,
    /// Share of one core it takes.
    #[oai(nullable)]
    cpu_percent: Option<f32>,
    /// Its threads.
    #[oai(nullable)]
    threads: Option<u64>,
    /// Its open files.
    #[oai(nullable)]
    open_files: Option<u64>,
}

/// Something that the process needs.
#[derive(Debug, Object)]
#[oai(rename = "Dependency")]
pub(crate) struct DependencyView {
    /// Its name.
    name: String,
    /// `native_library`, `driver`, `executable` or `compiled_feature`.
    kind: String,
    /// Whether models fail without it.
    required: bool,
    /// `ok`, `missing`, `wrong_version` or `unknown`.
    status: String,
    /// The version that was found.
    #[oai(nullable)]
    version: Option<String>,
    /// The version that is needed.
    #[oai(nullable)]
    wanted: Option<String>,
    /// What it is for, or what to do.
    hint: String,
}

impl From<&GpuReport> for GpuMonitorView {
    fn from(report: &GpuReport) -> Self {
        Self {
            available: report.available,
            source: report.source.map(str::to_owned),
            reason: report.reason.clone(),
        }
    }
}

impl GpuMonitorView {
    /// Before the first sample.
    pub(crate) fn not_yet() -> Self {
        Self {
            available: false,
            source: None,
            reason: Some("the GPUs have not been asked yet".to_owned()),
        }
    }
}

impl From<&GpuSample> for GpuView {
    fn from(gpu: &GpuSample) -> Self {
        let reasons = gpu.throttle_reasons.as_ref();
        Self {
            index: gpu.index,
            uuid: gpu.uuid.clone(),
            name: gpu.name.clone(),
            driver_version: gpu.driver_version.clone(),
            cuda_driver_version: gpu.cuda_driver_version.clone(),
            compute_capability: gpu.compute_capability.clone(),
            memory_total_bytes: gpu.memory_total_bytes,
            memory_used_bytes: gpu.memory_used_bytes,
            memory_free_bytes: gpu.memory_free_bytes,
            own_memory_bytes: gpu.own_memory_bytes,
            utilization_percent: gpu.utilization_percent,
            memory_utilization_percent: gpu.memory_utilization_percent,
            temperature_celsius: gpu.temperature_celsius,
            power_watts: gpu.power_watts,
            power_limit_watts: gpu.power_limit_watts,
            temperature_limit_celsius: gpu.temperature_limit_celsius,
            sm_clock_mhz: gpu.sm_clock_mhz,
            throttle_reasons: reasons.map(|reasons| reasons.iter().map(|&reason| reason.to_owned()).collect()),
            ecc_errors: gpu.ecc_errors,
            mig: gpu.mig,
            unified_memory: gpu.unified_memory,
            sampled_at: rfc3339(gpu.sampled_at),
        }
    }
}

impl From<&HostSample> for SystemView {
    fn from(host: &HostSample) -> Self {
        Self {
            hostname: host.hostname.clone(),
            os: host.os.clone(),
            kernel: host.kernel.clone(),
            cpu_model: host.cpu_model.clone(),
            cpu_cores: host.cpu_cores.map(|cores| cores as u64),
            cpu_percent: host.cpu_percent,
            load_average: host.load_average.map(Vec::from),
            memory_total_bytes: host.memory_total_bytes,
            memory_used_bytes: host.memory_used_bytes,
            memory_available_bytes: host.memory_available_bytes,
            cgroup_memory_limit_bytes: host.cgroup_memory_limit_bytes,
            swap_used_bytes: host.swap_used_bytes,
            disks: host.disks.iter().map(DiskView::from).collect(),
            process: ProcessView::from(&host.process),
        }
    }
}

impl From<&DiskSample> for DiskView {
    fn from(disk: &DiskSample) -> Self {
        Self {
            role: disk.role.as_str().to_owned(),
            total_bytes: disk.total_bytes,
            free_bytes: disk.free_bytes,
            used_by_models_bytes: disk.used_by_models_bytes,
        }
    }
}

impl From<&ProcessSample> for ProcessView {
    fn from(process: &ProcessSample) -> Self {
        Self {
            rss_bytes: process.rss_bytes,
            cpu_percent: process.cpu_percent,
            threads: process.threads.map(|threads| threads as u64),
            open_files: process.open_files.map(|files| files as u64),
        }
    }
}

/// A dependency as the command line shows it.
pub(crate) fn dependency_view(dependency: &Dependency) -> DependencyView {
    DependencyView::from(dependency)
}

impl From<&Dependency> for DependencyView {
    fn from(dependency: &Dependency) -> Self {
        Self {
            name: dependency.name.clone(),
            kind: dependency.kind.as_str().to_owned(),
            required: dependency.required,
            status: dependency.status.as_str().to_owned(),
            version: dependency.version.clone(),
            wanted: dependency.wanted.clone(),
            hint: dependency.hint.clone(),
        }
    }
}
