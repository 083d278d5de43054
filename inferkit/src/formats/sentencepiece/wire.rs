//! Protobuf messages as a sequence of fields.
//!
//! Source: protobuf.dev, "Encoding". Nothing is allocated; nesting is read by whoever asks for it.

use super::error::SentencePieceError;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A text, bytes, or a message of its own.
    Bytes(&'a [u8]),
}

/// Reads the fields of a message one after the other.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in the file.
    position: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the message `bytes`, which begins at byte `position` of the file.
    pub(super) const fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { rest: bytes, position }
    }

    /// Where the next field begins in the file.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// Number and value of the next field; `None` at the end.
    ///
    /// # Errors
    /// With the byte at which there is no field.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, SentencePieceError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.position;
        self.field().map(Some).ok_or(SentencePieceError::Wire { at })
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        };
        Some((number, value))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.position = self.position.saturating_add(count);
        self.rest = rest;
        Some(taken)
    }

    /// A number in groups of seven bits, the lowest first; at most ten groups, the last of one bit.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
        let mut fields = Fields::new(bytes, 0);
        let mut found = Vec::new();
        while let Some(field) = fields.next().ok()? {
            found.push(field);
        }
        Some(found)
    }

    #[test]
    fn fields_of_all_kinds_are_read_in_order() {
        let bytes = b"\x08\x96\x01\x12\x02hi\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0\x12\0";
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Fixed32(1)),
            (4, Value::Fixed64(2)),
            (2, Value::Bytes(b"")),
        ];
        assert_eq!(all(bytes), Some(expected.to_vec()));
        assert_eq!(
            all(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Some(vec![(1, Value::Varint(u64::MAX))])
        );
    }

    #[test]
    fn what_is_no_field_is_an_error_with_its_place() {
        for bytes in [
            b"\x08".as_slice(),
            b"\x08\xff",
            b"\x12\x05abc",
            b"\x0b",
            b"\x00\x01",
            b"\x1d\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(all(bytes), None, "{bytes:?}");
        }
        let mut fields = Fields::new(b"\x08\x01\x0f", 10);
        fields.next().unwrap();
        assert_eq!(fields.next(), Err(SentencePieceError::Wire { at: 12 }));
    }
}
