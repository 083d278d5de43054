//! What is wrong with a body, found while it is turned into a type.

use std::fmt;

use serde::de::Expected;
use serde::de::Unexpected;

use crate::error::ApiError;
use crate::error::shown;

/// What is wrong with a body, and in which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The field, innermost first; [`Fault::path`] puts it in order.
    segments: Vec<Segment>,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Field(String),
    Index(usize),
}

impl Fault {
    /// Text that is not JSON.
    pub(crate) fn json(message: impl Into<String>) -> Self {
        Self {
            code: "invalid_json",
            message: message.into(),
            segments: Vec::new(),
        }
    }

    fn new(code: &'static str, message: String) -> Self {
        Self {
            code,
            message,
            segments: Vec::new(),
        }
    }

    /// The same fault seen from one level further out.
    pub(crate) fn within(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// The field at fault, such as `messages[2].content`; `None` for the body as a whole.
    pub(crate) fn path(&self) -> Option<String> {
        (!self.segments.is_empty()).then(|| join(self.segments.iter().rev()))
    }
}

/// Writes steps as a path.
pub(crate) fn join<'a>(segments: impl Iterator<Item = &'a Segment>) -> String {
    let mut path = String::new();
    for segment in segments {
        match segment {
            Segment::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&shown(name));
            }
            Segment::Index(index) => path.extend(["[", &index.to_string(), "]"]),
        }
    }
    path
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let path = fault.path();
        let message = match &path {
            Some(path) => format!("{path}: {}", fault.message),
            None => fault.message,
        };
        let error = Self::new(fault.code, message);
        match path {
            Some(path) => error.with_param(path),
            None => error,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("invalid_value", message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            "invalid_type",
            format!("expected {}, found {}", in_words(expected), shown(&found.to_string())),
        )
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            "invalid_value",
            format!("expected {}, found {}", in_words(expected), shown(&found.to_string())),
        )
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(
            "invalid_value",
            format!("expected {}, found {length} items", in_words(expected)),
        )
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(
            "invalid_value",
            format!("\"{}\" is not one of {}", shown(variant), expected.join(", ")),
        )
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        let fault = Self::new("unknown_parameter", "there is no such field".to_owned());
        fault.within(Segment::Field(field.to_owned()))
    }

    fn missing_field(field: &'static str) -> Self {
        let fault = Self::new("missing_required_parameter", "this field is required".to_owned());
        fault.within(Segment::Field(field.to_owned()))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("invalid_json", "this field is given twice".to_owned()).within(Segment::Field(field.to_owned()))
    }
}

/// What was expected, in the words of JSON: serde names number types as Rust does.
fn in_words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        words => words.to_owned(),
    }
}
