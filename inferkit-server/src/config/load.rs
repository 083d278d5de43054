//! The layers of the configuration, read in their order.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use toml::Value;

use crate::config::Config;
use crate::config::ConfigError;
use crate::config::builtin;
use crate::config::keys::Kind;
use crate::config::keys::find;
use crate::config::keys::hint;
use crate::config::settings;
use crate::config::toml_file;
use crate::config::values::Origin;
use crate::config::values::Values;
use crate::error::shown;

/// Largest configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where values may come from. Tests make their own; [`Sources::of_process`] is the real one.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that the command line or `INFERKIT_CONFIG` names; it has to exist.
    pub named_file: Option<PathBuf>,
    /// Places to look for a file otherwise; the first that exists is read.
    pub usual_files: Vec<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// What the command line sets: key, value, flag.
    pub flags: Vec<(String, Value, &'static str)>,
}

impl Sources {
    /// The environment and the usual places of this process.
    pub fn of_process(config: Option<PathBuf>, flags: Vec<(String, Value, &'static str)>) -> Self {
        let env: BTreeMap<String, String> = std::env::vars().collect();
        let user = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let user = user.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".config")));
        let mut usual_files = vec![PathBuf::from("inferkit.toml")];
        usual_files.extend(user.map(|folder| folder.join("inferkit/config.toml")));
        usual_files.push(PathBuf::from("/etc/inferkit/config.toml"));
        let named_file = config.or_else(|| env.get("INFERKIT_CONFIG").map(PathBuf::from));
        Self {
            named_file,
            usual_files,
            env,
            flags,
        }
    }
}

/// Reads all layers.
///
/// # Errors
/// With the place of the fault: file and line, variable, or flag.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    layered(read_file(sources)?, sources)
}

/// All layers, of which the file is read already: its path and its text.
pub(crate) fn layered(file: Option<(PathBuf, String)>, sources: &Sources) -> Result<Config, ConfigError> {
    let mut values = Values::default();
    if let Some((path, text)) = &file {
        toml_file::read(path, text, &mut values)?;
    }
    let files = file.into_iter().map(|(path, _)| path).collect();
    read_environment(&sources.env, &mut values)?;
    for (path, value, flag) in &sources.flags {
        values.set(path, value, Origin::Flag, flag)?;
    }
    let models_dir = values
        .get("storage.models_dir")
        .and_then(Value::as_str)
        .unwrap_or("models")
        .to_owned();
    builtin::add(&mut values, Path::new(&models_dir))?;
    check_models_of_flags(&sources.flags, &values)?;
    values.fill_defaults();
    settings::build(values, files, &sources.env)
}

/// A flag switches models that exist; it cannot make one.
fn check_models_of_flags(flags: &[(String, Value, &'static str)], values: &Values) -> Result<(), ConfigError> {
    let is_model = |key: &String| values.get(&format!("models.{key}.source")).is_some();
    let unknown = flags.iter().find_map(|(path, _, flag)| {
        let key = path.strip_prefix("models.")?.rsplit_once('.')?.0.to_owned();
        (!is_model(&key)).then_some((key, flag))
    });
    let Some((key, flag)) = unknown else { return Ok(()) };
    let known: Vec<String> = values.models().into_iter().filter(is_model).collect();
    Err(ConfigError::Combination(format!(
        "{flag} {}: there is no model of that key; there are {}",
        shown(&key),
        known.join(", ")
    )))
}

fn read_file(sources: &Sources) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let usual = || sources.usual_files.iter().find(|path| path.is_file()).cloned();
    let Some(path) = sources.named_file.clone().or_else(usual) else {
        return Ok(None);
    };
    let unreadable = |source| ConfigError::Unreadable {
        path: path.clone(),
        source,
    };
    let length = std::fs::metadata(&path).map_err(unreadable)?.len();
    if length > MAX_FILE_BYTES {
        return Err(unreadable(std::io::Error::other("longer than 1 MiB")));
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    Ok(Some((path, text)))
}

/// Names of other programs that mean one of our keys.
const FOREIGN: [(&str, &str); 3] = [
    ("HF_ENDPOINT", "storage.hub_endpoint"),
    ("HF_HUB_OFFLINE", "storage.offline"),
    ("RUST_LOG", "log.level"),
];

fn read_environment(env: &BTreeMap<String, String>, values: &mut Values) -> Result<(), ConfigError> {
    for (name, path) in FOREIGN.iter().filter(|(name, _)| *name != "RUST_LOG") {
        if let Some(text) = env.get(*name).filter(|text| !text.is_empty()) {
            set_text(values, path, text, name)?;
        }
    }
    for (name, text) in env {
        let Some(rest) = name.strip_prefix("INFERKIT_").filter(|rest| rest.contains("__")) else {
            continue;
        };
        let path = path_of(rest, &values.models());
        set_text(values, &path, text, name)?;
    }
    // RUST_LOG wins over INFERKIT_LOG__LEVEL.
    match env.get("RUST_LOG").filter(|text| !text.is_empty()) {
        Some(text) => set_text(values, "log.level", text, "RUST_LOG"),
        None => Ok(()),
    }
}

/// `MODELS__MY_MODEL__DEVICE` as a path; a model's key may be written with `_` for `-`.
fn path_of(rest: &str, models: &[String]) -> String {
    let mut parts: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
    if parts.first().is_some_and(|first| first == "models")
        && let Some(part) = parts.get_mut(1)
        && let Some(model) = models.iter().find(|model| model.replace('-', "_") == *part)
    {
        part.clone_from(model);
    }
    parts.join(".")
}

/// Sets a key from text, which is read as the key's kind wants it.
fn set_text(values: &mut Values, path: &str, text: &str, name: &str) -> Result<(), ConfigError> {
    let name = &shown(name);
    let Some(key) = find(path) else {
        return Err(ConfigError::UnknownKey {
            place: name.to_owned(),
            key: shown(path),
            hint: hint(path),
        });
    };
    let as_flag = || match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    };
    let value = match key.kind {
        Kind::Flag | Kind::FlagOr(_) => as_flag().map(Value::from),
        Kind::Integer(..) => text.parse::<i64>().ok().map(Value::from),
        Kind::Seconds(..) => text.parse::<f64>().ok().map(Value::from),
        Kind::List => Some(Value::from(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect::<Vec<_>>(),
        )),
        Kind::Text | Kind::Size | Kind::Choice(_) | Kind::Keys => None,
    };
    values.set(path, &value.unwrap_or_else(|| Value::from(text)), Origin::Env, name)
}

#[cfg(test)]
mod tests;
