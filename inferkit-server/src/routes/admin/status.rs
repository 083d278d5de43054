//! The whole state of the server in one answer, from what was sampled.

use std::sync::Arc;
use std::time::SystemTime;

use inferkit::Sample;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;

use crate::app::App;
use crate::clock::rfc3339;
use crate::middleware::ActiveRequest;
use crate::middleware::RecentRequest;
use crate::openapi::Tag;
use crate::routes::admin::machine::DependencyView;
use crate::routes::admin::machine::GpuMonitorView;
use crate::routes::admin::machine::GpuView;
use crate::routes::admin::machine::SystemView;
use crate::routes::admin::model_view;
use crate::routes::admin::token::TokenView;
use crate::routes::admin::view::ModelView;
use crate::routes::admin::view::OperationView;

/// Ended operations that the status holds.
const ENDED_OPERATIONS: usize = 10;

/// `/api/admin/status`.
pub struct StatusApi(pub(crate) Arc<App>);

/// The whole state of the server. What is not known is null.
#[derive(Debug, Object)]
pub(crate) struct Status {
    /// The number of the last event.
    seq: u64,
    /// Now.
    time: String,
    /// The server's version.
    version: String,
    /// `starting`, `ready`, `degraded` or `draining`.
    state: String,
    /// Since when the process runs.
    started_at: String,
    /// For how long.
    uptime_seconds: f64,
    /// Whether GPUs can be watched.
    gpu_monitor: GpuMonitorView,
    /// The GPUs.
    gpus: Vec<GpuView>,
    /// The machine and this process.
    #[oai(nullable)]
    system: Option<SystemView>,
    /// The models, by key.
    models: Vec<ModelView>,
    /// What the process needs from the system.
    dependencies: Vec<DependencyView>,
    /// Running operations and the last ten that ended, newest first.
    operations: Vec<OperationView>,
    /// The hub's token, without itself.
    hf_token: TokenView,
    /// Running and ended requests.
    requests: Requests,
}

/// What changes from moment to moment.
#[derive(Debug, Object)]
struct SampleEvent {
    /// The GPUs.
    gpus: Vec<GpuView>,
    /// The machine and this process.
    #[oai(nullable)]
    system: Option<SystemView>,
    /// Running and ended requests.
    requests: Requests,
}

/// Running and ended requests; never their content.
#[derive(Debug, Object)]
struct Requests {
    /// Requests at work.
    in_flight: u64,
    /// Requests that wait for a model.
    #[oai(nullable)]
    queued: Option<u64>,
    /// Tokens produced a second of late, by all chat models that are loaded.
    #[oai(nullable)]
    tokens_per_second: Option<f64>,
    /// Answers with a status of 500 or more in the last hour.
    errors_last_hour: u64,
    /// Half of the last requests took no longer.
    #[oai(nullable)]
    p50_seconds: Option<f64>,
    /// 95 of a hundred of the last requests took no longer.
    #[oai(nullable)]
    p95_seconds: Option<f64>,
    /// Requests at work, oldest first.
    active: Vec<RunningRequest>,
    /// The last 50 that ended, newest first.
    recent: Vec<EndedRequest>,
}

/// A request at work.
#[derive(Debug, Object)]
struct RunningRequest {
    /// Its id.
    id: String,
    /// The route's template.
    route: String,
    /// The model's key.
    #[oai(nullable)]
    model: Option<String>,
    /// `waiting` before its first token, then `answering`.
    phase: String,
    /// How far it is, 0 to 1.
    #[oai(nullable)]
    progress: Option<f64>,
    /// Tokens produced so far.
    #[oai(nullable)]
    tokens: Option<u64>,
    /// When it came.
    started_at: String,
}

/// A request that has ended.
#[derive(Debug, Object)]
struct EndedRequest {
    /// Its id.
    id: String,
    /// The route's template.
    route: String,
    /// The model's key.
    #[oai(nullable)]
    model: Option<String>,
    /// The status it was answered with; 499 where the client left before.
    status: u16,
    /// From its head to the end of its answer.
    duration_seconds: f64,
    /// Tokens of its answer.
    #[oai(nullable)]
    tokens: Option<u64>,
    /// When it came.
    started_at: String,
}

#[OpenApi]
impl StatusApi {
    /// The whole state of the server.
    ///
    /// From what was sampled last: it never waits for a device or the network.
    #[oai(
        path = "/api/admin/status",
        method = "get",
        operation_id = "getStatus",
        tag = "Tag::Admin"
    )]
    async fn get(&self) -> Json<Status> {
        Json(status(&self.0, self.0.events.seq()))
    }
}

/// The whole state, as of the event of that number.
pub(crate) fn status(app: &App, seq: u64) -> Status {
    let sample = app.platform.monitor.newest();
    let sample = sample.as_deref();
    let mut ended = 0;
    let operations = app.registry.operations();
    let kept = operations.iter().filter(|operation| {
        ended += usize::from(operation.state.is_finished());
        !operation.state.is_finished() || ended <= ENDED_OPERATIONS
    });
    Status {
        seq,
        time: rfc3339(SystemTime::now()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: app.readiness().state.to_owned(),
        started_at: rfc3339(app.life().started_at()),
        uptime_seconds: app.life().uptime_seconds(),
        gpu_monitor: sample.map_or_else(GpuMonitorView::not_yet, |sample| GpuMonitorView::from(&sample.gpu)),
        gpus: gpus(sample),
        system: sample.map(|sample| SystemView::from(&sample.host)),
        models: app
            .registry
            .statuses()
            .iter()
            .map(|model| model_view(app, model))
            .collect(),
        dependencies: app.platform.dependencies().iter().map(DependencyView::from).collect(),
        operations: kept.map(OperationView::from).collect(),
        hf_token: TokenView::from(&app.platform.hub.tokens().status()),
        requests: requests(app),
    }
}

/// What a `sample` event holds.
pub(crate) fn sample_json(app: &App) -> String {
    let sample = app.platform.monitor.newest();
    let sample = sample.as_deref();
    let system = sample.map(|sample| SystemView::from(&sample.host));
    SampleEvent {
        gpus: gpus(sample),
        system,
        requests: requests(app),
    }
    .to_json_string()
}

fn gpus(sample: Option<&Sample>) -> Vec<GpuView> {
    sample
        .map(|sample| sample.gpu.gpus.iter().map(GpuView::from).collect())
        .unwrap_or_default()
}

fn requests(app: &App) -> Requests {
    let summary = app.door.traffic.summary();
    let models = app.registry.statuses();
    let queued: usize = models.iter().filter_map(|model| model.queued_requests).sum();
    let speeds: Vec<f64> = models.iter().filter_map(|model| model.tokens_per_second).collect();
    Requests {
        in_flight: summary.active.len() as u64,
        queued: Some(queued as u64),
        tokens_per_second: (!speeds.is_empty()).then(|| speeds.iter().sum()),
        errors_last_hour: summary.errors_last_hour as u64,
        p50_seconds: summary.p50_seconds,
        p95_seconds: summary.p95_seconds,
        active: summary.active.iter().map(RunningRequest::from).collect(),
        recent: summary.recent.iter().map(EndedRequest::from).collect(),
    }
}

impl From<&ActiveRequest> for RunningRequest {
    fn from(request: &ActiveRequest) -> Self {
        let facts = request.notes.facts();
        let phase = if facts.first_token.is_some() {
            "answering"
        } else {
            "waiting"
        };
        Self {
            id: facts.request_id.clone(),
            route: request.route.to_owned(),
            model: facts.model.clone(),
            phase: phase.to_owned(),
            progress: None,
            tokens: facts.completion_tokens.map(|tokens| tokens as u64),
            started_at: rfc3339(request.started_at),
        }
    }
}

impl From<&RecentRequest> for EndedRequest {
    fn from(request: &RecentRequest) -> Self {
        Self {
            id: request.id.clone(),
            route: request.route.to_owned(),
            model: request.model.clone(),
            status: request.status,
            duration_seconds: request.duration.as_secs_f64(),
            tokens: request.tokens.map(|tokens| tokens as u64),
            started_at: rfc3339(request.started_at),
        }
    }
}
