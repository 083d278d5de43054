//! Every key of the configuration: name, kind, default, meaning.

/// What may stand at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number in that range.
    Integer(i64, i64),
    /// Seconds, whole or not, in that range.
    Seconds(i64, i64),
    /// Bytes: a whole number, or a text such as `"20GiB"`.
    Size,
    /// Texts.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true`, `false` or one of these words.
    FlagOr(&'static [&'static str]),
    /// API keys as tables.
    Keys,
}

/// What setting a key does in this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// What it says.
    Honoured,
    /// Nothing, and nothing is lost by that; the start warns with this reason.
    Inert(&'static str),
    /// Only the default is possible, for this reason.
    Fixed(&'static str),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its path; `*` stands for a model's key.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// Its default as TOML; `None` where it is unset by default.
    pub(crate) default: Option<&'static str>,
    pub(crate) effect: Effect,
    /// One line for people.
    pub(crate) about: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
        effect: Effect::Honoured,
        about,
    }
}

const fn unset(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: None,
        effect: Effect::Honoured,
        about,
    }
}

const fn with(key: Key, effect: Effect) -> Key {
    Key { effect, ..key }
}

/// Ten years; no time is longer.
const FOREVER: i64 = 315_360_000;
const NO_METRICS: &str = "/metrics is not in this version";

/// All keys, in the order in which they are shown.
pub(crate) static KEYS: &[Key] = &[
    key(
        "server.bind",
        Kind::Text,
        "\"127.0.0.1:8080\"",
        "address and port, or unix:/path",
    ),
    key(
        "server.allowed_hosts",
        Kind::List,
        "[]",
        "names under which clients may address this server",
    ),
    key(
        "server.cors_origins",
        Kind::List,
        "[]",
        "origins whose pages may use /v1; \"*\" is any",
    ),
    key(
        "server.admin_cors_origins",
        Kind::List,
        "[]",
        "origins whose pages may use /api/admin",
    ),
    key(
        "server.docs",
        Kind::Flag,
        "true",
        "whether /docs and /openapi.json are served",
    ),
    unset("server.tls.cert_file", Kind::Text, "certificate chain, PEM"),
    unset("server.tls.key_file", Kind::Text, "private key, PEM"),
    key(
        "server.tls.hsts",
        Kind::Flag,
        "false",
        "whether Strict-Transport-Security is sent",
    ),
    key(
        "storage.models_dir",
        Kind::Text,
        "\"models\"",
        "where models are kept, in the hub's own layout",
    ),
    key("storage.offline", Kind::Flag, "false", "whether the hub is never asked"),
    key(
        "storage.hub_endpoint",
        Kind::Text,
        "\"https://huggingface.co\"",
        "the hub, or a mirror of it",
    ),
    key("limits.max_json_bytes", Kind::Size, "4194304", "longest JSON body"),
    key(
        "limits.max_audio_bytes",
        Kind::Size,
        "536870912",
        "longest audio upload",
    ),
    key(
        "limits.max_audio_seconds",
        Kind::Seconds(1, FOREVER),
        "14400",
        "longest recording",
    ),
    key(
        "limits.max_audio_memory",
        Kind::Size,
        "2147483648",
        "all decoded recordings together; 64 KB a second, twice that with speakers unless at 16 kHz",
    ),
    key(
        "limits.max_connections",
        Kind::Integer(1, 1_000_000),
        "1024",
        "open connections; more are closed at once",
    ),
    key(
        "limits.head_timeout",
        Kind::Seconds(1, FOREVER),
        "10",
        "time for a request's head to arrive",
    ),
    key(
        "limits.idle_timeout",
        Kind::Seconds(1, FOREVER),
        "75",
        "time a connection may wait for its next request",
    ),
    key(
        "limits.write_timeout",
        Kind::Seconds(1, FOREVER),
        "60",
        "time a client may take nothing of its answer",
    ),
    key(
        "limits.request_timeout",
        Kind::Seconds(0, FOREVER),
        "600",
        "longest request; 0 is no limit",
    ),
    key(
        "limits.queue_timeout",
        Kind::Seconds(1, FOREVER),
        "60",
        "longest wait in a model's queue",
    ),
    key(
        "limits.load_wait",
        Kind::Seconds(1, FOREVER),
        "120",
        "longest wait for a model that is brought up",
    ),
    key(
        "limits.max_queued",
        Kind::Integer(1, 1_000_000),
        "64",
        "requests that may wait for a model",
    ),
    key(
        "limits.sse_keepalive",
        Kind::Seconds(1, 3600),
        "15",
        "longest silence of an event stream",
    ),
    key(
        "limits.unknown_fields",
        Kind::Choice(&["ignore", "reject"]),
        "\"ignore\"",
        "what an unknown field does",
    ),
    key(
        "limits.drain_delay",
        Kind::Seconds(0, 3600),
        "0",
        "time between a signal and the end of listening",
    ),
    key(
        "limits.shutdown_timeout",
        Kind::Seconds(0, 3600),
        "30",
        "time that running requests have to finish",
    ),
    key(
        "auth.keys",
        Kind::Keys,
        "[]",
        "API keys: { name, sha256 or key_file, scopes }",
    ),
    key(
        "log.level",
        Kind::Text,
        "\"info\"",
        "error, warn, info, debug, trace, or directives; RUST_LOG wins",
    ),
    key(
        "log.format",
        Kind::Choice(&["text", "json"]),
        "\"text\"",
        "how log lines are written",
    ),
    with(
        key(
            "metrics.vllm_names",
            Kind::FlagOr(&["all"]),
            "true",
            "whether vLLM's metric names are served",
        ),
        Effect::Inert(NO_METRICS),
    ),
    with(
        key("metrics.public", Kind::Flag, "false", "whether /metrics needs no key"),
        Effect::Fixed(NO_METRICS),
    ),
    with(
        unset("metrics.bind", Kind::Text, "a listener of its own for /metrics"),
        Effect::Fixed(NO_METRICS),
    ),
    key("models.*.enabled", Kind::Flag, "true", "whether the model exists"),
    unset(
        "models.*.family",
        Kind::Choice(&["qwen", "canary", "whisper", "pyannote"]),
        "what kind of model it is",
    ),
    unset("models.*.source", Kind::Text, "repository of the hub, or a path"),
    key(
        "models.*.revision",
        Kind::Text,
        "\"main\"",
        "branch, tag or commit of the repository",
    ),
    key("models.*.device", Kind::Text, "\"auto\"", "auto, cpu, cuda:0 or metal"),
    key("models.*.dtype", Kind::Text, "\"auto\"", "auto, f32, f16 or bf16"),
    key(
        "models.*.cache_dtype",
        Kind::Text,
        "\"auto\"",
        "keys and values of a chat model: auto, f32, bf16 or int8",
    ),
    unset(
        "models.*.memory_budget",
        Kind::Size,
        "most memory for weights and cache",
    ),
    unset(
        "models.*.max_model_len",
        Kind::Integer(1, 16_777_216),
        "longest context in tokens",
    ),
    key("models.*.aliases", Kind::List, "[]", "other names of the model"),
    key(
        "models.*.preload",
        Kind::Flag,
        "false",
        "whether it is brought up at the start",
    ),
    key(
        "models.*.on_demand",
        Kind::Choice(&["download", "load", "never"]),
        "\"download\"",
        "what a request for it may start",
    ),
    key(
        "models.*.evict_idle",
        Kind::Flag,
        "true",
        "whether it may make room for another while idle",
    ),
    key(
        "models.*.idle_unload",
        Kind::Seconds(0, FOREVER),
        "0",
        "idle time after which it is unloaded; 0 is never",
    ),
    with(
        key(
            "models.*.speculation",
            Kind::Choice(&["off", "lookup"]),
            "\"off\"",
            "how tokens are guessed ahead",
        ),
        Effect::Fixed("speculation is not in this version"),
    ),
    with(
        key(
            "models.*.deterministic",
            Kind::FlagOr(&["auto"]),
            "\"auto\"",
            "whether answers never depend on others",
        ),
        Effect::Fixed("it cannot be chosen in this version"),
    ),
];

/// The key at that path, and the names of a model's keys in place of `*`.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| matches(key.path, path))
}

/// Whether `path` is a table above some key.
pub(crate) fn is_table(path: &str) -> bool {
    let depth = path.split('.').count();
    KEYS.iter().any(|key| {
        let above: Vec<&str> = key.path.split('.').take(depth).collect();
        key.path.split('.').count() > depth && matches(&above.join("."), path)
    })
}

fn matches(pattern: &str, path: &str) -> bool {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), path.split('.').collect());
    wanted.len() == given.len()
        && wanted
            .iter()
            .zip(&given)
            .all(|(wanted, given)| *wanted == "*" || wanted == given)
}

/// What to do about an unknown name: the nearest one beside it, or the list.
pub(crate) fn hint(path: &str) -> String {
    let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
    let depth = path.split('.').count();
    let mut beside: Vec<&str> = KEYS
        .iter()
        .filter(|key| {
            let parts: Vec<&str> = key.path.split('.').collect();
            let parts_above = parts.get(..depth - 1);
            parts.len() >= depth
                && (above.is_empty() || parts_above.is_some_and(|parts| matches(&parts.join("."), above)))
        })
        .filter_map(|key| key.path.split('.').nth(depth - 1))
        .filter(|name| *name != "*")
        .collect();
    beside.dedup();
    let nearest = beside
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 1 + name.len() / 3 => format!("the nearest is {known}"),
        Some(_) => format!("possible here: {}", beside.join(", ")),
        None => "see `inferkit-server config show`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_key_and_its_tables() {
        assert_eq!(find("server.bind").map(|key| key.path), Some("server.bind"));
        assert_eq!(
            find("models.my-model.device").map(|key| key.path),
            Some("models.*.device")
        );
        assert!(find("server").is_none() && find("models.x").is_none() && find("models.x.y").is_none());
        assert!(is_table("server") && is_table("server.tls") && is_table("models.x") && !is_table("server.bind"));
    }

    #[test]
    fn a_misspelt_name_gets_the_nearest_and_a_strange_one_the_list() {
        assert_eq!(hint("server.bnid"), "the nearest is bind");
        assert_eq!(hint("sever"), "the nearest is server");
        assert_eq!(hint("models.qwen.memory_buget"), "the nearest is memory_budget");
        assert!(
            hint("log.colour_scheme").contains("level, format"),
            "{}",
            hint("log.colour_scheme")
        );
    }

    #[test]
    fn every_default_fits_its_kind() {
        for key in KEYS {
            if let Some(default) = key.default {
                let table: toml::Table = format!("x = {default}").parse().unwrap();
                assert!(
                    crate::config::values::fit(key.kind, &table["x"]).is_ok(),
                    "{}",
                    key.path
                );
            }
        }
    }
}
