//! What has to be shown: each public error by a test, each example by the README.

use std::path::Path;

use super::code::Source;

/// One way in which something can fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Type and variant, as code writes it.
    pub(crate) name: String,
    /// What [`code`](https://docs.rs/inferkit) tells of it, where the variant is one of the library's codes.
    spelling: Option<String>,
}

impl Variant {
    /// Whether a test constructs it or sees its spelling.
    pub(crate) fn is_in(&self, tests: &str) -> bool {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let is_named = tests.match_indices(&self.name).any(|(at, name)| {
            let (before, after) = (&tests[..at], &tests[at + name.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        });
        let is_spelled = |spelling: &String| tests.contains(&format!("\"{spelling}\""));
        is_named || self.spelling.as_ref().is_some_and(is_spelled)
    }
}

/// The variants of the public error types in a file: enums whose names end in `Error`, and sets of codes.
pub(crate) fn error_variants(path: &Path, text: &str) -> Vec<Variant> {
    let source = Source::new(path, text);
    let code = source.code.as_str();
    let mut found = Vec::new();
    for (at, head) in code.match_indices("pub enum ") {
        let (name, body) = named_body(&code[at + head.len()..]);
        if name.ends_with("Error") {
            found.extend(variants(body).into_iter().map(|variant| Variant {
                name: format!("{name}::{variant}"),
                spelling: None,
            }));
        }
    }
    for (at, head) in code.match_indices("\ncodes! {") {
        let (name, body) = named_body(&code[at + head.len()..]);
        found.extend(variants(body).into_iter().map(|variant| Variant {
            name: format!("{name}::{variant}"),
            spelling: spelling(text, variant),
        }));
    }
    found
}

/// The first word of `code`, and what stands in the braces behind it.
fn named_body(code: &str) -> (&str, &str) {
    let code = code.trim_start();
    let (name, rest) = code.split_once('{').unwrap_or((code, ""));
    let mut depth = 1_usize;
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (name.trim(), &rest[..at]);
        }
    }
    (name.trim(), rest)
}

/// The names of variants in the body of an enum: the first word of each item, behind its attributes.
fn variants(body: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut items = vec![0];
    for (at, letter) in body.char_indices() {
        match letter {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                // An attribute ends here, and the item begins behind it.
                if letter == ']' && depth == 0 {
                    items.pop();
                    items.push(at + 1);
                }
            }
            ',' if depth == 0 => items.push(at + 1),
            _ => {}
        }
    }
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let name = |start: usize| {
        let item = body[start..].trim_start();
        item.split(|letter| !is_word(letter)).next().unwrap_or_default()
    };
    items.into_iter().map(name).filter(|name| !name.is_empty()).collect()
}

/// `spelling` of the line `Variant = "spelling"`.
fn spelling(text: &str, variant: &str) -> Option<String> {
    let head = format!(" {variant} = \"");
    let (_, rest) = text.split_once(&head)?;
    rest.split_once('"').map(|(spelling, _)| spelling.to_owned())
}

/// What only tests see of a file that is not one of tests alone: its last part.
pub(crate) fn tests_of(text: &str) -> &str {
    text.split_once("\n#[cfg(test)]\nmod tests")
        .map_or("", |(_, tests)| tests)
}

mod tests {
    use super::*;

    #[test]
    fn variants_are_found_with_their_spelling_and_without_their_fields() {
        let text = "#[derive(Debug)]\npub enum BadError {\n /// Doc, with a comma.\n #[error(\"a, b {c}\")]\n One { a: u8, b: Vec<(u8, u8)> },\n \
                    Two(u8),\n Three,\n}\npub enum Other { Four }\n\ncodes! {\n /// Doc.\n Faults {\n /// Doc.\n Five = \"five_words\",\n }\n}\n";
        let found = error_variants(Path::new("a.rs"), text);
        let names: Vec<_> = found.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(
            names,
            ["BadError::One", "BadError::Two", "BadError::Three", "Faults::Five"]
        );
        let is_in = |number: usize, tests: &str| found[number].is_in(tests);
        assert!(is_in(0, "matches!(error, BadError::One { .. })"));
        assert!(!is_in(0, "BadError::OneMore") && !is_in(0, "VeryBadError::One"));
        assert!(is_in(3, "assert_eq!(error.code(), \"five_words\")") && is_in(3, "Faults::Five"));
        assert!(!is_in(3, "\"five_words_more\""));
    }

    #[test]
    fn tests_are_the_last_part_of_a_file() {
        assert_eq!(tests_of("fn a() {}\n\n#[cfg(test)]\nmod tests {\n b\n}"), " {\n b\n}");
        assert_eq!(tests_of("#[cfg(test)]\nuse a;\nfn b() {}"), "");
    }
}
