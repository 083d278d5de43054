//! A configuration file: its values with the lines they stand on.

use std::path::Path;

use toml::Spanned;
use toml::Value;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::config::ConfigError;
use crate::config::keys::find;
use crate::config::keys::hint;
use crate::config::keys::is_table;
use crate::config::values::Origin;
use crate::config::values::Values;
use crate::error::shown;

/// Reads the text of a file into `values`.
///
/// # Errors
/// With file and line, for text that is not TOML, unknown keys and values that do not fit.
pub(crate) fn read(path: &Path, text: &str, values: &mut Values) -> Result<(), ConfigError> {
    let file = File {
        name: path.display().to_string(),
        text,
    };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: file.place(error.span().map_or(0, |span| span.start)),
        message: error.message().replace('\n', "; "),
    })?;
    let plain: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        place: file.place(error.span().map_or(0, |span| span.start)),
        message: error.message().replace('\n', "; "),
    })?;
    file.walk(table.get_ref(), &plain, "", values)
}

struct File<'a> {
    name: String,
    text: &'a str,
}

impl File<'_> {
    /// The same table twice: with places, and with plain values.
    fn walk(
        &self,
        placed: &DeTable<'_>,
        plain: &toml::Table,
        above: &str,
        values: &mut Values,
    ) -> Result<(), ConfigError> {
        for (name, value) in placed {
            let path = if above.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{above}.{}", name.get_ref())
            };
            let place = self.place(name.span().start);
            let Some(plain) = plain.get(name.get_ref().as_ref()) else {
                continue;
            };
            let is_safe = !name.get_ref().is_empty() && !name.get_ref().contains('.');
            match (value.get_ref(), plain) {
                (DeValue::Table(inner), Value::Table(plain)) if is_safe && is_table(&path) => {
                    self.walk(inner, plain, &path, values)?;
                }
                (_, plain) if is_safe && is_table(&path) => {
                    return Err(ConfigError::Value {
                        place,
                        found: shown(&plain.to_string()),
                        expected: format!("a table, which begins with [{}]", shown(&path)),
                        key: shown(&path),
                    });
                }
                _ if !is_safe || find(&path).is_none() => {
                    return Err(ConfigError::UnknownKey {
                        place,
                        key: shown(&path),
                        hint: hint(&path),
                    });
                }
                _ => values.set(&path, plain, Origin::File, &self.line_of(value))?,
            }
        }
        Ok(())
    }

    fn line_of(&self, value: &Spanned<DeValue<'_>>) -> String {
        self.place(value.span().start)
    }

    fn place(&self, offset: usize) -> String {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        format!("{} line {line}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(Path::new("inferkit.toml"), text, &mut Values::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_file_is_read_into_paths() {
        let mut values = Values::default();
        let text = "[server]\nbind = \"0.0.0.0:1\"\n[models.my-model]\nfamily = \"qwen\"\nsource = \"a/b\"\n";
        read(Path::new("f"), text, &mut values).unwrap();
        assert_eq!(
            values.get("models.my-model.source").and_then(Value::as_str),
            Some("a/b")
        );
        assert_eq!(values.models(), ["my-model"]);
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_name() {
        let text = "[server]\n\nbnid = \"x\"\n";
        assert_eq!(
            error(text),
            "inferkit.toml line 3: there is no key server.bnid; the nearest is bind"
        );
        assert!(error("[serve]\nbind = \"x\"\n").starts_with("inferkit.toml line 1: there is no key serve;"));
        assert!(error("\"a\\nb\" = 1\n").contains("there is no key a b;"));
        assert!(error("\"server.bind\" = \"x\"\n").contains("there is no key"));
    }

    #[test]
    fn what_is_no_table_where_one_belongs_is_told_how_to_begin_it() {
        assert_eq!(
            error("[models]\nqwen = 3\n"),
            "inferkit.toml line 2: models.qwen is 3; give a table, which begins with [models.qwen]"
        );
        assert!(error("[[models]]\nfamily = \"qwen\"\n").ends_with("give a table, which begins with [models]"));
        assert!(error("server = \"x\"\n").ends_with("server is \"x\"; give a table, which begins with [server]"));
    }

    #[test]
    fn a_wrong_value_and_broken_toml_are_told_with_their_line() {
        assert!(error("[server]\ndocs = \"yes\"\n").starts_with("inferkit.toml line 2: server.docs is \"yes\";"));
        assert!(error("[server]\nbind = \n").starts_with("inferkit.toml line 2: "));
        assert!(error("[log]\nlevel = \"a\"\nlevel = \"b\"\n").starts_with("inferkit.toml line 3: "));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_in_one_line(
            text in "(\\[?(server|models|limits)?\\.?[a-z_]{0,6}\\]?( = )?(\"[^\"]{0,6}\"|[0-9.]{0,4}|\\[|\\{)?\n){0,6}",
        ) {
            if let Err(error) = read(Path::new("f"), &text, &mut Values::default()) {
                let error = error.to_string();
                proptest::prop_assert!(error.starts_with("f line ") && !error.contains('\n'), "{}", error);
            }
        }

        #[test]
        fn any_key_and_value_is_taken_or_refused(name in "[a-z_.*-]{0,12}", value in ".{0,12}") {
            let mut values = Values::default();
            let path = format!("server.{name}");
            if values.set(&path, &Value::from(value), Origin::Env, "E").is_err() {
                proptest::prop_assert!(values.get(&path).is_none());
            }
        }
    }
}
