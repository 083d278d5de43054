//! Finds where a JSON object ends in a text that comes in pieces.

/// Follows strings, escapes and brackets; what it lets pass is checked when it is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ObjectEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl ObjectEnd {
    /// Takes the next text of an object; returns the length of the part of `text` that ends it.
    pub(super) fn push(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_end_an_object() {
        let text = r#"{"a": "}\"]", "b": [1, {"c": "\\"}]} tail"#;
        assert_eq!(ObjectEnd::default().push(text), Some(text.len() - 5));
    }

    #[test]
    fn a_cut_between_any_two_bytes_changes_nothing() {
        let text = r#"{"a": "}\"]", "b": [1, {"c": "\\"}]}"#;
        for at in 1..text.len() {
            let mut end = ObjectEnd::default();
            assert_eq!(end.push(&text[..at]), None, "at {at}");
            assert_eq!(end.push(&text[at..]), Some(text.len() - at), "at {at}");
        }
    }
}
