//! The models that exist without a configuration file.

use std::path::Path;

use toml::Value;

use crate::config::ConfigError;
use crate::config::values::Origin;
use crate::config::values::Values;

/// Key and family, and the repository it comes from; `None` is there only when the demo script has put it there.
const BUILT_IN: [(&str, Option<&str>); 4] = [
    ("qwen", Some("Qwen/Qwen3-8B")),
    ("canary", Some("nvidia/canary-1b-v2")),
    ("whisper", None),
    ("pyannote", Some("pyannote/speaker-diarization-3.1")),
];

/// Adds the built-in models below every other layer: each from the demo folder if the demo script has
/// put a model there, else from its repository.
pub(crate) fn add(values: &mut Values, models_dir: &Path) -> Result<(), ConfigError> {
    for (key, repository) in BUILT_IN {
        let demo = models_dir.join("demo").join(key);
        let source = match repository {
            _ if demo.exists() => demo.display().to_string(),
            Some(repository) => repository.to_owned(),
            None => continue,
        };
        for (name, value) in [("family", key.to_owned()), ("source", source)] {
            values.set(
                &format!("models.{key}.{name}"),
                &Value::from(value),
                Origin::Default,
                "built in",
            )?;
        }
    }
    Ok(())
}
