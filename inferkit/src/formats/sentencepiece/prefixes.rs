//! Which pieces a text begins with.

/// Texts with numbers, sorted, so that those which share a beginning lie side by side.
#[derive(Debug)]
pub(super) struct Prefixes {
    sorted: Vec<(Box<[u8]>, u32)>,
}

impl Prefixes {
    /// A table of these texts, none of which may be empty.
    pub(super) fn new<'a>(texts: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut sorted: Vec<(Box<[u8]>, u32)> = texts.map(|(text, id)| (text.as_bytes().into(), id)).collect();
        sorted.sort();
        Self { sorted }
    }

    /// The texts that `text` begins with, the shortest first: length in bytes, and number.
    pub(super) fn of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, u32)> + 'a {
        let mut candidates = self.sorted.as_slice();
        // After each byte, those are left that go on alike; the first of them may end there.
        text.iter()
            .enumerate()
            .map_while(move |(index, byte)| {
                let length = index.saturating_add(1);
                let at = |(text, _): &(Box<[u8]>, u32)| text.get(index).copied();
                let start = candidates.partition_point(|candidate| at(candidate) < Some(*byte));
                let end = candidates.partition_point(|candidate| at(candidate) <= Some(*byte));
                candidates = candidates.get(start..end).filter(|left| !left.is_empty())?;
                let first = candidates.first().filter(|(text, _)| text.len() == length);
                Some(first.map(|(_, id)| (length, *id)))
            })
            .flatten()
    }

    /// The longest of them.
    pub(super) fn longest_of(&self, text: &[u8]) -> Option<(usize, u32)> {
        self.of(text).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_that_begin_a_text_are_found_from_short_to_long() {
        let table = Prefixes::new([("b", 0), ("abc", 1), ("a", 2), ("ab", 3), ("abd", 4), ("▁", 5)].into_iter());
        let found = |text: &str| table.of(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(found("abcd"), [(1, 2), (2, 3), (3, 1)]);
        assert_eq!(found("abx"), [(1, 2), (2, 3)]);
        assert_eq!(found("▁a"), [(3, 5)]);
        assert!(found("c").is_empty() && found("").is_empty());
        assert_eq!(table.longest_of(b"abd"), Some((3, 4)));
    }
}
