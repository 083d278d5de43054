//! A place in the header of a GGUF file, which moves on as numbers and texts are read.

/// Longest header that is read: metadata and directory. The longest honest ones, with vocabularies of 260,000
/// tokens, have about 20 MB.
pub(super) const LONGEST_HEADER: usize = 128 << 20;

/// Why the bytes at the cursor are not what belongs there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The file ends first.
    #[error("the file ends at byte {at}, in the middle of it")]
    CutShort { at: usize },
    /// The header is longer than [`LONGEST_HEADER`].
    #[error("it lies beyond the first {LONGEST_HEADER} bytes, which are the most that a header may have")]
    HeaderTooLong,
    /// A count that the rest of the header cannot hold.
    #[error("it claims {claimed} entries, and {left} bytes are left")]
    Claim { claimed: u64, left: usize },
    /// A text that is too long for what it is.
    #[error("a name of {length} bytes, of which there can be {longest}")]
    LongName { length: u64, longest: usize },
    /// A name that is no text.
    #[error("a name that is not UTF-8")]
    NotUtf8,
    /// A type of value that the format does not have.
    #[error("there is no value type {code}")]
    ValueType { code: u32 },
    /// A truth value that is neither.
    #[error("{found} where 0 or 1 belongs")]
    NotBool { found: u8 },
    /// Arrays of arrays of arrays …
    #[error("arrays nested more than {deepest} deep")]
    TooDeep { deepest: usize },
}

/// Reads little-endian values one after the other; never beyond the header's bytes.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    header: &'a [u8],
    position: usize,
    /// Whether the file goes on behind `header`.
    capped: bool,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a file with the content `file`.
    pub(super) fn new(file: &'a [u8]) -> Self {
        match file.split_at_checked(LONGEST_HEADER) {
            Some((header, rest)) => Self {
                header,
                position: 0,
                capped: !rest.is_empty(),
            },
            None => Self {
                header: file,
                position: 0,
                capped: false,
            },
        }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.position.checked_add(count);
        let Some((end, bytes)) = end.and_then(|end| Some((end, self.header.get(self.position..end)?))) else {
            return Err(if self.capped {
                Fault::HeaderTooLong
            } else {
                Fault::CutShort { at: self.header.len() }
            });
        };
        self.position = end;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self.take(N)?;
        bytes
            .first_chunk()
            .copied()
            .ok_or(Fault::CutShort { at: self.header.len() })
    }

    /// A 32-bit number.
    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of entries, each of which takes at least `least_bytes`; refused if they cannot all be there.
    pub(super) fn count(&mut self, least_bytes: usize) -> Result<usize, Fault> {
        let claimed = self.u64()?;
        let left = self.header.len().saturating_sub(self.position);
        let fits = |count: &usize| count.checked_mul(least_bytes).is_some_and(|needed| needed <= left);
        match usize::try_from(claimed).ok().filter(fits) {
            Some(count) => Ok(count),
            None if self.capped && claimed < u64::from(u32::MAX) => Err(Fault::HeaderTooLong),
            None => Err(Fault::Claim { claimed, left }),
        }
    }

    /// `count` numbers of `N` bytes each.
    pub(super) fn numbers<const N: usize, T>(
        &mut self,
        count: usize,
        from_bytes: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Fault> {
        let length = count.checked_mul(N).ok_or(Fault::CutShort { at: self.header.len() })?;
        let (chunks, _) = self.take(length)?.as_chunks::<N>();
        Ok(chunks.iter().map(|chunk| from_bytes(*chunk)).collect())
    }

    /// A text; bytes that are not UTF-8 become U+FFFD, since some vocabularies hold such tokens.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let length = self.count(1)?;
        // Copied before it is checked, so that no text lies in a map.
        let copy = self.take(length)?.to_vec();
        Ok(String::from_utf8(copy).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A name: UTF-8, at most `longest` bytes.
    pub(super) fn name(&mut self, longest: usize) -> Result<String, Fault> {
        let length = self.u64()?;
        let fits = usize::try_from(length).ok().filter(|length| *length <= longest);
        let copy = self.take(fits.ok_or(Fault::LongName { length, longest })?)?.to_vec();
        String::from_utf8(copy).map_err(|_| Fault::NotUtf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_little_endian_one_after_the_other() {
        let mut cursor = Cursor::new(&[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0]);
        assert_eq!((cursor.u32(), cursor.u64(), cursor.position()), (Ok(1), Ok(2), 12));
        assert_eq!(cursor.numbers(2, u16::from_le_bytes), Ok(vec![3, 4]));
        assert_eq!(cursor.array::<1>(), Err(Fault::CutShort { at: 16 }));
    }

    #[test]
    fn a_count_that_the_rest_cannot_hold_is_refused_before_anything_is_made_of_it() {
        for claimed in [2, 1 << 40, u64::MAX] {
            let bytes = [claimed.to_le_bytes(), [0; 8]].concat();
            assert_eq!(Cursor::new(&bytes).count(8), Err(Fault::Claim { claimed, left: 8 }));
        }
        let bytes = [1_u64.to_le_bytes(), [0; 8]].concat();
        assert_eq!(Cursor::new(&bytes).count(8), Ok(1));
    }

    #[test]
    fn the_header_ends_at_its_cap_however_long_the_file_is() {
        let file = vec![0; LONGEST_HEADER + 1];
        let mut cursor = Cursor::new(&file);
        assert!(cursor.take(LONGEST_HEADER).is_ok());
        assert_eq!(cursor.take(1), Err(Fault::HeaderTooLong));
    }

    #[test]
    fn a_text_that_is_no_utf8_is_kept_with_replacements_and_a_name_refused() {
        let bytes = [2_u64.to_le_bytes().as_slice(), b"a\xff"].concat();
        assert_eq!(Cursor::new(&bytes).text().as_deref(), Ok("a\u{fffd}"));
        assert_eq!(Cursor::new(&bytes).name(64), Err(Fault::NotUtf8));
        assert_eq!(
            Cursor::new(&bytes).name(1),
            Err(Fault::LongName { length: 2, longest: 1 })
        );
    }
}
