//! Prints values as Python's `str` and `repr` do.

use std::fmt::Write;

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::Output;
use minijinja::Value;
use minijinja::value::ValueKind;

/// Deepest value that is printed; [`super::super::conversation`] lets none deeper in.
const MAX_DEPTH: usize = 160;

/// What `{{ value }}` writes.
pub(super) fn print(output: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => output.write_str(text)?,
        None => output.write_str(&string(value)?)?,
    }
    Ok(())
}

/// The filter `string`: what `str(value)` gives; nothing for what is not defined.
pub(super) fn string(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    match value.as_str() {
        Some(plain) => text.push_str(plain),
        None if value.is_undefined() => {}
        None => represent(&mut text, value, MAX_DEPTH)?,
    }
    Ok(text)
}

/// What `repr(value)` gives.
fn represent(text: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth == 0 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a value is nested too deeply to be printed",
        ));
    }
    match value.kind() {
        ValueKind::None => text.push_str("None"),
        ValueKind::Bool => text.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => number(text, value),
        ValueKind::String => quoted(text, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            text.push('[');
            for (at, item) in value.try_iter()?.enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                represent(text, &item, depth - 1)?;
            }
            text.push(']');
        }
        ValueKind::Map => {
            text.push('{');
            for (at, key) in value.try_iter()?.enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                represent(text, &key, depth - 1)?;
                text.push_str(": ");
                represent(text, &value.get_item(&key)?, depth - 1)?;
            }
            text.push('}');
        }
        _ => {
            let _ = write!(text, "{value}");
        }
    }
    Ok(())
}

/// A number as Python prints it: floats shortest, with an exponent outside 1e-4..1e16.
pub(super) fn number(text: &mut String, value: &Value) {
    let printed = match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => format!("{float:?}"),
        _ => value.to_string(),
    };
    match printed.split_once('e') {
        // Rust writes 1e20 and 1e-7, Python 1e+20 and 1e-07.
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |digits| ('-', digits));
            let _ = write!(text, "{mantissa}e{sign}{digits:0>2}");
        }
        None => text.push_str(&printed),
    }
}

/// A string in quotes: single ones, unless it holds those and no double ones.
fn quoted(text: &mut String, value: &str) {
    let quote = if value.contains('\'') && !value.contains('"') {
        '"'
    } else {
        '\''
    };
    text.push(quote);
    for character in value.chars() {
        match character {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            _ if character == quote => {
                text.push('\\');
                text.push(quote);
            }
            '\0'..='\x1F' | '\x7F' => {
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push(quote);
}
