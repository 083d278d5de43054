//! Bytes to whole characters.

/// Collects bytes and releases the characters they complete.
///
/// Invalid bytes become U+FFFD, one for each maximal part of a character, as
/// [`String::from_utf8_lossy`] does and the Unicode standard recommends (section 3.9). At most three
/// bytes are held back.
#[derive(Debug, Default)]
pub(super) struct Characters {
    held: Vec<u8>,
}

impl Characters {
    /// Takes more bytes; returns the text that is complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut done = 0;
        while let Some(rest) = self.held.get(done..).filter(|rest| !rest.is_empty()) {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    done += valid.len();
                }
                Err(error) => {
                    let valid = rest.get(..error.valid_up_to()).unwrap_or_default();
                    text.push_str(&String::from_utf8_lossy(valid));
                    done += valid.len();
                    let Some(invalid) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    done += invalid;
                }
            }
        }
        self.held.drain(..done);
        text
    }

    /// Ends the text: a character that is cut short becomes U+FFFD.
    pub(super) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collected(parts: &[&[u8]]) -> Vec<String> {
        let mut characters = Characters::default();
        let mut pieces: Vec<String> = parts.iter().map(|part| characters.push(part)).collect();
        pieces.push(characters.finish());
        pieces
    }

    #[test]
    fn every_scalar_comes_out_whole_however_it_is_split() {
        for scalar in (0..=u32::from(char::MAX)).step_by(61).filter_map(char::from_u32) {
            let text = scalar.to_string();
            for at in 1..text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                assert_eq!(
                    collected(&[head, tail]),
                    ["", text.as_str(), ""],
                    "U+{:04X} at {at}",
                    u32::from(scalar)
                );
            }
        }
    }

    #[test]
    fn a_cut_character_becomes_one_replacement_at_the_end() {
        assert_eq!(collected(&[b"a", &[0xF0, 0x9F, 0x99]]), ["a", "", "\u{FFFD}"]);
    }

    #[test]
    fn an_invalid_byte_does_not_hold_back_what_follows() {
        assert_eq!(
            collected(&[&[0xFF], b"b", &[0xE6], b"c"]),
            ["\u{FFFD}", "b", "", "\u{FFFD}c", ""]
        );
    }

    proptest! {
        #[test]
        fn any_cut_of_any_bytes_reads_as_one_lossy_decode(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..=0xF4_u8], 0..40),
            sizes in prop::collection::vec(1..5_usize, 40),
        ) {
            let mut characters = Characters::default();
            let mut text = String::new();
            let mut rest = bytes.as_slice();
            for size in sizes {
                let (part, tail) = rest.split_at(size.min(rest.len()));
                text.push_str(&characters.push(part));
                prop_assert!(characters.held.len() <= 3, "held {:?}", characters.held);
                rest = tail;
            }
            text.push_str(&characters.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
