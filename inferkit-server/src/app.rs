//! The server as one value: configuration, models, and what is known of the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use inferkit::ModelRegistry;
use poem::Endpoint;
use poem::Response;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Bind;
use crate::config::Config;
use crate::events::EventRing;
use crate::families;
use crate::life::Life;
use crate::middleware::Auth;
use crate::middleware::BrowserRules;
use crate::middleware::Door;
use crate::middleware::Front;
use crate::middleware::Notes;
use crate::middleware::Traffic;
use crate::openapi;
use crate::platform::Platform;
use crate::routes;
use crate::sse::StreamBounds;

/// Everything the routes need.
#[derive(Debug)]
pub struct App {
    /// The configuration in force.
    pub config: Config,
    /// The models.
    pub registry: ModelRegistry,
    /// Keys, hosts, running requests, and the process's life.
    pub door: Arc<Door>,
    /// The machine and the hub.
    pub platform: Platform,
    /// What changes, numbered.
    pub events: Arc<EventRing>,
    /// A place for each open stream of events.
    pub(crate) event_streams: Arc<Semaphore>,
    /// A place for each recording that is decoded at the same time.
    pub(crate) decodings: Arc<Semaphore>,
    /// Memory for all recordings that are decoded.
    pub(crate) recordings: routes::audio::RecordingMemory,
}

/// Streams of events that may be open at a time.
const EVENT_STREAMS: usize = 32;

impl App {
    /// A server with the configured models registered; nothing is started.
    ///
    /// # Errors
    /// When the registry refuses a model, such as for an alias that is taken, or the hub's token cannot be read.
    pub async fn new(config: Config, env: &BTreeMap<String, String>) -> inferkit::Result<Arc<Self>> {
        let platform = Platform::start(&config, env)?;
        let registry = ModelRegistry::builder().build()?;
        for (key, settings) in &config.models {
            let wrapper = families::wrapper(&config, settings, &platform.hub)?;
            registry.register(key.clone(), wrapper, settings.policy.clone()).await?;
        }
        Ok(Self::with_registry(config, registry, platform))
    }

    /// A server with models of the caller's own.
    pub fn with_registry(config: Config, registry: ModelRegistry, platform: Platform) -> Arc<Self> {
        let door = Arc::new(door(&config));
        let recordings = routes::audio::RecordingMemory::new(config.limits.max_audio_memory);
        Arc::new(Self {
            config,
            registry,
            door,
            platform,
            events: Arc::default(),
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS)),
            decodings: routes::audio::places(),
            recordings,
        })
    }

    /// Where the process is in its life.
    pub fn life(&self) -> &Life {
        &self.door.life
    }

    /// The routes with the front around them.
    pub fn endpoint(self: &Arc<Self>) -> impl Endpoint<Output = Response> + use<> {
        Front::new(self.door.clone(), openapi::router(self))
    }

    /// What bounds the stream of a request.
    pub fn stream_bounds(&self, notes: &Notes) -> StreamBounds {
        StreamBounds {
            keep_alive: self.config.limits.sse_keepalive,
            deadline: notes.deadline(),
            ending: self.life().ending(),
            notes: notes.clone(),
        }
    }

    /// Whether all models that should be loaded are, and new requests are taken; else what is waited for.
    pub fn readiness(&self) -> Readiness {
        let waiting_for: Vec<String> = self
            .registry
            .statuses()
            .into_iter()
            .filter(|model| model.policy.preload && model.runtime_status != inferkit::RuntimeStatus::Loaded)
            .map(|model| model.key)
            .collect();
        let failed = self
            .registry
            .statuses()
            .iter()
            .any(|model| model.policy.preload && model.runtime_status == inferkit::RuntimeStatus::Failed);
        let state = match (self.life().is_leaving(), waiting_for.is_empty(), failed) {
            (true, ..) => "draining",
            (false, true, _) => "ready",
            (false, false, true) => "degraded",
            (false, false, false) => "starting",
        };
        Readiness { state, waiting_for }
    }
}

/// Whether the server should be sent requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// `ready`, `starting`, `draining` or `degraded`.
    pub state: &'static str,
    /// Models that should be loaded and are not.
    pub waiting_for: Vec<String>,
}

fn door(config: &Config) -> Door {
    let keys_on = !config.keys.is_empty();
    Door {
        auth: Auth::new(config.keys.clone()),
        browser: BrowserRules {
            allowed_hosts: allowed_hosts(config, keys_on),
            cors_origins: config.server.cors_origins.clone(),
            admin_cors_origins: config.server.admin_cors_origins.clone(),
        },
        life: Arc::new(Life::default()),
        traffic: Arc::new(Traffic::default()),
        max_json_bytes: config.limits.max_json_bytes,
        max_audio_bytes: config.limits.max_audio_bytes,
        max_audio_seconds: config.limits.max_audio_seconds,
        request_timeout: config.limits.request_timeout,
        reject_unknown: config.limits.reject_unknown_fields,
        hsts: config.server.tls.as_ref().is_some_and(|tls| tls.hsts),
    }
}

/// The names in `Host` that are allowed beside the local ones; `None` where the check is off: on a Unix
/// socket, and on an open address with keys unless names are configured.
fn allowed_hosts(config: &Config, keys_on: bool) -> Option<Vec<String>> {
    let mut names = config.server.allowed_hosts.clone();
    match &config.server.bind {
        Bind::Unix(_) => None,
        Bind::Tcp(address) if !address.ip().is_loopback() && keys_on && names.is_empty() => None,
        Bind::Tcp(address) => {
            names.push(if address.is_ipv6() {
                format!("[{}]", address.ip())
            } else {
                address.ip().to_string()
            });
            Some(names)
        }
    }
}

/// When a wait that may last `patience` is over, if the request's own deadline is not before.
pub fn earlier(patience: std::time::Duration, deadline: Option<Instant>) -> std::time::Duration {
    deadline.map_or(patience, |deadline| {
        patience.min(deadline.saturating_duration_since(Instant::now()))
    })
}
