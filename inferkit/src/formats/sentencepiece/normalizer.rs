//! What text goes through before it is cut.
//!
//! Source: `src/normalizer.cc`, `Normalizer::Normalize` and `NormalizePrefix`.

use super::model::Model;
use super::prefixes::Prefixes;

/// The mark that stands for a space.
pub(super) const SPACE: &str = "\u{2581}";

/// Normalises `text` as `model` says; user-defined pieces stay as they are.
pub(super) fn normalize(model: &Model, user_defined: &Prefixes, text: &str) -> String {
    let mut rest = text;
    if model.remove_extra_whitespaces {
        while let Some((" ", after)) = step(model, user_defined, rest) {
            rest = after;
        }
    }
    if rest.is_empty() {
        return String::new();
    }
    let space = if model.escape_whitespaces { SPACE } else { " " };
    let mut normalized = String::with_capacity(text.len().saturating_add(SPACE.len()));
    if model.add_dummy_prefix {
        normalized.push_str(space);
    }
    let mut after_space = model.remove_extra_whitespaces;
    while let Some((part, after)) = step(model, user_defined, rest) {
        rest = after;
        let part = if after_space {
            part.trim_start_matches(' ')
        } else {
            part
        };
        for letter in part.chars() {
            if letter == ' ' {
                normalized.push_str(space);
            } else {
                normalized.push(letter);
            }
        }
        if model.remove_extra_whitespaces && !part.is_empty() {
            after_space = part.ends_with(' ');
        }
    }
    if model.remove_extra_whitespaces {
        normalized.truncate(normalized.trim_end_matches(space).len());
    }
    normalized
}

/// What the start of `text` becomes, and what follows it; `None` at the end.
fn step<'a>(model: &'a Model, user_defined: &Prefixes, text: &'a str) -> Option<(&'a str, &'a str)> {
    let first = text.chars().next()?;
    if let Some((length, _)) = user_defined.longest_of(text.as_bytes()) {
        return text.split_at_checked(length);
    }
    let replaced = model
        .charsmap
        .as_ref()
        .and_then(|charsmap| charsmap.longest_match(text));
    // A match that ends within a character is none: the table is broken.
    let replaced = replaced.and_then(|(length, replacement)| Some((replacement, text.get(length..)?)));
    replaced.or_else(|| text.split_at_checked(first.len_utf8()))
}
