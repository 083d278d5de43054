//! The text fields of a form, taken one by one by their types; what is left over is unknown.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::ApiError;
use crate::error::shown;

/// Fields by name, as they came. An empty value is the same as none: pages send what was left blank.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds a field.
    pub(crate) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// `invalid_value` when it is there twice.
    pub fn take(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut values = self.take_all(name);
        if values.len() > 1 {
            return Err(ApiError::invalid_value(
                name,
                format!("{name} is there twice; send it once"),
            ));
        }
        Ok(values.pop())
    }

    /// All values of `name`, written as `name` or `name[]`.
    pub fn take_all(&mut self, name: &str) -> Vec<String> {
        let taken = self
            .0
            .extract_if(.., |(key, _)| key.strip_suffix("[]").unwrap_or(key) == name);
        taken
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Takes every field of the form `name[key]`, and says whether there were any.
    pub fn take_nested(&mut self, name: &str) -> bool {
        let is_nested = |key: &str| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('[') && rest != "[]")
        };
        let taken = self.0.extract_if(.., |(key, _)| is_nested(key));
        taken.count() > 0
    }

    /// `true`, `false`, `1` or `0`.
    ///
    /// # Errors
    /// `invalid_type` for anything else.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        self.take(name)?
            .map(|value| match value.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(wrong_type(name, &value, "true or false")),
            })
            .transpose()
    }

    /// A number within `range`.
    ///
    /// # Errors
    /// `invalid_type` for what is no number, `invalid_value` outside of the range.
    pub fn number<N>(&mut self, name: &'static str, range: RangeInclusive<N>) -> Result<Option<N>, ApiError>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let number: N = value.trim().parse().map_err(|_| wrong_type(name, &value, "a number"))?;
        if !range.contains(&number) {
            let message = format!("{name} is {}; give {} to {}", shown(&value), range.start(), range.end());
            return Err(ApiError::invalid_value(name, message));
        }
        Ok(Some(number))
    }

    /// One of `words`.
    ///
    /// # Errors
    /// `invalid_value` for another, with the list.
    pub fn one_of<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == value);
        found
            .map(|(_, meaning)| Some(*meaning))
            .ok_or_else(|| not_one_of(name, &value, words))
    }

    /// The names of what nobody took.
    pub fn unknown(self) -> Vec<String> {
        self.0.into_iter().map(|(name, _)| name).collect()
    }
}

/// A value that is none of `words`.
pub(crate) fn not_one_of<T>(name: &str, value: &str, words: &[(&str, T)]) -> ApiError {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("{name} is {}; give {}", shown(value), words.join(", "));
    ApiError::invalid_value(name, message)
}

fn wrong_type(name: &str, value: &str, wanted: &str) -> ApiError {
    let message = format!("{name} is {}; give {wanted}", shown(value));
    ApiError::new("invalid_type", message).with_param(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push((*name).to_owned(), (*value).to_owned());
        }
        fields
    }

    #[test]
    fn lists_come_with_and_without_brackets() {
        let mut fields = fields(&[("g[]", "word"), ("x", "1"), ("g", "segment"), ("g[]", "")]);
        assert_eq!(fields.take_all("g"), ["word", "segment"]);
        assert_eq!(fields.unknown(), ["x"]);
    }

    #[test]
    fn an_empty_field_is_none_and_a_double_one_an_error() {
        let mut fields = fields(&[("a", ""), ("b", "1"), ("b", "2")]);
        assert_eq!(fields.take("a").unwrap(), None);
        let error = fields.take("b").unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), ("invalid_value", Some("b")));
    }

    #[test]
    fn values_are_read_by_their_type_and_named_when_wrong() {
        let mut fields = fields(&[
            ("on", "TRUE"),
            ("off", "0"),
            ("odd", "yes"),
            ("n", "7"),
            ("big", "99"),
            ("t", "x"),
        ]);
        assert_eq!(
            (fields.flag("on").unwrap(), fields.flag("off").unwrap()),
            (Some(true), Some(false))
        );
        assert_eq!(fields.flag("odd").unwrap_err().code, "invalid_type");
        assert_eq!(fields.number("n", 1..=20).unwrap(), Some(7));
        let error = fields.number("big", 1..=20).unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            ("invalid_value", "big is 99; give 1 to 20")
        );
        assert_eq!(fields.number("t", 0.0..=1.0).unwrap_err().code, "invalid_type");
    }

    #[test]
    fn a_word_is_one_of_those_that_are_known() {
        let words = [("json", 1), ("text", 2)];
        assert_eq!(fields(&[("f", "text")]).one_of("f", &words).unwrap(), Some(2));
        let error = fields(&[("f", "xml")]).one_of("f", &words).unwrap_err();
        assert_eq!(error.message, "f is xml; give json, text");
    }

    #[test]
    fn nested_fields_are_taken_together() {
        let mut fields = fields(&[("c[type]", "server_vad"), ("c[x]", "1"), ("d", "2")]);
        assert!(fields.take_nested("c") && !fields.take_nested("c"));
        assert_eq!(fields.unknown(), ["d"]);
    }
}
