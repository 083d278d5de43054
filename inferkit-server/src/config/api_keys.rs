//! API keys: from the configuration as digests or files, from the environment in the clear.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Table;
use toml::Value;

use crate::config::ConfigError;
use crate::error::shown;
use crate::middleware::Key;
use crate::routes::Scope;

/// Variables that hold a key or the path of a file with one.
const FROM_ENVIRONMENT: [(&str, &str, Scope); 2] = [
    ("INFERKIT_API_KEY", "INFERKIT_API_KEY_FILE", Scope::Inference),
    ("INFERKIT_ADMIN_KEY", "INFERKIT_ADMIN_KEY_FILE", Scope::Admin),
];

/// All keys.
pub(crate) fn read(configured: Option<&Value>, env: &BTreeMap<String, String>) -> Result<Vec<Key>, ConfigError> {
    let mut keys = Vec::new();
    let entries = configured
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for (place, entry) in entries.iter().filter_map(Value::as_table).enumerate() {
        keys.push(key(entry).map_err(|(field, expected)| wrong(&format!("auth.keys[{place}].{field}"), &expected))?);
    }
    for (variable, file_variable, scope) in FROM_ENVIRONMENT {
        if let Some(secret) = env.get(variable) {
            let secret = plain(secret).ok_or_else(|| wrong(variable, "8 to 256 visible characters"))?;
            keys.push(Key::from_secret(variable, secret, scope));
        }
        if let Some(path) = env.get(file_variable) {
            let secret = read_secret(Path::new(path)).map_err(|expected| wrong(file_variable, &expected))?;
            keys.push(Key::from_secret(file_variable, &secret, scope));
        }
    }
    Ok(keys)
}

/// One entry; the error is the field and what it should be.
fn key(entry: &Table) -> Result<Key, (String, String)> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let wrong = |field: &str, expected: &str| (field.to_owned(), expected.to_owned());
    if let Some(unknown) = entry
        .keys()
        .find(|name| !["name", "sha256", "key_file", "scopes"].contains(&name.as_str()))
    {
        return Err((shown(unknown), "one of name, sha256, key_file, scopes".to_owned()));
    }
    let name = text("name").filter(|name| (1..=64).contains(&name.len()) && !name.chars().any(char::is_control));
    let name = name
        .ok_or_else(|| wrong("name", "a name of at most 64 characters, for the log"))?
        .to_owned();
    let scopes = entry
        .get("scopes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let scopes: Option<Vec<Scope>> = scopes
        .iter()
        .map(|scope| scope.as_str().and_then(parse_scope))
        .collect();
    let scopes = scopes.filter(|scopes| !scopes.is_empty());
    let scopes = scopes.ok_or_else(|| wrong("scopes", "a list of inference, admin, metrics"))?;
    match (text("sha256"), text("key_file")) {
        (Some(digest), None) => {
            let digest = parse_digest(digest).ok_or_else(|| wrong("sha256", "64 hex digits, as `token new` prints"))?;
            Ok(Key { name, digest, scopes })
        }
        (None, Some(path)) => {
            let secret = read_secret(Path::new(path)).map_err(|expected| ("key_file".to_owned(), expected))?;
            Ok(Key {
                scopes,
                ..Key::from_secret(name, &secret, Scope::Inference)
            })
        }
        _ => Err(wrong("sha256", "one of sha256 or key_file")),
    }
}

fn wrong(place: &str, expected: &str) -> ConfigError {
    ConfigError::Combination(format!("{place} does not fit; give {expected}"))
}

fn parse_scope(word: &str) -> Option<Scope> {
    [Scope::Inference, Scope::Admin, Scope::Metrics]
        .into_iter()
        .find(|scope| scope.as_str() == word)
}

fn parse_digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

fn plain(secret: &str) -> Option<&str> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    ((8..=256).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic())).then_some(secret)
}

fn read_secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("a file that can be read ({error})"))?;
    plain(&text)
        .map(str::to_owned)
        .ok_or_else(|| "a file that holds one key of 8 to 256 visible characters".to_owned())
}
