//! The filter `tojson` as the reference has it: Python's `json.dumps`, nothing escaped for HTML.

use std::fmt::Write;

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::Value;
use minijinja::value::Kwargs;
use minijinja::value::ValueKind;

use super::python;

/// Deepest value that is written.
const MAX_DEPTH: usize = 160;
/// Widest indentation; Python has no bound, templates use 2 and 4.
const MAX_INDENT: usize = 32;

/// How `json.dumps` is asked to write.
struct Style {
    indent: Option<usize>,
    ascii: bool,
    sorted: bool,
    item_separator: String,
    key_separator: String,
}

/// `value | tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the trait of filters takes its options by value"
)]
pub(super) fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let indent = match indent {
        None => options.get::<Option<Value>>("indent")?,
        given => given,
    };
    let indent = indent
        .filter(|indent| !indent.is_none())
        .map(usize::try_from)
        .transpose()?;
    let mut separators = [if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()];
    if let Some(given) = options
        .get::<Option<Value>>("separators")?
        .filter(|given| !given.is_none())
    {
        for (separator, given) in separators.iter_mut().zip(given.try_iter()?) {
            *separator = given.to_string();
        }
    }
    let [item_separator, key_separator] = separators;
    let style = Style {
        indent: indent.map(|indent| indent.min(MAX_INDENT)),
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        item_separator,
        key_separator,
    };
    options.assert_all_used()?;
    let mut text = String::new();
    style.write(&mut text, value, 0)?;
    Ok(text)
}

impl Style {
    fn write(&self, text: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "a value is nested too deeply for JSON",
            ));
        }
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => python::number(text, value),
            ValueKind::String => self.string(text, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                text.push('[');
                let mut written = false;
                for item in value.try_iter()? {
                    self.separate(text, written, depth + 1);
                    self.write(text, &item, depth + 1)?;
                    written = true;
                }
                self.close(text, written, depth, ']');
            }
            ValueKind::Map => self.map(text, value, depth)?,
            _ => {
                let kind = value.kind();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("an {kind} value cannot be written as JSON"),
                ));
            }
        }
        Ok(())
    }

    fn map(&self, text: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sorted {
            keys.sort();
        }
        text.push('{');
        for (at, key) in keys.iter().enumerate() {
            self.separate(text, at > 0, depth + 1);
            match key.as_str() {
                Some(key) => self.string(text, key),
                None => self.string(text, &key.to_string()),
            }
            text.push_str(&self.key_separator);
            self.write(text, &value.get_item(key)?, depth + 1)?;
        }
        self.close(text, !keys.is_empty(), depth, '}');
        Ok(())
    }

    fn separate(&self, text: &mut String, is_later: bool, depth: usize) {
        if is_later {
            text.push_str(&self.item_separator);
        }
        self.line(text, depth);
    }

    fn close(&self, text: &mut String, is_filled: bool, depth: usize, bracket: char) {
        if is_filled {
            self.line(text, depth);
        }
        text.push(bracket);
    }

    fn line(&self, text: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn string(&self, text: &mut String, value: &str) {
        text.push('"');
        for character in value.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{C}' => text.push_str("\\f"),
                '\0'..='\x1F' => escape(text, character),
                // Private characters pass: one of them may be a guard's mark, which has to stay whole.
                _ if self.ascii && !character.is_ascii() && !crate::chat::text::guard::is_candidate(character) => {
                    escape(text, character);
                }
                _ => text.push(character),
            }
        }
        text.push('"');
    }
}

fn escape(text: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(text, "\\u{unit:04x}");
    }
}
