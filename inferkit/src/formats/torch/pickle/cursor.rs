//! A place in a pickle, which moves on as arguments are read.

use super::error::Fault;

/// Longest name of a module or of something in it.
const LONGEST_NAME: usize = 1024;

/// Reads the arguments of opcodes.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.position.checked_add(count).ok_or(Fault::CutShort)?;
        let bytes = self.bytes.get(self.position..end).ok_or(Fault::CutShort)?;
        self.position = end;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.first_chunk().copied().ok_or(Fault::CutShort)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length of `N` bytes, as many as which follow.
    pub(super) fn counted<const N: usize>(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.array::<N>()?;
        let length = length
            .iter()
            .rev()
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        self.take(usize::try_from(length).map_err(|_| Fault::CutShort)?)
    }

    /// A whole number of as many bytes as its first byte says, in two's complement; `None` beyond 64 bits.
    pub(super) fn long(&mut self) -> Result<Option<i64>, Fault> {
        let bytes = self.counted::<1>()?;
        let Some(last) = bytes.last() else {
            return Ok(Some(0));
        };
        if bytes.len() > 8 {
            return Ok(None);
        }
        let mut whole = if last & 0x80 == 0 { [0; 8] } else { [0xff; 8] };
        for (to, from) in whole.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(Some(i64::from_le_bytes(whole)))
    }

    /// A text up to the end of the line.
    pub(super) fn line(&mut self) -> Result<String, Fault> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let longest = rest.get(..LONGEST_NAME).unwrap_or(rest);
        let length = longest.iter().position(|byte| *byte == b'\n');
        let missing = if longest.len() < rest.len() {
            Fault::LongName
        } else {
            Fault::CutShort
        };
        let line = self.take(length.ok_or(missing)?)?;
        self.take(1)?;
        text(line)
    }
}

/// `bytes` as text, copied before they are checked, so that no text lies in a map.
pub(super) fn text(bytes: &[u8]) -> Result<String, Fault> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Fault::NotUtf8)
}
