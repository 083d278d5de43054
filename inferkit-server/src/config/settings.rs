//! The configuration as types, checked as a whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use inferkit::CacheDtypePreference;
use inferkit::DevicePreference;
use inferkit::DtypePreference;
use inferkit::ModelPolicy;
use inferkit::OnDemand;
use inferkit::Source;
use toml::Value;

use crate::config::ConfigError;
use crate::config::api_keys;
use crate::config::values::Values;
use crate::middleware::Key;
use crate::routes::audio::RecordingMemory;

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where and for whom it listens.
    pub server: ServerSettings,
    /// Where models are kept and come from.
    pub storage: StorageSettings,
    /// Limits of size, number and time.
    pub limits: Limits,
    /// API keys; with none, everybody is let in.
    pub keys: Vec<Key>,
    /// The log.
    pub log: LogSettings,
    /// Models by key.
    pub models: BTreeMap<String, ModelSettings>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Every value with its origin.
    pub values: Values,
}

/// Where and for whom the server listens.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where.
    pub bind: Bind,
    /// Further names in `Host`.
    pub allowed_hosts: Vec<String>,
    /// Origins for `/v1`.
    pub cors_origins: Vec<String>,
    /// Origins for `/api/admin`.
    pub admin_cors_origins: Vec<String>,
    /// Whether the API's description is served.
    pub docs: bool,
    /// Certificate and key.
    pub tls: Option<TlsSettings>,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// An address and a port; port 0 is any.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Certificate and key, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Private key, PEM.
    pub key_file: PathBuf,
    /// Whether browsers are told to come by TLS only.
    pub hsts: bool,
}

/// Where models are kept and come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSettings {
    /// The models directory.
    pub models_dir: PathBuf,
    /// Whether the hub is never asked.
    pub offline: bool,
    /// The hub's address.
    pub hub_endpoint: String,
}

/// Limits of size, number and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest JSON body.
    pub max_json_bytes: u64,
    /// Longest upload of a recording.
    pub max_audio_bytes: u64,
    /// Longest recording.
    pub max_audio_seconds: Duration,
    /// Bytes of all decoded recordings together.
    pub max_audio_memory: u64,
    /// Open connections.
    pub max_connections: usize,
    /// Time for a head to arrive.
    pub head_timeout: Duration,
    /// Time between two requests of a connection.
    pub idle_timeout: Duration,
    /// Time in which a client must take something of its answer.
    pub write_timeout: Duration,
    /// Longest request; `None` is no limit.
    pub request_timeout: Option<Duration>,
    /// Longest wait in a model's queue.
    pub queue_timeout: Duration,
    /// Longest wait for a model that is brought up.
    pub load_wait: Duration,
    /// Requests that may wait for a model.
    pub max_queued: usize,
    /// Longest silence of an event stream.
    pub sse_keepalive: Duration,
    /// Whether unknown fields of a body are errors.
    pub reject_unknown_fields: bool,
    /// Time between a signal and the end of listening.
    pub drain_delay: Duration,
    /// Time that running requests have to finish.
    pub shutdown_timeout: Duration,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A level or directives.
    pub directives: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// What kind of model it is.
    pub family: String,
    /// Where its files come from.
    pub source: Source,
    /// The device it runs on.
    pub device: DevicePreference,
    /// The type of its weights.
    pub dtype: DtypePreference,
    /// The type of the keys and values of a chat model.
    pub cache_dtype: CacheDtypePreference,
    /// Most memory for weights and cache.
    pub memory_budget: Option<u64>,
    /// Longest context in tokens.
    pub max_model_len: Option<usize>,
    /// What the registry may do with it.
    pub policy: ModelPolicy,
}

/// Gives types to values and checks them together.
pub(crate) fn build(
    values: Values,
    files: Vec<PathBuf>,
    env: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let reader = Reader(&values);
    let (server, storage, log, models) = (server(&reader)?, storage(&reader)?, log(&reader)?, models(&reader)?);
    let limits = limits(&reader)?;
    let keys = api_keys::read(values.get("auth.keys"), env)?;
    let open_admin = server.admin_cors_origins.iter().any(|origin| origin == "*");
    if open_admin && !keys.is_empty() {
        let message = "server.admin_cors_origins is \"*\" while API keys are on; name the origins";
        return Err(ConfigError::Combination(message.to_owned()));
    }
    Ok(Config {
        server,
        storage,
        limits,
        keys,
        log,
        models,
        files,
        values,
    })
}

/// Typed access to values whose kinds were checked when they were set.
struct Reader<'a>(&'a Values);

impl Reader<'_> {
    fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).and_then(Value::as_str).map(str::to_owned)
    }

    fn flag(&self, path: &str) -> bool {
        self.0.get(path).and_then(Value::as_bool).unwrap_or_default()
    }

    fn whole(&self, path: &str) -> Option<u64> {
        self.0
            .get(path)
            .and_then(Value::as_integer)
            .and_then(|number| u64::try_from(number).ok())
    }

    fn count(&self, path: &str) -> Option<usize> {
        self.whole(path).and_then(|number| usize::try_from(number).ok())
    }

    fn duration(&self, path: &str) -> Duration {
        let seconds = self.0.get(path).and_then(Value::as_float).unwrap_or_default();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let items = self
            .0
            .get(path)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn wrong(&self, path: &str, expected: &str) -> ConfigError {
        ConfigError::Value {
            place: "configuration".to_owned(),
            key: path.to_owned(),
            found: self.0.get(path).map(ToString::to_string).unwrap_or_default(),
            expected: expected.to_owned(),
        }
    }
}

fn server(reader: &Reader<'_>) -> Result<ServerSettings, ConfigError> {
    for path in ["server.cors_origins", "server.admin_cors_origins"] {
        let is_origin = |origin: &String| {
            origin == "*"
                || origin.split_once("://").is_some_and(|(scheme, host)| {
                    matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '?', '#', ' '])
                })
        };
        if !reader.list(path).iter().all(is_origin) {
            return Err(reader.wrong(path, "origins such as https://app.example"));
        }
    }
    let tls = match (reader.text("server.tls.cert_file"), reader.text("server.tls.key_file")) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(TlsSettings {
            cert_file: cert.into(),
            key_file: key.into(),
            hsts: reader.flag("server.tls.hsts"),
        }),
        (Some(_), None) => return Err(reader.wrong("server.tls.key_file", "the private key of the certificate")),
        (None, Some(_)) => return Err(reader.wrong("server.tls.cert_file", "the certificate of the key")),
    };
    Ok(ServerSettings {
        bind: bind(reader)?,
        allowed_hosts: reader.list("server.allowed_hosts"),
        cors_origins: reader.list("server.cors_origins"),
        admin_cors_origins: reader.list("server.admin_cors_origins"),
        docs: reader.flag("server.docs"),
        tls,
    })
}

fn bind(reader: &Reader<'_>) -> Result<Bind, ConfigError> {
    let text = reader.text("server.bind").unwrap_or_default();
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Bind::Unix(path.into()));
    }
    let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = address.unwrap_or(text).parse();
    address.map(Bind::Tcp).map_err(|_| {
        reader.wrong(
            "server.bind",
            "address and port such as 127.0.0.1:8080 or [::1]:8080, or unix:/path",
        )
    })
}

fn storage(reader: &Reader<'_>) -> Result<StorageSettings, ConfigError> {
    let hub_endpoint = reader.text("storage.hub_endpoint").unwrap_or_default();
    if !hub_endpoint.starts_with("https://") && !hub_endpoint.starts_with("http://") {
        return Err(reader.wrong(
            "storage.hub_endpoint",
            "an address that begins with https:// or http://",
        ));
    }
    Ok(StorageSettings {
        models_dir: reader.text("storage.models_dir").unwrap_or_default().into(),
        offline: reader.flag("storage.offline"),
        hub_endpoint: hub_endpoint.trim_end_matches('/').to_owned(),
    })
}

fn limits(reader: &Reader<'_>) -> Result<Limits, ConfigError> {
    let max_audio_memory = reader.whole("limits.max_audio_memory").unwrap_or_default();
    if max_audio_memory < RecordingMemory::LEAST_BYTES {
        return Err(reader.wrong("limits.max_audio_memory", "a size of 1MiB or more"));
    }
    Ok(Limits {
        max_json_bytes: reader.whole("limits.max_json_bytes").unwrap_or_default(),
        max_audio_bytes: reader.whole("limits.max_audio_bytes").unwrap_or_default(),
        max_audio_seconds: reader.duration("limits.max_audio_seconds"),
        max_audio_memory,
        max_connections: reader.count("limits.max_connections").unwrap_or_default(),
        head_timeout: reader.duration("limits.head_timeout"),
        idle_timeout: reader.duration("limits.idle_timeout"),
        write_timeout: reader.duration("limits.write_timeout"),
        request_timeout: Some(reader.duration("limits.request_timeout")).filter(|timeout| !timeout.is_zero()),
        queue_timeout: reader.duration("limits.queue_timeout"),
        load_wait: reader.duration("limits.load_wait"),
        max_queued: reader.count("limits.max_queued").unwrap_or_default(),
        sse_keepalive: reader.duration("limits.sse_keepalive"),
        reject_unknown_fields: reader
            .text("limits.unknown_fields")
            .is_some_and(|word| word == "reject"),
        drain_delay: reader.duration("limits.drain_delay"),
        shutdown_timeout: reader.duration("limits.shutdown_timeout"),
    })
}

fn log(reader: &Reader<'_>) -> Result<LogSettings, ConfigError> {
    let directives = reader.text("log.level").unwrap_or_default();
    // The reader behind it cuts letters of several bytes in two, and panics (tracing-subscriber 0.3).
    if !directives.is_ascii() || tracing_subscriber::EnvFilter::try_new(&directives).is_err() {
        return Err(reader.wrong(
            "log.level",
            "error, warn, info, debug, trace, or directives such as inferkit=debug",
        ));
    }
    let json = reader.text("log.format").is_some_and(|word| word == "json");
    Ok(LogSettings {
        directives,
        format: if json { LogFormat::Json } else { LogFormat::Text },
    })
}

fn models(reader: &Reader<'_>) -> Result<BTreeMap<String, ModelSettings>, ConfigError> {
    let mut models = BTreeMap::new();
    for key in reader.0.models() {
        if reader.flag(&format!("models.{key}.enabled")) {
            let settings = model(reader, &key)?;
            models.insert(key, settings);
        }
    }
    Ok(models)
}

fn model(reader: &Reader<'_>, key: &str) -> Result<ModelSettings, ConfigError> {
    let path = |name: &str| format!("models.{key}.{name}");
    let needed = |name: &str, what: &str| {
        let missing = || ConfigError::Combination(format!("{} is not set; set it to {what}", path(name)));
        reader.text(&path(name)).ok_or_else(missing)
    };
    let family = needed("family", "qwen, canary, whisper or pyannote")?;
    let source = needed("source", "a repository of the hub, or a path")?;
    let revision = reader.text(&path("revision")).unwrap_or_default();
    let source = parse_source(&source, revision).ok_or_else(|| {
        reader.wrong(
            &path("source"),
            "owner/name of the hub, or a path that begins with / or ./",
        )
    })?;
    let (device, dtype, cache_dtype) = (path("device"), path("dtype"), path("cache_dtype"));
    let caches: CacheDtypePreference = parse(reader, &cache_dtype)?;
    if family != "qwen" && caches != CacheDtypePreference::Auto {
        return Err(reader.wrong(&cache_dtype, "auto: only models of family qwen let it be chosen"));
    }
    let mut policy = ModelPolicy::default()
        .with_aliases(reader.list(&path("aliases")))
        .with_on_demand(on_demand(&reader.text(&path("on_demand")).unwrap_or_default()));
    policy.preload = reader.flag(&path("preload"));
    policy.evict_idle = reader.flag(&path("evict_idle"));
    policy.idle_unload = Some(reader.duration(&path("idle_unload"))).filter(|time| !time.is_zero());
    Ok(ModelSettings {
        family,
        source,
        device: parse(reader, &device)?,
        dtype: parse(reader, &dtype)?,
        cache_dtype: caches,
        memory_budget: reader.whole(&path("memory_budget")),
        max_model_len: reader.count(&path("max_model_len")),
        policy,
    })
}

/// Reads a preference; the library's own error says what is possible.
fn parse<T: std::str::FromStr<Err = inferkit::Error>>(reader: &Reader<'_>, path: &str) -> Result<T, ConfigError> {
    reader
        .text(path)
        .unwrap_or_default()
        .parse()
        .map_err(|error: inferkit::Error| reader.wrong(path, &error.to_string()))
}

fn on_demand(word: &str) -> OnDemand {
    match word {
        "load" => OnDemand::Load,
        "never" => OnDemand::Never,
        _ => OnDemand::Download,
    }
}

/// A path if it looks like one or exists, else `owner/name`.
fn parse_source(text: &str, revision: String) -> Option<Source> {
    let path = PathBuf::from(text);
    if path.is_absolute() || text.starts_with("./") || text.starts_with("../") || path.exists() {
        return Some(Source::path(path));
    }
    let is_part = |part: &str| {
        (1..=96).contains(&part.len())
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    let (owner, name) = text.split_once('/')?;
    (is_part(owner) && is_part(name)).then(|| match Source::hub(text) {
        Source::Hub { repository, .. } => Source::Hub { repository, revision },
        other => other,
    })
}
