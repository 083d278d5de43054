//! The effective configuration for people and programs, without its secrets.

use serde_json::Map;
use serde_json::json;
use toml::Table;
use toml::Value;

use crate::config::Config;
use crate::config::keys::Effect;
use crate::config::keys::KEYS;

const MASK: &str = "***";

/// `{files, values, origins}` as `GET /api/admin/config` gives it.
pub fn effective_json(config: &Config) -> serde_json::Value {
    let mut table = config.values.to_table();
    mask(&mut table);
    let values = serde_json::to_value(&table).unwrap_or_default();
    let origins: Map<String, serde_json::Value> = config
        .values
        .iter()
        .map(|(path, _, origin)| (path.to_owned(), origin.as_str().into()))
        .collect();
    let files: Vec<String> = config.files.iter().map(|path| path.display().to_string()).collect();
    json!({ "files": files, "values": values, "origins": origins })
}

/// One line a key, with its origin behind it; itself a valid file.
pub fn effective_toml(config: &Config) -> String {
    let mut table = config.values.to_table();
    mask(&mut table);
    let mut lines = Vec::new();
    let mut section = String::new();
    for (path, value, origin) in config.values.iter() {
        let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
        if above != section {
            above.clone_into(&mut section);
            lines.extend([String::new(), format!("[{section}]")]);
        }
        let shown = lookup(&table, path).unwrap_or(value);
        lines.push(format!("{name} = {shown} # {}", origin.as_str()));
    }
    finish(&lines)
}

/// A commented file of all defaults.
pub fn template() -> String {
    let mut lines = vec![
        "# Every key of inferkit-server with its default. Times in seconds, sizes as 4096 or \"20GiB\".".to_owned(),
    ];
    let mut section = "";
    for key in KEYS {
        let (above, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if above != section {
            section = above;
            lines.extend([String::new(), format!("[{}]", section.replace('*', "qwen"))]);
        }
        let note = match key.effect {
            Effect::Honoured => String::new(),
            Effect::Inert(reason) | Effect::Fixed(reason) => format!(" ({reason})"),
        };
        lines.push(match key.default {
            Some(default) => format!("{name} = {default} # {}{note}", key.about),
            None => format!("# {name} = … # {}{note}", key.about),
        });
    }
    finish(&lines)
}

fn finish(lines: &[String]) -> String {
    format!("{}\n", lines.join("\n").trim_start())
}

fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = table.get(first)?;
    if rest.is_empty() {
        Some(value)
    } else {
        lookup(value.as_table()?, rest)
    }
}

/// Hides digests, key files, and passwords inside addresses.
fn mask(table: &mut Table) {
    let keys = table
        .get_mut("auth")
        .and_then(Value::as_table_mut)
        .and_then(|auth| auth.get_mut("keys"));
    for key in keys
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table_mut)
    {
        for secret in ["sha256", "key_file"] {
            if let Some(value) = key.get_mut(secret) {
                *value = Value::from(MASK);
            }
        }
    }
    let endpoint = table
        .get_mut("storage")
        .and_then(Value::as_table_mut)
        .and_then(|all| all.get_mut("hub_endpoint"));
    if let Some(endpoint) = endpoint
        && let Some((scheme, rest)) = endpoint.as_str().and_then(|text| text.split_once("://"))
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        *endpoint = Value::from(format!("{scheme}://{MASK}@{host}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::config::load;

    fn read(file: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inferkit.toml");
        std::fs::write(&path, file).unwrap();
        load(&Sources {
            named_file: Some(path),
            ..Sources::default()
        })
        .unwrap()
    }

    #[test]
    fn the_template_is_read_back_as_the_defaults() {
        let (template, defaults) = (read(&template()), load(&Sources::default()).unwrap());
        assert_eq!(template.values.to_table(), defaults.values.to_table());
    }

    #[test]
    fn secrets_are_masked_wherever_values_are_shown() {
        let digest = "ab".repeat(32);
        let file = format!(
            "[auth]\nkeys = [{{ name = \"a\", sha256 = \"{digest}\", scopes = [\"admin\"] }}]\n\
             [storage]\nhub_endpoint = \"https://user:secret@mirror.example/hub\"\n"
        );
        let config = read(&file);
        for text in [effective_json(&config).to_string(), effective_toml(&config)] {
            assert!(text.contains("***") && text.contains("mirror.example/hub"), "{text}");
            assert!(!text.contains(&digest) && !text.contains("secret"), "{text}");
        }
        assert_eq!(effective_json(&config)["origins"]["auth.keys"], "file");
        assert_eq!(
            effective_json(&config)["values"]["models"]["qwen"]["source"],
            "Qwen/Qwen3-8B"
        );
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let config = read("[limits]\nload_wait = 7\n");
        assert_eq!(read(&effective_toml(&config)).limits, config.limits);
    }
}
