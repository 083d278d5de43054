//! The values of all keys with their origins, before they are given types.

use std::collections::BTreeMap;

use toml::Table;
use toml::Value;

use crate::config::ConfigError;
use crate::config::keys::Effect;
use crate::config::keys::KEYS;
use crate::config::keys::Key;
use crate::config::keys::Kind;
use crate::config::keys::find;
use crate::config::keys::hint;
use crate::config::quantity::parse_size;
use crate::error::shown;

/// Where a value comes from; a later one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody has set it.
    Default,
    /// The configuration file.
    File,
    /// An environment variable.
    Env,
    /// The command line.
    Flag,
}

impl Origin {
    /// The spelling over HTTP and in `config show`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Env => "env",
            Self::Flag => "flag",
        }
    }
}

/// The values of all keys with their origins.
#[derive(Debug, Clone, Default)]
pub struct Values {
    by_path: BTreeMap<String, (Value, Origin)>,
    warnings: Vec<String>,
}

impl Values {
    /// Sets a key. A value of lower origin is replaced.
    ///
    /// # Errors
    /// For unknown keys, keys of models and values that do not fit, and what this version does not have.
    pub(crate) fn set(&mut self, path: &str, value: &Value, origin: Origin, place: &str) -> Result<(), ConfigError> {
        let Some(key) = find(path) else {
            return Err(ConfigError::UnknownKey {
                place: place.to_owned(),
                key: shown(path),
                hint: hint(path),
            });
        };
        check_model_key(path, place)?;
        let fitted = fit(key.kind, value).map_err(|expected| ConfigError::Value {
            place: place.to_owned(),
            key: path.to_owned(),
            found: shown(&value.to_string()),
            expected,
        })?;
        let is_default = default_of(key).is_some_and(|default| default == fitted);
        match key.effect {
            Effect::Fixed(reason) if origin > Origin::Default && !is_default => {
                let (place, key) = (place.to_owned(), path.to_owned());
                return Err(ConfigError::NotInThisVersion {
                    place,
                    key,
                    reason: reason.to_owned(),
                });
            }
            Effect::Inert(reason) if origin > Origin::Default && !is_default => {
                self.warnings.push(format!("{place}: {path} has no effect: {reason}"));
            }
            Effect::Honoured | Effect::Inert(_) | Effect::Fixed(_) => {}
        }
        let replaces = self.by_path.get(path).is_none_or(|(_, earlier)| *earlier <= origin);
        if replaces {
            self.by_path.insert(path.to_owned(), (fitted, origin));
        }
        Ok(())
    }

    /// Fills in the defaults of all keys, those of each model included.
    pub(crate) fn fill_defaults(&mut self) {
        let models = self.models();
        for key in KEYS {
            let Some(default) = default_of(key) else {
                continue;
            };
            let paths: Vec<String> = if key.path.contains('*') {
                models.iter().map(|model| key.path.replacen('*', model, 1)).collect()
            } else {
                vec![key.path.to_owned()]
            };
            for path in paths {
                self.by_path.entry(path).or_insert((default.clone(), Origin::Default));
            }
        }
    }

    /// The keys of all models that any layer names.
    pub(crate) fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = self
            .by_path
            .keys()
            .filter_map(|path| path.strip_prefix("models."))
            .filter_map(|rest| rest.split_once('.'))
            .map(|(model, _)| model.to_owned())
            .collect();
        models.dedup();
        models
    }

    /// The value at that key.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path).map(|(value, _)| value)
    }

    /// All values with their origins, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value, Origin)> {
        self.by_path
            .iter()
            .map(|(path, (value, origin))| (path.as_str(), value, *origin))
    }

    /// What the start should warn about.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All values as nested tables.
    pub(crate) fn to_table(&self) -> Table {
        let mut root = Table::new();
        for (path, value, _) in self.iter() {
            let mut parts: Vec<&str> = path.split('.').collect();
            let name = parts.pop().unwrap_or_default();
            let table = parts.into_iter().try_fold(&mut root, |table, part| {
                table
                    .entry(part)
                    .or_insert_with(|| Value::Table(Table::new()))
                    .as_table_mut()
            });
            if let Some(table) = table {
                table.insert(name.to_owned(), value.clone());
            }
        }
        root
    }
}

/// A model's key is a word of the commands, of addresses and of messages. `path` is one of [`KEYS`].
fn check_model_key(path: &str, place: &str) -> Result<(), ConfigError> {
    let Some((model, _)) = path.strip_prefix("models.").and_then(|rest| rest.split_once('.')) else {
        return Ok(());
    };
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let fits = model.len() <= 63
        && model.bytes().next().is_some_and(is_plain)
        && model
            .bytes()
            .all(|letter| is_plain(letter) || matches!(letter, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(ConfigError::Value {
        place: place.to_owned(),
        key: "a model's key".to_owned(),
        found: format!("{:?}", shown(model)),
        expected: "a-z, 0-9, - and _, at most 63 characters".to_owned(),
    })
}

/// A key's default in the form that [`fit`] gives.
fn default_of(key: &Key) -> Option<Value> {
    key.default
        .and_then(parse_toml)
        .and_then(|default| fit(key.kind, &default).ok())
}

fn parse_toml(text: &str) -> Option<Value> {
    format!("value = {text}").parse::<Table>().ok()?.remove("value")
}

/// The value in its one form: sizes as whole numbers, seconds as floats. The error says what would fit.
pub(crate) fn fit(kind: Kind, value: &Value) -> Result<Value, String> {
    let fitted = match kind {
        Kind::Text => value.as_str().filter(|text| !text.is_empty()).map(Value::from),
        Kind::Flag => value.as_bool().map(Value::from),
        Kind::Integer(low, high) => value.as_integer().filter(|n| (low..=high).contains(n)).map(Value::from),
        Kind::Seconds(low, high) => {
            let seconds = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
            seconds
                .filter(|seconds| (low as f64..=high as f64).contains(seconds))
                .map(Value::from)
        }
        Kind::Size => {
            let bytes = value
                .as_str()
                .and_then(parse_size)
                .and_then(|bytes| i64::try_from(bytes).ok());
            bytes
                .or_else(|| value.as_integer())
                .filter(|bytes| *bytes >= 1)
                .map(Value::from)
        }
        Kind::List => value
            .as_array()
            .filter(|items| items.iter().all(Value::is_str))
            .map(|items| Value::from(items.clone())),
        Kind::Choice(words) => value.as_str().filter(|word| words.contains(word)).map(Value::from),
        Kind::FlagOr(words) => {
            let word = value.as_str().filter(|word| words.contains(word)).map(Value::from);
            value.as_bool().map(Value::from).or(word)
        }
        Kind::Keys => value
            .as_array()
            .filter(|keys| keys.iter().all(Value::is_table))
            .map(|_| value.clone()),
    };
    fitted.ok_or_else(|| expected(kind))
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text in quotes".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Integer(low, high) => format!("a whole number from {low} to {high}"),
        Kind::Seconds(low, high) => format!("seconds from {low} to {high}"),
        Kind::Size => "bytes as a number, or a size such as \"20GiB\"".to_owned(),
        Kind::List => "a list of texts".to_owned(),
        Kind::Choice(words) => words.join(", "),
        Kind::FlagOr(words) => format!("true, false, {}", words.join(", ")),
        Kind::Keys => "a list of { name, sha256 or key_file, scopes }".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse_toml(text).unwrap()
    }

    #[test]
    fn a_later_layer_wins_whatever_the_order_of_setting() {
        let mut values = Values::default();
        values
            .set("server.bind", &value("\"1\""), Origin::Flag, "--bind")
            .unwrap();
        values.set("server.bind", &value("\"2\""), Origin::File, "f").unwrap();
        values.fill_defaults();
        assert_eq!(values.get("server.bind"), Some(&value("\"1\"")));
        assert_eq!(values.get("log.level"), Some(&value("\"info\"")));
    }

    #[test]
    fn each_kind_takes_its_values_and_says_what_it_takes() {
        let good = [
            ("limits.max_json_bytes", "\"4MiB\""),
            ("limits.load_wait", "1.5"),
            ("limits.load_wait", "2"),
            ("models.x.deterministic", "\"auto\""),
            ("metrics.vllm_names", "false"),
        ];
        for (path, text) in good {
            Values::default().set(path, &value(text), Origin::File, "f").unwrap();
        }
        let bad = [
            ("limits.max_json_bytes", "\"4 megs\"", "20GiB"),
            ("limits.max_json_bytes", "0", "20GiB"),
            ("limits.load_wait", "0", "seconds from 1"),
            ("limits.load_wait", "nan", "seconds from 1"),
            ("limits.unknown_fields", "\"drop\"", "ignore, reject"),
            ("server.docs", "1", "true or false"),
            ("server.cors_origins", "[1]", "a list of texts"),
            ("auth.keys", "[\"ik_x\"]", "sha256"),
        ];
        for (path, text, expected) in bad {
            let error = Values::default()
                .set(path, &value(text), Origin::File, "f line 3")
                .unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().starts_with("f line 3: "), "{error}");
        }
    }

    #[test]
    fn what_is_not_in_this_version_is_refused_or_said_to_have_no_effect() {
        let mut values = Values::default();
        let error = values
            .set("metrics.public", &value("true"), Origin::File, "f")
            .unwrap_err();
        assert!(error.to_string().contains("not in this version"), "{error}");
        values
            .set("metrics.public", &value("false"), Origin::File, "f")
            .unwrap();
        values
            .set("metrics.vllm_names", &value("false"), Origin::Env, "E")
            .unwrap();
        assert_eq!(values.warnings().len(), 1);
    }
}
