//! The directory of a zip archive, checked as a whole; entries are seen where they lie.
//!
//! ```text
//! { local header │ name │ extra │ data } … │ { central header │ name │ extra │ comment } … │ [zip64] │ end record
//! ```
//!
//! What PyTorch and numpy write: entries stored or deflated, no encryption, one disk, zip64 where sizes need it. The
//! central directory counts, local headers are read only for where the data begin. Source: PKWARE APPNOTE 6.3.10, 4.3.
//!
//! **Invariant:** no two entries share a byte or a name, so that small files cannot unfold into large ones twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use flate2::read::DeflateDecoder;

use super::shown::quoted;

/// Most entries: a checkpoint has one for each tensor, and thousands of those at most.
const MOST_ENTRIES: u64 = 1 << 18;

/// Bytes of the end record without its comment.
const END_BYTES: usize = 22;

/// Longest comment behind the end record: its length has 16 bits.
const LONGEST_COMMENT: usize = u16::MAX as usize;

/// How much larger than its compressed form an entry can be (RFC 1951: 258 bytes from two bits).
const MOST_EXPANSION: usize = 1032;

/// Longest entry that is unfolded in memory. What is larger has to be stored, as PyTorch does.
const LONGEST_UNFOLDED: usize = 1 << 30;

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ZipError {
    /// The record that every archive ends with is not there.
    #[error("the end of the archive is missing; the file is cut short or damaged")]
    NoEnd,
    /// A header does not lie where the directory says, or ends outside of the file.
    #[error("the archive's directory is damaged at entry {entry}")]
    Damaged { entry: u64 },
    /// More entries than any honest file has.
    #[error("the archive claims {claimed} entries, of which there can be {MOST_ENTRIES}")]
    Entries { claimed: u64 },
    /// A name that is no text.
    #[error("the name of entry {entry} is not UTF-8")]
    Name { entry: u64 },
    /// A name stands twice.
    #[error("entry {name} is listed twice")]
    Duplicate { name: String },
    /// Two entries share bytes.
    #[error("entries {first} and {second} overlap")]
    Overlap { first: String, second: String },
    /// An entry is encrypted or packed in a way that is not read.
    #[error("entry {name} is {how}; only stored and deflated entries are read")]
    Packing { name: String, how: String },
    /// An entry is longer than what belongs there.
    #[error("entry {name} unfolds to {claimed} bytes, of which there can be {longest}")]
    TooLong {
        name: String,
        claimed: usize,
        longest: usize,
    },
    /// Compressed bytes that do not give what they should.
    #[error("entry {name} does not unfold to the {expected} bytes that the directory announces")]
    Unfolding { name: String, expected: usize },
}

/// Names and places of an archive's entries.
#[derive(Debug)]
pub(crate) struct ZipDirectory {
    entries: BTreeMap<String, ZipEntry>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZipEntry {
    /// Where its bytes lie in the archive.
    range: Range<usize>,
    /// Bytes that it unfolds to.
    pub(crate) length: usize,
    deflated: bool,
}

/// An entry before its name is known to be the only one.
struct Listed {
    name: String,
    header: usize,
    entry: ZipEntry,
}

impl ZipDirectory {
    /// Whether `file` begins like a zip archive.
    pub(crate) fn is_zip(file: &[u8]) -> bool {
        file.starts_with(b"PK\x03\x04") || file.starts_with(b"PK\x05\x06")
    }

    /// Reads the directory of an archive with the content `file`.
    ///
    /// # Errors
    /// [`ZipError`] for any entry that is not there, shares bytes with another, or is not stored or deflated.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, ZipError> {
        let end = find_end(file)?;
        let (count, start) = central_directory(file, end).ok_or(ZipError::NoEnd)?;
        if count > MOST_ENTRIES {
            return Err(ZipError::Entries { claimed: count });
        }
        let mut at = start;
        let mut listed = Vec::new();
        for entry in 0..count {
            let (next, found) = read_entry(file, at, end, entry)?;
            at = next;
            listed.push(found);
        }
        check_layout(&mut listed, start)?;
        let mut entries = BTreeMap::new();
        for Listed { name, entry, .. } in listed {
            if entries.contains_key(&name) {
                return Err(ZipError::Duplicate { name: quoted(&name) });
            }
            entries.insert(name, entry);
        }
        Ok(Self { entries })
    }

    /// The entry `name`.
    pub(crate) fn entry(&self, name: &str) -> Option<&ZipEntry> {
        self.entries.get(name)
    }

    /// The names of all entries, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

impl ZipEntry {
    /// What the entry holds: its bytes in `file`, the archive it was found in, or what they unfold to.
    ///
    /// # Errors
    /// [`ZipError::TooLong`] beyond `longest` bytes, [`ZipError::Unfolding`] for damaged ones; both call it `name`.
    pub(crate) fn read<'a>(&self, file: &'a [u8], name: &str, longest: usize) -> Result<Cow<'a, [u8]>, ZipError> {
        let longest = if self.deflated {
            longest.min(LONGEST_UNFOLDED)
        } else {
            longest
        };
        if self.length > longest {
            let (name, claimed) = (quoted(name), self.length);
            return Err(ZipError::TooLong { name, claimed, longest });
        }
        let stored = file.get(self.range.clone()).unwrap_or_default();
        if !self.deflated {
            return Ok(Cow::Borrowed(stored));
        }
        let expected = self.length;
        let damaged = || ZipError::Unfolding {
            name: quoted(name),
            expected,
        };
        if expected > stored.len().saturating_mul(MOST_EXPANSION) {
            return Err(damaged());
        }
        let mut unfolded = Vec::new();
        let most = u64::try_from(expected).unwrap_or(u64::MAX).saturating_add(1);
        let read = DeflateDecoder::new(stored).take(most).read_to_end(&mut unfolded);
        if read.is_err() || unfolded.len() != expected {
            return Err(damaged());
        }
        Ok(Cow::Owned(unfolded))
    }
}

/// Where the end record lies: the last place that looks like one and whose comment ends with the file.
fn find_end(file: &[u8]) -> Result<usize, ZipError> {
    let last = file.len().checked_sub(END_BYTES).ok_or(ZipError::NoEnd)?;
    let first = last.saturating_sub(LONGEST_COMMENT);
    let is_end = |at: &usize| {
        let comment = number(file, at.saturating_add(20), 2);
        has_magic(file, *at, *b"PK\x05\x06") && comment == u64::try_from(last.saturating_sub(*at)).ok()
    };
    (first..=last).rev().find(is_end).ok_or(ZipError::NoEnd)
}

/// The number of entries and where the first of their headers lies.
fn central_directory(file: &[u8], end: usize) -> Option<(u64, usize)> {
    let (count, offset) = (
        number(file, end.checked_add(10)?, 2)?,
        number(file, end.checked_add(16)?, 4)?,
    );
    let locator = end.checked_sub(20).filter(|at| has_magic(file, *at, *b"PK\x06\x07"));
    let (count, offset) = match locator {
        Some(locator) => {
            let record = usize::try_from(number(file, locator.checked_add(8)?, 8)?).ok()?;
            if !has_magic(file, record, *b"PK\x06\x06") {
                return None;
            }
            (
                number(file, record.checked_add(32)?, 8)?,
                number(file, record.checked_add(48)?, 8)?,
            )
        }
        None => (count, offset),
    };
    let start = usize::try_from(offset).ok().filter(|start| *start <= end)?;
    Some((count, start))
}

/// The entry whose central header lies at `at`, and where the next one lies; `number_of_entry` is for the message.
fn read_entry(file: &[u8], at: usize, end: usize, number_of_entry: u64) -> Result<(usize, Listed), ZipError> {
    let damaged = || ZipError::Damaged { entry: number_of_entry };
    let header = CentralHeader::read(file, at, end).ok_or_else(damaged)?;
    // Copied before it is checked, so that no text lies in a map.
    let name = String::from_utf8(header.name.to_vec()).map_err(|_| ZipError::Name { entry: number_of_entry })?;
    let packing = |how: String| ZipError::Packing {
        name: quoted(&name),
        how,
    };
    if header.flags & 1 != 0 {
        return Err(packing("encrypted".to_owned()));
    }
    let deflated = match header.method {
        0 => false,
        8 => true,
        other => return Err(packing(format!("packed by method {other}"))),
    };
    let range = header.data(file).ok_or_else(damaged)?;
    if !deflated && range.len() != header.length {
        return Err(damaged());
    }
    let (next, local, length) = (header.next, header.local, header.length);
    let entry = ZipEntry {
        range,
        length,
        deflated,
    };
    let listed = Listed {
        name,
        header: local,
        entry,
    };
    Ok((next, listed))
}

/// One header of the central directory.
struct CentralHeader<'a> {
    name: &'a [u8],
    flags: u64,
    method: u64,
    compressed: usize,
    length: usize,
    local: usize,
    next: usize,
}

impl<'a> CentralHeader<'a> {
    fn read(file: &'a [u8], at: usize, end: usize) -> Option<Self> {
        let directory = file.get(..end)?;
        if !has_magic(directory, at, *b"PK\x01\x02") {
            return None;
        }
        let field = |offset: usize, bytes: usize| number(directory, at.checked_add(offset)?, bytes);
        let size = |offset| usize::try_from(field(offset, 2)?).ok();
        let (name_bytes, extra_bytes, comment_bytes) = (size(28)?, size(30)?, size(32)?);
        let name_start = at.checked_add(46)?;
        let name_end = name_start.checked_add(name_bytes)?;
        let extra_end = name_end.checked_add(extra_bytes)?;
        let mut wide = zip64_numbers(directory.get(name_end..extra_end)?);
        // Fields that do not fit stand in the extra field, in this order.
        let mut narrow = |value: u64| {
            let value = if value == u64::from(u32::MAX) {
                wide.next()?
            } else {
                value
            };
            usize::try_from(value).ok()
        };
        let length = narrow(field(24, 4)?)?;
        let compressed = narrow(field(20, 4)?)?;
        let local = narrow(field(42, 4)?)?;
        Some(Self {
            name: directory.get(name_start..name_end)?,
            flags: field(8, 2)?,
            method: field(10, 2)?,
            compressed,
            length,
            local,
            next: extra_end.checked_add(comment_bytes)?,
        })
    }

    /// Where the entry's bytes lie, by its local header.
    fn data(&self, file: &[u8]) -> Option<Range<usize>> {
        if !has_magic(file, self.local, *b"PK\x03\x04") {
            return None;
        }
        let size = |offset: usize| usize::try_from(number(file, self.local.checked_add(offset)?, 2)?).ok();
        let start = self
            .local
            .checked_add(30)?
            .checked_add(size(26)?)?
            .checked_add(size(28)?)?;
        let end = start.checked_add(self.compressed)?;
        file.get(start..end)?;
        Some(start..end)
    }
}

/// The 64-bit numbers of the extra field 1; none if there is no such field.
fn zip64_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut numbers: &[[u8; 8]] = &[];
    while let Some((id, length)) = number(extra, 0, 2).zip(number(extra, 2, 2)) {
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(4));
        let Some((field, rest)) = end.and_then(|end| extra.split_at_checked(end)) else {
            break;
        };
        if id == 1 {
            numbers = field.get(4..).unwrap_or_default().as_chunks::<8>().0;
            break;
        }
        extra = rest;
    }
    numbers.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Checks that entries share no byte and lie before the directory.
fn check_layout(listed: &mut [Listed], directory: usize) -> Result<(), ZipError> {
    listed.sort_by_key(|entry| entry.header);
    let overlap = |first: &Listed, second: &str| ZipError::Overlap {
        first: quoted(&first.name),
        second: second.to_owned(),
    };
    for pair in listed.windows(2) {
        if let [first, second] = pair
            && first.entry.range.end > second.header
        {
            return Err(overlap(first, &quoted(&second.name)));
        }
    }
    match listed.last() {
        Some(last) if last.entry.range.end > directory => Err(overlap(last, "the directory")),
        _ => Ok(()),
    }
}

fn has_magic(file: &[u8], at: usize, magic: [u8; 4]) -> bool {
    file.get(at..).is_some_and(|rest| rest.starts_with(&magic))
}

/// The little-endian number of `bytes` bytes, at most 8, at `at`.
fn number(file: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let found = file.get(at..at.checked_add(bytes)?)?;
    Some(found.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests;
