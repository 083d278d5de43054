//! GPUs as the NVIDIA driver's own library sees them, which is loaded at run time if it is there.
//!
//! Each value is asked for on its own: a device that does not know one still tells the others.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use nvml_wrapper::Device;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::Clock;
use nvml_wrapper::enum_wrappers::device::EccCounter;
use nvml_wrapper::enum_wrappers::device::MemoryError;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enum_wrappers::device::TemperatureThreshold;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

/// After which a driver that was not there, or was lost, is looked for again.
const RETRY: Duration = Duration::from_mins(1);

/// Reads the GPUs of this machine. Costs some milliseconds a sample: belongs on a thread of its own.
#[derive(Debug)]
pub struct GpuMonitor {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The driver was not asked yet.
    New,
    /// The driver answers.
    Ready {
        nvml: Box<Nvml>,
        driver_version: Option<String>,
        cuda_driver_version: Option<String>,
    },
    /// The driver is not there or was lost.
    Absent { reason: String, since: Instant },
}

/// The GPUs at one moment, or why there are none to see.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct GpuReport {
    /// Whether the driver answers.
    pub available: bool,
    /// Who answers: `nvml`.
    pub source: Option<&'static str>,
    /// Why nothing answers, in a sentence.
    pub reason: Option<String>,
    /// The GPUs by their index.
    pub gpus: Vec<GpuSample>,
}

/// One GPU at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GpuSample {
    /// Its index in the driver's order, which is not that of `CUDA_VISIBLE_DEVICES`.
    pub index: u32,
    /// Its name for good, such as `GPU-5f1c…`.
    pub uuid: Option<String>,
    /// Its model.
    pub name: Option<String>,
    /// Version of the driver.
    pub driver_version: Option<String>,
    /// Newest CUDA version that the driver runs, such as `12.8`.
    pub cuda_driver_version: Option<String>,
    /// Generation of the device, such as `9.0`.
    pub compute_capability: Option<String>,
    /// Memory in all.
    pub memory_total_bytes: Option<u64>,
    /// Memory taken, by whomever.
    pub memory_used_bytes: Option<u64>,
    /// Memory left.
    pub memory_free_bytes: Option<u64>,
    /// Memory taken by this process.
    pub own_memory_bytes: Option<u64>,
    /// Share of time in which it computed, 0 to 100.
    pub utilization_percent: Option<u32>,
    /// Share of time in which its memory was read or written, 0 to 100.
    pub memory_utilization_percent: Option<u32>,
    /// Temperature of the chip.
    pub temperature_celsius: Option<u32>,
    /// Power it draws.
    pub power_watts: Option<f64>,
    /// Power it may draw.
    pub power_limit_watts: Option<f64>,
    /// Temperature at which it slows down.
    pub temperature_limit_celsius: Option<u32>,
    /// Clock of its processors.
    pub sm_clock_mhz: Option<u32>,
    /// Why it runs slower than it could; empty when it does not.
    pub throttle_reasons: Option<Vec<&'static str>>,
    /// Memory errors since it was made that could not be corrected.
    pub ecc_errors: Option<u64>,
    /// Whether it is cut into instances.
    pub mig: Option<bool>,
    /// Whether it shares the machine's memory.
    pub unified_memory: Option<bool>,
    /// When this was read.
    pub sampled_at: SystemTime,
}

impl Default for GpuMonitor {
    fn default() -> Self {
        Self::new()
    }
}

impl GpuMonitor {
    /// A monitor that has asked nothing yet.
    pub const fn new() -> Self {
        Self { state: State::New }
    }

    /// Reads all GPUs. Never fails: what cannot be read is `None`, and a driver that is not there is said so.
    pub fn sample(&mut self) -> GpuReport {
        let due = match &self.state {
            State::New => true,
            State::Ready { .. } => false,
            State::Absent { since, .. } => since.elapsed() >= RETRY,
        };
        if due {
            self.state = connect();
        }
        let read = match &self.state {
            State::Ready {
                nvml,
                driver_version,
                cuda_driver_version,
            } => read(nvml, driver_version.as_ref(), cuda_driver_version.as_ref()),
            State::Absent { reason, .. } => return GpuReport::absent(reason.clone()),
            State::New => return GpuReport::absent("the driver was not asked".to_owned()),
        };
        match read {
            Ok(gpus) => GpuReport {
                available: true,
                source: Some("nvml"),
                reason: None,
                gpus,
            },
            Err(error) => {
                let reason = sentence(&error);
                tracing::warn!(%error, "the NVIDIA driver has stopped answering");
                self.state = State::Absent {
                    reason: reason.clone(),
                    since: Instant::now(),
                };
                GpuReport::absent(reason)
            }
        }
    }
}

impl GpuReport {
    fn absent(reason: String) -> Self {
        Self {
            available: false,
            source: None,
            reason: Some(reason),
            gpus: Vec::new(),
        }
    }
}

fn connect() -> State {
    match Nvml::init() {
        Ok(nvml) => {
            let nvml = Box::new(nvml);
            let driver_version = nvml.sys_driver_version().ok();
            let cuda_driver_version = nvml.sys_cuda_driver_version().ok().map(cuda_version);
            State::Ready {
                nvml,
                driver_version,
                cuda_driver_version,
            }
        }
        Err(error) => State::Absent {
            reason: sentence(&error),
            since: Instant::now(),
        },
    }
}

fn read(nvml: &Nvml, driver: Option<&String>, cuda: Option<&String>) -> Result<Vec<GpuSample>, NvmlError> {
    let mut gpus = Vec::new();
    for index in 0..nvml.device_count()? {
        match nvml.device_by_index(index) {
            Ok(device) => gpus.push(read_one(index, &device, driver, cuda)),
            // One of several that fell off the bus, or that this user may not see, does not hide the others.
            Err(NvmlError::GpuLost | NvmlError::NoPermission | NvmlError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(gpus)
}

fn read_one(index: u32, device: &Device<'_>, driver: Option<&String>, cuda: Option<&String>) -> GpuSample {
    let memory = device.memory_info();
    let utilization = device.utilization_rates().ok();
    let capability = device.cuda_compute_capability().ok();
    GpuSample {
        index,
        uuid: device.uuid().ok(),
        name: device.name().ok(),
        driver_version: driver.cloned(),
        cuda_driver_version: cuda.cloned(),
        compute_capability: capability.map(|version| format!("{}.{}", version.major, version.minor)),
        memory_total_bytes: memory.as_ref().ok().map(|memory| memory.total),
        memory_used_bytes: memory.as_ref().ok().map(|memory| memory.used),
        memory_free_bytes: memory.as_ref().ok().map(|memory| memory.free),
        own_memory_bytes: own_memory(device),
        utilization_percent: utilization.as_ref().map(|rates| rates.gpu),
        memory_utilization_percent: utilization.as_ref().map(|rates| rates.memory),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        power_watts: device.power_usage().ok().map(watts),
        power_limit_watts: device.enforced_power_limit().ok().map(watts),
        temperature_limit_celsius: device.temperature_threshold(TemperatureThreshold::Slowdown).ok(),
        sm_clock_mhz: device.clock_info(Clock::SM).ok(),
        throttle_reasons: device.current_throttle_reasons().ok().map(throttle_names),
        ecc_errors: device
            .total_ecc_errors(MemoryError::Uncorrected, EccCounter::Aggregate)
            .ok(),
        mig: device.mig_mode().ok().map(|mode| mode.current == 1),
        // Devices that share the machine's memory have none of their own to tell of.
        unified_memory: match memory {
            Ok(_) => Some(false),
            Err(NvmlError::NotSupported) => Some(true),
            Err(_) => None,
        },
        sampled_at: SystemTime::now(),
    }
}

/// Memory that this process takes on `device`; `None` where the driver does not say, as inside a container
/// that has process numbers of its own.
fn own_memory(device: &Device<'_>) -> Option<u64> {
    let own = std::process::id();
    let processes = device.running_compute_processes().ok()?;
    let used = processes
        .iter()
        .filter(|process| process.pid == own)
        .map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        });
    let used: Vec<Option<u64>> = used.collect();
    if used.is_empty() { None } else { used.into_iter().sum() }
}

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1000.0
}

/// `12080` is written `12.8`.
fn cuda_version(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

fn throttle_names(reasons: ThrottleReasons) -> Vec<&'static str> {
    const NAMES: [(ThrottleReasons, &str); 8] = [
        (
            ThrottleReasons::APPLICATIONS_CLOCKS_SETTING,
            "applications_clocks_setting",
        ),
        (ThrottleReasons::SW_POWER_CAP, "sw_power_cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
        (ThrottleReasons::SYNC_BOOST, "sync_boost"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal_slowdown"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal_slowdown"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake_slowdown"),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clock_setting"),
    ];
    // Being idle is no reason to worry and is left out.
    NAMES
        .iter()
        .filter(|(reason, _)| reasons.contains(*reason))
        .map(|(_, name)| *name)
        .collect()
}

/// What to know of `error`, in a sentence.
fn sentence(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) => {
            "no NVIDIA driver was found on this machine; models run on the processor".to_owned()
        }
        NvmlError::DriverNotLoaded => {
            "the NVIDIA driver is installed but not loaded; load its kernel module or restart the machine".to_owned()
        }
        NvmlError::LibRmVersionMismatch => {
            "the NVIDIA driver was updated while it was running; restart the machine".to_owned()
        }
        NvmlError::NoPermission => "this user may not ask the NVIDIA driver; give it access to the devices".to_owned(),
        other => format!("the NVIDIA driver does not answer ({other}); look at its own log"),
    }
}

/// A report of one GPU whose driver runs CUDA up to `cuda`, or of no driver.
#[cfg(test)]
pub(crate) fn test_report(cuda: Option<&str>) -> GpuReport {
    let Some(cuda) = cuda else {
        return GpuReport::absent("no NVIDIA driver was found".to_owned());
    };
    let gpu = GpuSample {
        index: 0,
        uuid: None,
        name: None,
        driver_version: Some("570.1".to_owned()),
        cuda_driver_version: Some(cuda.to_owned()),
        compute_capability: None,
        memory_total_bytes: None,
        memory_used_bytes: None,
        memory_free_bytes: None,
        own_memory_bytes: None,
        utilization_percent: None,
        memory_utilization_percent: None,
        temperature_celsius: None,
        power_watts: None,
        power_limit_watts: None,
        temperature_limit_celsius: None,
        sm_clock_mhz: None,
        throttle_reasons: None,
        ecc_errors: None,
        mig: None,
        unified_memory: None,
        sampled_at: SystemTime::UNIX_EPOCH,
    };
    GpuReport {
        available: true,
        source: Some("nvml"),
        reason: None,
        gpus: vec![gpu],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_gpus_or_a_sentence_that_says_why_not() {
        let report = GpuMonitor::new().sample();
        if report.available {
            assert!(report.reason.is_none() && report.source == Some("nvml"));
            assert!(report.gpus.iter().all(|gpu| gpu.memory_total_bytes != Some(0)));
        } else {
            let reason = report.reason.unwrap();
            assert!(reason.contains(' ') && !reason.ends_with('.'), "{reason}");
            assert!(report.gpus.is_empty() && report.source.is_none());
        }
    }

    #[test]
    fn a_driver_that_is_lost_is_said_so_and_looked_for_again_only_after_a_while() {
        let reason = sentence(&NvmlError::LibRmVersionMismatch);
        let mut monitor = GpuMonitor {
            state: State::Absent {
                reason: reason.clone(),
                since: Instant::now(),
            },
        };
        let report = monitor.sample();
        assert_eq!((report.available, report.reason), (false, Some(reason)));
    }

    #[test]
    fn each_failure_of_the_driver_says_what_to_do() {
        for error in [NvmlError::DriverNotLoaded, NvmlError::NoPermission, NvmlError::Unknown] {
            assert!(sentence(&error).contains("; "), "{error}");
        }
    }

    #[test]
    fn versions_powers_and_reasons_are_written_as_people_do() {
        assert_eq!(
            (cuda_version(12080), cuda_version(13000)),
            ("12.8".to_owned(), "13.0".to_owned())
        );
        assert!((watts(71_500) - 71.5).abs() < 1e-9);
        assert_eq!(throttle_names(ThrottleReasons::GPU_IDLE), Vec::<&str>::new());
        let reasons = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::HW_THERMAL_SLOWDOWN;
        assert_eq!(throttle_names(reasons), ["sw_power_cap", "hw_thermal_slowdown"]);
    }
}
