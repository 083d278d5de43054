//! The boxes that an MP4 is made of.

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::ops::Range;

/// Most boxes that are looked at: the sound track of a film has some dozens.
pub(super) const MOST_BOXES: usize = 4_096;

/// A box and what stands behind it.
pub(super) struct Found {
    pub(super) kind: [u8; 4],
    pub(super) content: Range<u64>,
    pub(super) rest: Range<u64>,
}

/// Boxes of a file, of which no more than [`MOST_BOXES`] are looked at.
pub(super) struct Boxes<'a, S> {
    source: &'a mut S,
    left: usize,
}

impl<'a, S: Read + Seek> Boxes<'a, S> {
    /// Those of `source`, which is left anywhere.
    pub(super) const fn new(source: &'a mut S) -> Self {
        Self {
            source,
            left: MOST_BOXES,
        }
    }

    /// The box at the beginning of `place`.
    pub(super) fn first(&mut self, place: &Range<u64>) -> Option<Found> {
        self.left = self.left.checked_sub(1)?;
        let [size, kind] = [self.bytes(place, 0)?, self.bytes(place, 4)?];
        let (header_bytes, size) = match u32::from_be_bytes(size) {
            0 => (8, place.end.checked_sub(place.start)?),
            1 => (16, u64::from_be_bytes(self.bytes(place, 8)?)),
            size => (8, u64::from(size)),
        };
        let (start, end) = (place.start.checked_add(header_bytes)?, place.start.checked_add(size)?);
        (start <= end && end <= place.end).then_some(Found {
            kind,
            content: start..end,
            rest: end..place.end,
        })
    }

    /// The content of the next box of a kind; `place` becomes what is behind it.
    pub(super) fn find(&mut self, wanted: [u8; 4], place: &mut Range<u64>) -> Option<Range<u64>> {
        loop {
            let found = self.first(place)?;
            *place = found.rest;
            if found.kind == wanted {
                return Some(found.content);
            }
        }
    }

    /// The bytes at `offset` of `place`.
    pub(super) fn bytes<const N: usize>(&mut self, place: &Range<u64>, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, place, offset)?;
        Some(bytes)
    }

    /// The bytes from `offset` of `place` to its end; `None` if they are more than `most`.
    pub(super) fn rest(&mut self, place: &Range<u64>, offset: u64, most: usize) -> Option<Vec<u8>> {
        let length = place.end.checked_sub(place.start)?.checked_sub(offset)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= most)?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, place, offset)?;
        Some(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], place: &Range<u64>, offset: u64) -> Option<()> {
        let start = place.start.checked_add(offset)?;
        if start.checked_add(bytes.len() as u64)? > place.end {
            return None;
        }
        self.source.seek(SeekFrom::Start(start)).ok()?;
        self.source.read_exact(bytes).ok()
    }
}
