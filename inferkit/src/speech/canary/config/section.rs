//! Typed access to a configuration's tree, with the path of each key at hand for messages.

use serde_json::Value;

use crate::error::Error;
use crate::error::Result;

/// A mapping in a configuration; empty where the configuration has none.
#[derive(Debug, Clone)]
pub(in crate::speech::canary) struct Section<'a> {
    file: &'a str,
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Section<'a> {
    /// The whole of `file`; what stands under a key `model` at the top, where there is one.
    pub(in crate::speech::canary) fn root(file: &'a str, value: &'a Value) -> Self {
        Self {
            file,
            path: String::new(),
            value: Some(value.get("model").filter(|inner| inner.is_object()).unwrap_or(value)),
        }
    }

    /// The mapping `key` of this one.
    pub(in crate::speech::canary) fn section(&self, key: &str) -> Self {
        Self {
            file: self.file,
            path: self.path_of(key),
            value: self.value(key),
        }
    }

    /// What stands at `key`; `None` also for nulls and for `${…}`, whose meaning went with the training script.
    pub(in crate::speech::canary) fn value(&self, key: &str) -> Option<&'a Value> {
        let is_open = |value: &Value| value.as_str().is_some_and(|text| text.contains("${"));
        self.value?.get(key).filter(|value| !value.is_null() && !is_open(value))
    }

    /// A text.
    pub(in crate::speech::canary) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(Value::as_str)
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// [`Error::BadModel`] for anything else that stands there.
    pub(in crate::speech::canary) fn count(&self, key: &str) -> Result<Option<usize>> {
        let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        self.value(key)
            .map(|value| number(value).ok_or_else(|| self.wrong(key, value, "a whole number")))
            .transpose()
    }

    /// A whole number that may be negative.
    ///
    /// # Errors
    /// [`Error::BadModel`] for anything else that stands there.
    pub(in crate::speech::canary) fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.value(key)
            .map(|value| value.as_i64().ok_or_else(|| self.wrong(key, value, "a whole number")))
            .transpose()
    }

    /// A number; YAML 1.1 leaves `1e-5` a text, which is read all the same.
    ///
    /// # Errors
    /// [`Error::BadModel`] for anything else that stands there.
    pub(in crate::speech::canary) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        self.value(key)
            .map(|value| {
                number(value)
                    .filter(|number| number.is_finite())
                    .ok_or_else(|| self.wrong(key, value, "a number"))
            })
            .transpose()
    }

    /// A yes or no.
    ///
    /// # Errors
    /// [`Error::BadModel`] for anything else that stands there.
    pub(in crate::speech::canary) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.value(key)
            .map(|value| value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false")))
            .transpose()
    }

    /// Fails if `key` is there with another text than `only`.
    ///
    /// # Errors
    /// [`Error::BadModel`] of the kind `unsupported_model`.
    pub(in crate::speech::canary) fn expect_text(&self, key: &str, only: &str) -> Result<()> {
        match self.value(key) {
            Some(value) if value.as_str() != Some(only) => Err(self.unsupported(key, only)),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails if `key` is there with another yes or no than `only`.
    ///
    /// # Errors
    /// [`Error::BadModel`], of the kind `unsupported_model` for the other one.
    pub(in crate::speech::canary) fn expect_flag(&self, key: &str, only: bool) -> Result<()> {
        match self.flag(key)? {
            Some(flag) if flag != only => Err(self.unsupported(key, if only { "true" } else { "false" })),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails if `key` states another size than the tensors have.
    ///
    /// # Errors
    /// [`Error::BadModel`] with both sizes.
    pub(in crate::speech::canary) fn expect_size(&self, key: &str, of_tensors: usize) -> Result<()> {
        match self.count(key)? {
            Some(stated) if stated != of_tensors => Err(Error::bad_model(format!(
                "{}: {} is {stated} and the tensors have {of_tensors}; the two belong to different models",
                self.file,
                self.path_of(key)
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// What is said of a choice that this library does not compute.
    pub(in crate::speech::canary) fn unsupported(&self, key: &str, supported: &str) -> Error {
        let found = self.value(key).map(shown).unwrap_or_default();
        Error::unsupported_model(format!(
            "{}: {} is {found}, and only {supported} is supported; choose another model",
            self.file,
            self.path_of(key)
        ))
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        Error::bad_model(format!(
            "{}: {} is {}, where {expected} belongs; download the model again",
            self.file,
            self.path_of(key),
            shown(value)
        ))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// A value as a message shows it: its first letters.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_null_or_was_never_filled_in_is_missing() {
        let tree = json!({"encoder": {"d_model": "${model.width}", "n_heads": null, "n_layers": 4}});
        let encoder = Section::root("c.yaml", &tree).section("encoder");
        assert_eq!(encoder.count("d_model").unwrap(), None);
        assert_eq!(encoder.count("n_heads").unwrap(), None);
        assert_eq!(encoder.count("n_layers").unwrap(), Some(4));
        assert_eq!(encoder.section("nothing").text("here"), None);
    }

    #[test]
    fn a_model_key_at_the_top_is_the_root() {
        let tree = json!({"model": {"sample_rate": 8000}, "trainer": {}});
        assert_eq!(Section::root("c.yaml", &tree).count("sample_rate").unwrap(), Some(8000));
    }

    #[test]
    fn messages_name_file_key_and_what_stands_there() {
        let tree = json!({"encoder": {"n_layers": "many", "subsampling": "vggnet", "feat_in": 80, "x": -1, "f": 2}});
        let encoder = Section::root("c.yaml", &tree).section("encoder");
        for (error, text) in [
            (
                encoder.count("n_layers").unwrap_err(),
                "c.yaml: encoder.n_layers is \"many\"",
            ),
            (encoder.count("x").unwrap_err(), "a whole number belongs"),
            (encoder.flag("f").unwrap_err(), "true or false belongs"),
            (encoder.number("subsampling").unwrap_err(), "a number belongs"),
            (
                encoder.expect_text("subsampling", "dw_striding").unwrap_err(),
                "only dw_striding",
            ),
            (
                encoder.expect_size("feat_in", 128).unwrap_err(),
                "is 80 and the tensors have 128",
            ),
        ] {
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(encoder.integer("x").unwrap(), Some(-1));
    }

    #[test]
    fn a_number_written_as_a_text_is_read() {
        let tree = json!({"dither": "1e-5"});
        assert_eq!(Section::root("c.yaml", &tree).number("dither").unwrap(), Some(1e-5));
    }
}
