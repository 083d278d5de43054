//! GPUs, dependencies, configuration and draining.

use std::sync::Arc;

use inferkit::Dependency;
use inferkit::GpuPoint;
use inferkit::HistoryWindow;
use inferkit::Point;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;

use crate::app::App;
use crate::clock::rfc3339;
use crate::config::effective_json;
use crate::error::ApiError;
use crate::openapi::Tag;
use crate::routes::admin::machine::DependencyView;
use crate::routes::admin::machine::GpuMonitorView;
use crate::routes::admin::machine::GpuView;

/// Longest and shortest window of the history, in seconds.
const WINDOW: std::ops::RangeInclusive<u64> = 10..=86_400;
/// Longest and shortest step.
const STEP: std::ops::RangeInclusive<u64> = 1..=600;
/// Most points of an answer.
const MAX_POINTS: u64 = 2000;

/// `/api/admin/gpus`, `/dependencies`, `/config`, `/drain`.
pub struct ServerApi(pub(crate) Arc<App>);

/// The GPUs.
#[derive(Debug, Object)]
struct GpuList {
    /// Whether they can be watched.
    gpu_monitor: GpuMonitorView,
    /// The GPUs.
    gpus: Vec<GpuView>,
}

/// What the process needs from the system.
#[derive(Debug, Object)]
struct DependencyList {
    /// All that was looked at.
    dependencies: Vec<DependencyView>,
}

impl From<&[Dependency]> for DependencyList {
    fn from(found: &[Dependency]) -> Self {
        Self {
            dependencies: found.iter().map(DependencyView::from).collect(),
        }
    }
}

/// What a `dependencies` event holds.
pub(crate) fn dependencies_json(app: &App) -> String {
    DependencyList::from(app.platform.dependencies().as_slice()).to_json_string()
}

/// The configuration in force, without secrets.
#[derive(Debug, Object)]
struct EffectiveConfig {
    /// The files that were read.
    files: Vec<String>,
    /// All values, nested as in a file.
    values: serde_json::Value,
    /// For each key `flag`, `env`, `file` or `default`.
    origins: serde_json::Value,
}

/// Whether the server refuses new inference.
#[derive(Debug, Object)]
struct DrainState {
    /// `draining` or `ready`.
    state: String,
}

/// Values over time; a gap is null.
#[derive(Debug, Object)]
struct MachineHistory {
    /// The time of the first value.
    start: String,
    /// Time between two values.
    step_seconds: u64,
    /// One series for each GPU.
    gpus: Vec<GpuHistory>,
    /// The machine.
    host: HostHistory,
    /// This process.
    process: ProcessHistory,
}

/// Values of one GPU over time.
#[derive(Debug, Object)]
struct GpuHistory {
    /// The GPU's number.
    index: u32,
    /// Share of time in which it computed.
    utilization_percent: Vec<Option<f64>>,
    /// Memory in use.
    memory_used_bytes: Vec<Option<f64>>,
    /// Its temperature.
    temperature_celsius: Vec<Option<f64>>,
    /// The power it takes.
    power_watts: Vec<Option<f64>>,
}

/// Values of the machine over time.
#[derive(Debug, Object)]
struct HostHistory {
    /// Share of the processor in use.
    cpu_percent: Vec<Option<f64>>,
    /// Memory in use.
    memory_used_bytes: Vec<Option<f64>>,
}

/// Values of this process over time.
#[derive(Debug, Object)]
struct ProcessHistory {
    /// Share of one core it takes.
    cpu_percent: Vec<Option<f64>>,
    /// Memory it occupies.
    rss_bytes: Vec<Option<f64>>,
}

#[OpenApi]
impl ServerApi {
    /// The GPUs.
    ///
    /// As they were sampled last.
    #[oai(
        path = "/api/admin/gpus",
        method = "get",
        operation_id = "listGpus",
        tag = "Tag::Admin"
    )]
    async fn gpus(&self) -> Json<GpuList> {
        let sample = self.0.platform.monitor.newest();
        let report = sample.as_ref().map(|sample| &sample.gpu);
        Json(GpuList {
            gpu_monitor: report.map_or_else(GpuMonitorView::not_yet, GpuMonitorView::from),
            gpus: report
                .map(|report| report.gpus.iter().map(GpuView::from).collect())
                .unwrap_or_default(),
        })
    }

    /// GPUs, machine and process over time.
    ///
    /// Kept by the second for 10 minutes, by 10 seconds for 6 hours, by the minute for 24 hours.
    #[oai(
        path = "/api/admin/gpus/history",
        method = "get",
        operation_id = "getGpuHistory",
        tag = "Tag::Admin"
    )]
    async fn history(
        &self,
        /// How far back, in seconds, 10 to 86400; 600 if left out.
        window: Query<Option<u64>>,
        /// Time between two values, in seconds, 1 to 600; 5 if left out.
        step: Query<Option<u64>>,
    ) -> poem::Result<Json<MachineHistory>> {
        let (window, step) = (window.0.unwrap_or(600), step.0.unwrap_or(5));
        if !WINDOW.contains(&window) {
            return Err(ApiError::invalid_value("window", format!("window is {window}; give 10 to 86400")).into());
        }
        if !STEP.contains(&step) || window / step > MAX_POINTS {
            let message = format!("step is {step}; give 1 to 600, and at most {MAX_POINTS} steps in the window");
            return Err(ApiError::invalid_value("step", message).into());
        }
        Ok(Json(MachineHistory::from(
            &self.0.platform.monitor.history(window, step),
        )))
    }

    /// What the process needs from the system.
    ///
    /// Looked at anew: libraries, drivers, folders, certificates and compiled features.
    #[oai(
        path = "/api/admin/dependencies",
        method = "get",
        operation_id = "listDependencies",
        tag = "Tag::Admin"
    )]
    async fn dependencies(&self) -> poem::Result<Json<DependencyList>> {
        let app = self.0.clone();
        let found = tokio::task::spawn_blocking(move || app.platform.look())
            .await
            .map_err(ApiError::internal)?;
        Ok(Json(DependencyList::from(found.as_slice())))
    }

    /// The configuration in force.
    ///
    /// Every value with its origin; secrets are masked.
    #[oai(
        path = "/api/admin/config",
        method = "get",
        operation_id = "getConfig",
        tag = "Tag::Admin"
    )]
    async fn config(&self) -> Json<EffectiveConfig> {
        let mut shown = effective_json(&self.0.config);
        let files = shown["files"].as_array().into_iter().flatten();
        Json(EffectiveConfig {
            files: files.filter_map(|file| file.as_str().map(str::to_owned)).collect(),
            values: shown["values"].take(),
            origins: shown["origins"].take(),
        })
    }

    /// Refuses new inference.
    ///
    /// `/readyz` turns to 503; running requests go on.
    #[oai(
        path = "/api/admin/drain",
        method = "post",
        operation_id = "startDrain",
        tag = "Tag::Admin"
    )]
    async fn drain(&self) -> Json<DrainState> {
        self.0.life().set_draining(true);
        self.drain_state()
    }

    /// Takes new inference again.
    ///
    /// Undoes the refusal.
    #[oai(
        path = "/api/admin/drain",
        method = "delete",
        operation_id = "stopDrain",
        tag = "Tag::Admin"
    )]
    async fn undrain(&self) -> Json<DrainState> {
        self.0.life().set_draining(false);
        self.drain_state()
    }
}

impl ServerApi {
    fn drain_state(&self) -> Json<DrainState> {
        let state = if self.0.life().is_draining() {
            "draining"
        } else {
            "ready"
        };
        Json(DrainState {
            state: state.to_owned(),
        })
    }
}

impl From<&HistoryWindow> for MachineHistory {
    fn from(window: &HistoryWindow) -> Self {
        let series = |of: fn(&Point) -> Option<f64>| -> Vec<Option<f64>> {
            window.points.iter().map(|point| point.as_ref().and_then(of)).collect()
        };
        let mut indices: Vec<u32> = window
            .points
            .iter()
            .flatten()
            .flat_map(|point| point.gpus.iter().map(|gpu| gpu.index))
            .collect();
        indices.sort_unstable();
        indices.dedup();
        let start = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(window.start);
        Self {
            start: rfc3339(start),
            step_seconds: window.step_seconds,
            gpus: indices
                .into_iter()
                .map(|index| GpuHistory::new(window, index))
                .collect(),
            host: HostHistory {
                cpu_percent: series(|point| point.cpu_percent),
                memory_used_bytes: series(|point| point.memory_used_bytes),
            },
            process: ProcessHistory {
                cpu_percent: series(|point| point.process_cpu_percent),
                rss_bytes: series(|point| point.process_rss_bytes),
            },
        }
    }
}

impl GpuHistory {
    fn new(window: &HistoryWindow, index: u32) -> Self {
        let series = |of: fn(&GpuPoint) -> Option<f64>| -> Vec<Option<f64>> {
            let gpu = |point: &Point| point.gpus.iter().find(|gpu| gpu.index == index).and_then(of);
            window.points.iter().map(|point| point.as_ref().and_then(gpu)).collect()
        };
        Self {
            index,
            utilization_percent: series(|gpu| gpu.utilization_percent),
            memory_used_bytes: series(|gpu| gpu.memory_used_bytes),
            temperature_celsius: series(|gpu| gpu.temperature_celsius),
            power_watts: series(|gpu| gpu.power_watts),
        }
    }
}
