//! Ends a text at the first stop string.

/// Looks for stop strings in a text that comes in pieces.
#[derive(Debug)]
pub(super) struct StopStrings {
    strings: Vec<String>,
    /// Whether the stop string is part of the text.
    keep: bool,
    held: String,
    found: bool,
}

impl StopStrings {
    /// Ends at any of `strings`; empty ones are ignored.
    pub(super) fn new(strings: &[String], keep: bool) -> Self {
        let strings = strings.iter().filter(|text| !text.is_empty()).cloned().collect();
        Self {
            strings,
            keep,
            held: String::new(),
            found: false,
        }
    }

    /// Takes more text; returns what certainly stands before a stop string.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.found {
            return String::new();
        }
        if self.strings.is_empty() {
            return text.to_owned();
        }
        self.held.push_str(text);
        if let Some((end, start)) = self.first() {
            self.found = true;
            let mut before = std::mem::take(&mut self.held);
            before.truncate(if self.keep { end } else { start });
            return before;
        }
        let open = self
            .strings
            .iter()
            .map(|string| overlap(&self.held, string))
            .max()
            .unwrap_or(0);
        let released = self.held.len() - open;
        self.held.drain(..released).collect()
    }

    /// Releases what was held back and looks at `text` no further.
    pub(super) fn pass(&mut self, text: &str) -> String {
        let mut released = self.finish();
        released.push_str(text);
        released
    }

    /// Ends the text: what could have become a stop string is text.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Whether a stop string has ended the text.
    pub(super) const fn found(&self) -> bool {
        self.found
    }

    /// End and start of the match that ends first, the longest of those that end there: the one that
    /// a reader of single characters meets, so that the result does not depend on the pieces.
    fn first(&self) -> Option<(usize, usize)> {
        let spans = self
            .strings
            .iter()
            .filter_map(|string| self.held.find(string).map(|at| (at + string.len(), at)));
        spans.min()
    }
}

/// Length in bytes of the longest end of `text` with which `pattern` begins, shorter than `pattern`.
pub(super) fn overlap(text: &str, pattern: &str) -> usize {
    let ends = pattern.char_indices().map(|(at, _)| at).skip(1).collect::<Vec<_>>();
    ends.into_iter()
        .rev()
        .find(|&len| pattern.get(..len).is_some_and(|head| text.ends_with(head)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pieces: &[&str], strings: &[&str], keep: bool) -> (String, bool) {
        let strings: Vec<String> = strings.iter().map(|&text| text.to_owned()).collect();
        let mut stop = StopStrings::new(&strings, keep);
        let mut text: String = pieces.iter().map(|piece| stop.push(piece)).collect();
        text.push_str(&stop.finish());
        (text, stop.found())
    }

    #[test]
    fn a_stop_string_across_pieces_is_cut_off() {
        assert_eq!(
            run(&["Hello E", "N", "D there"], &["END"], false),
            ("Hello ".to_owned(), true)
        );
        assert_eq!(
            run(&["Hello E", "N", "D there"], &["END"], true),
            ("Hello END".to_owned(), true)
        );
    }

    #[test]
    fn the_beginning_of_a_stop_string_at_the_end_is_text() {
        assert_eq!(run(&["an E", "N"], &["END"], false), ("an EN".to_owned(), false));
    }

    #[test]
    fn the_match_that_ends_first_wins() {
        assert_eq!(run(&["abcd"], &["cd", "bc"], false), ("a".to_owned(), true));
        assert_eq!(run(&["abcd"], &["abcd", "bc"], false), ("a".to_owned(), true));
        assert_eq!(run(&["abcd"], &["c", "abc"], false), (String::new(), true));
    }

    #[test]
    fn text_is_held_back_only_as_far_as_it_could_become_a_stop_string() {
        let mut stop = StopStrings::new(&["\n\n".to_owned(), "é!".to_owned()], false);
        assert_eq!(
            [stop.push("a\n"), stop.push("b é"), stop.push("x")],
            ["a", "\nb ", "éx"]
        );
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_text(
            text in "[abé]{0,24}", strings in prop::collection::vec("[abé]{1,3}", 0..3),
            keep: bool, sizes in prop::collection::vec(1..4_usize, 24),
        ) {
            let mut stop = StopStrings::new(&strings, keep);
            let mut cut = String::new();
            let mut characters = text.chars();
            for size in sizes {
                let piece: String = characters.by_ref().take(size).collect();
                cut.push_str(&stop.push(&piece));
            }
            cut.push_str(&stop.finish());

            let ends = strings.iter().filter_map(|string| text.find(string.as_str()).map(|at| (at + string.len(), at)));
            let whole = ends.min().map_or(text.as_str(), |(end, start)| &text[..if keep { end } else { start }]);
            prop_assert_eq!(cut, whole);
        }
    }
}
