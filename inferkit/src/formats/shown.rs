//! How text from a file appears in a message: quoted, on one line, and short.

use std::path::Path;

/// Characters of a hostile text that a message repeats.
const LONGEST: usize = 120;

/// `text` in quotes with control characters escaped, cut after [`LONGEST`] characters.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        format!("{cut:?}...")
    } else {
        format!("{cut:?}")
    }
}

/// `text` cut after [`LONGEST`] characters; for the messages of other crates, which quote what they read.
pub(super) fn shortened(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        format!("{cut}...")
    } else {
        cut
    }
}

/// The last part of `path`: messages go to people who know the model and not the machine's folders.
/// Cut and escaped, since an index may name any file.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    shortened(&name).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_unprintable_text_becomes_one_short_line() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert!(quoted(&"x".repeat(1 << 20)).len() < 200);
        assert!(shortened(&"é".repeat(1 << 20)).len() < 300);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn only_the_last_part_of_a_path_is_named() {
        assert_eq!(file_name(Path::new("/srv/models/a.gguf")), "a.gguf");
        assert_eq!(file_name(Path::new("/")), "/");
    }
}
