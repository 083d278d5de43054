//! The table of replacements that text goes through first, such as the one named `nmt_nfkc`.
//!
//! ```text
//! u32 n │ n bytes: a double-array trie of what is replaced │ texts, each with a zero behind it
//! ```
//!
//! Source: `src/normalizer.cc`, `DecodePrecompiledCharsMap`; the trie is that of darts-clone (`third_party/darts_clone`).

/// Lowest bits of a unit: the byte that leads to it, and a flag that marks values.
const LABEL: u32 = 0x8000_00ff;

/// All bits of a value.
const VALUE: u32 = 0x7fff_ffff;

/// A table of replacements.
#[derive(Debug)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    /// All replacements, with zeros between them.
    replacements: String,
}

impl Charsmap {
    /// Reads a table; `None` if it is broken.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (trie, replacements) = rest.split_at_checked(length)?;
        let (units, odd) = trie.as_chunks::<4>();
        let units: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        let replacements = String::from_utf8(replacements.to_vec()).ok()?;
        (odd.is_empty() && !units.is_empty() && replacements.ends_with('\0')).then_some(Self { units, replacements })
    }

    /// The longest text at the start of `text` that is replaced: its length in bytes, and by what.
    pub(super) fn longest_match(&self, text: &str) -> Option<(usize, &str)> {
        let unit = |node: u32| self.units.get(usize::try_from(node).ok()?).copied();
        let mut node = offset(unit(0)?);
        let mut found = None;
        for (length, byte) in (1..).zip(text.bytes()) {
            node ^= u32::from(byte);
            let Some(here) = unit(node).filter(|here| here & LABEL == u32::from(byte)) else {
                break;
            };
            node ^= offset(here);
            // A value hangs on the node where a text of the table ends.
            if (here >> 8) & 1 == 1 {
                found = unit(node).map(|value| (length, value & VALUE));
            }
        }
        let (length, place) = found?;
        let replacement = self.replacements.get(usize::try_from(place).ok()?..)?;
        let end = replacement.find('\0')?;
        Some((length, replacement.get(..end)?))
    }
}

/// Where a unit's children begin, relative to it.
const fn offset(unit: u32) -> u32 {
    (unit >> 10) << ((unit & 0x200) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_none_is_refused() {
        for bytes in [
            b"".as_slice(),
            b"\x04\0\0\0",
            b"\x03\0\0\0abcx\0",
            b"\0\0\0\0x\0",
            b"\x04\0\0\0abcd",
            b"\x04\0\0\0abcd\xff\0",
        ] {
            assert!(Charsmap::parse(bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn a_trie_of_nonsense_leads_nowhere_and_never_outside() {
        for seed in 0..200_u32 {
            let words = (0..64_u32).map(|place| (seed ^ place).wrapping_mul(0x9e37_79b9).rotate_left(place % 31));
            let trie: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
            let table = [&256_u32.to_le_bytes(), trie.as_slice(), b"a\0b\0"].concat();
            let charsmap = Charsmap::parse(&table).unwrap();
            for text in ["", "a", "ﬁ", "ｱﾞ", "zzzzzzzzzzzz"] {
                if let Some((length, _)) = charsmap.longest_match(text) {
                    assert!(length <= text.len());
                }
            }
        }
    }
}
