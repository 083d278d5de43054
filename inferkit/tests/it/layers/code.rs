//! Rust text without what is not code: comments, the insides of literals, and what only tests see.

use std::path::Path;
use std::path::PathBuf;

/// One file's code; blanked parts keep their line breaks, so that line numbers hold.
pub(crate) struct Source {
    /// Relative to the crate's `src/`.
    pub(crate) path: PathBuf,
    pub(crate) code: String,
    test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let (code, test_modules) = without_tests(&without_literals(text));
        Self {
            path: path.to_owned(),
            code,
            test_modules,
        }
    }

    /// The module this file is, from the crate's root.
    pub(crate) fn module(&self) -> Vec<String> {
        let mut parts: Vec<_> = self
            .path
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            parts.pop();
        }
        parts
    }

    /// The modules with files of their own that this file declares for tests only.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        self.test_modules
            .iter()
            .map(|name| self.module().into_iter().chain([name.clone()]).collect())
    }

    /// Whether this file is `module` or below it.
    pub(crate) fn is_in(&self, module: &[String]) -> bool {
        self.module().starts_with(module)
    }

    /// The number of the line that holds the byte `at`.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }
}

/// Blanks comments and the insides of strings and characters.
fn without_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept, blanked) = match first {
            '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (0, block_comment(rest)),
            '"' => (1, string(&rest[1..])),
            'r' if !ends_in_word(&code) || code.ends_with('b') => raw_string(rest),
            '\'' => character(rest),
            _ => (first.len_utf8(), 0),
        };
        code.push_str(&rest[..kept]);
        code.extend(
            rest[kept..kept + blanked]
                .chars()
                .map(|letter| if letter == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[kept + blanked..];
    }
    code
}

fn ends_in_word(code: &str) -> bool {
    code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

/// Length of the comment at the start of `text`; comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            match rest.chars().next() {
                Some(letter) => at += letter.len_utf8(),
                None => return at,
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Length of a string's inside; `text` begins behind its opening quote. The closing one reads as the
/// opening of an empty string, which does no harm, so it is blanked with the inside.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// What to keep and what to blank of a raw string, or of the letter `r`.
fn raw_string(text: &str) -> (usize, usize) {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = 1 + hashes;
    if !text[open..].starts_with('"') {
        return (1, 0);
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let inside = &text[open + 1..];
    (
        open + 1,
        inside.find(&close).map_or(inside.len(), |end| end + close.len()),
    )
}

/// What to keep and what to blank of a character, or of a lifetime's quote.
fn character(text: &str) -> (usize, usize) {
    let mut letters = text[1..].char_indices();
    let end = match letters.next() {
        Some((_, '\\')) => text[2..]
            .char_indices()
            .skip(1)
            .find(|(_, letter)| *letter == '\'')
            .map(|(at, _)| at + 3),
        Some(_) => letters
            .next()
            .filter(|(_, letter)| *letter == '\'')
            .map(|(at, _)| at + 2),
        None => None,
    };
    end.map_or((1, 0), |end| (1, end - 1))
}

/// Blanks items under `#[cfg(test)]`; names the modules with files of their own among them.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut kept, mut modules) = (String::with_capacity(code.len()), Vec::new());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        let end = item_end(item);
        kept.push_str(before);
        kept.extend(item[..end].chars().filter(|letter| *letter == '\n'));
        let words: Vec<_> = item[MARK.len()..end].trim_end_matches(';').split_whitespace().collect();
        if let [.., "mod", name] = words[..] {
            modules.push(name.to_owned());
        }
        rest = &item[end..];
    }
    kept.push_str(rest);
    (kept, modules)
}

/// Length of the item at the start of `code`: up to its `;`, or to the end of its braces.
fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new(Path::new("a/b.rs"), text)
            .code
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(
            code(r#"x("a\"b // c", 'd', '"', '\'', '\u{41}') + y"#),
            "x(\" , ' , ' , ' , ' ) + y"
        );
        assert_eq!(
            code("r#\"a\"b\"# + r\"c\" + for_r(\"d\") + br\"e\""),
            "r#\" + r\" + for_r(\" ) + br\""
        );
        assert_eq!(
            code("fn f<'a>(x: &'a str) -> &'a str"),
            "fn f<'a>(x: &'a str) -> &'a str"
        );
    }

    #[test]
    fn what_only_tests_see_is_no_production_code() {
        let text = "a\n#[cfg(test)]\nmod tests {\n fn b() { c }\n}\nd\n#[cfg(test)]\nuse e;\nf\n#[cfg(test)]\nmod fixtures;\ng";
        let source = Source::new(Path::new("room/mod.rs"), text);
        assert_eq!(source.code.split_whitespace().collect::<String>(), "adfg");
        assert_eq!(
            source.line(source.code.find('g').unwrap()),
            12,
            "lines keep their numbers"
        );
        let modules: Vec<_> = source.test_modules().map(|module| module.join("::")).collect();
        assert_eq!(modules, ["room::fixtures"]);
        assert!(Source::new(Path::new("room/fixtures/big.rs"), "").is_in(&["room".to_owned(), "fixtures".to_owned()]));
    }

    #[test]
    fn a_file_is_a_module() {
        for (path, module) in [("a/b.rs", "a::b"), ("a/mod.rs", "a"), ("lib.rs", "")] {
            assert_eq!(Source::new(Path::new(path), "").module().join("::"), module);
        }
    }
}
