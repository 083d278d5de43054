//! A part of a mapped file: a member of an archive is read where it lies.

use std::ops::Range;
use std::sync::Arc;

use super::mmap::MappedFile;

/// Bytes of a mapped file, which stays mapped as long as they are held. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FileRange {
    file: Arc<MappedFile>,
    range: Range<usize>,
}

impl FileRange {
    /// All of `file`.
    pub(crate) fn whole(file: Arc<MappedFile>) -> Self {
        let range = 0..file.bytes().len();
        Self { file, range }
    }

    /// The bytes. Nothing aligns them.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.file.bytes().get(self.range.clone()).unwrap_or_default()
    }

    /// As [`MappedFile::hand_out`].
    pub(crate) fn hand_out(&self, bytes: usize) {
        self.file.hand_out(bytes);
    }

    /// The bytes `range` of these; `None` if they are not all there.
    pub(crate) fn part(&self, range: Range<usize>) -> Option<Self> {
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        let inside = start <= end && end <= self.range.end;
        inside.then(|| Self {
            file: self.file.clone(),
            range: start..end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_is_counted_from_its_own_start_and_ends_inside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        std::fs::write(&path, b"0123456789").unwrap();
        let whole = FileRange::whole(MappedFile::open(&path).unwrap());
        let part = whole.part(2..8).unwrap();
        assert_eq!(part.bytes(), b"234567");
        assert_eq!(part.part(1..3).unwrap().bytes(), b"34");
        assert!(part.part(1..7).is_none() && part.part(usize::MAX..usize::MAX).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "what a damaged directory may say")]
        let reversed = part.part(3..1);
        assert!(reversed.is_none());
    }
}
