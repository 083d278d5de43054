//! The members of a tar archive: names and places.
//!
//! Headers are those of POSIX ustar, with the extensions that writers use for long names and large files: PAX records
//! and GNU long names. Source: POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Extended Header".

use std::collections::BTreeMap;
use std::ops::Range;

use tar::EntryType;
use tar::Header;
use tar::PaxExtensions;

use super::error::NemoError;
use crate::formats::shown::quoted;

/// Headers and contents begin at multiples of this.
const BLOCK: usize = 512;

/// Most members; published archives have a few dozen.
const MOST_MEMBERS: usize = 1 << 14;

/// Longest header that describes the next one.
const LONGEST_DESCRIPTION: usize = 1 << 20;

/// The files of an archive by name.
#[derive(Debug)]
pub(crate) struct Members {
    files: BTreeMap<String, Range<usize>>,
}

/// What a header says of the next one.
#[derive(Debug, Default)]
struct Described {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Members {
    /// Whether `file` begins with a header.
    pub(super) fn is_tar(file: &[u8]) -> bool {
        file.get(..BLOCK).is_some_and(|block| checked_header(block).is_some())
    }

    /// Reads all headers of an archive with the content `file`.
    ///
    /// # Errors
    /// [`NemoError`] for a damaged header and for every member that is not an ordinary file or folder.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, NemoError> {
        let mut files = BTreeMap::new();
        let mut described = Described::default();
        let mut at = 0_usize;
        let mut headers = 0_usize;
        while let Some(block) = file.get(at..at.saturating_add(BLOCK)) {
            if block.iter().all(|byte| *byte == 0) {
                break;
            }
            headers = headers.saturating_add(1);
            if headers > MOST_MEMBERS {
                return Err(NemoError::TooMany { most: MOST_MEMBERS });
            }
            let header = checked_header(block).ok_or(NemoError::Header { at })?;
            let content = content(file, at, header, &described)?;
            let next = content.end.checked_next_multiple_of(BLOCK);
            match header.entry_type() {
                EntryType::XHeader => described.read_pax(file, at, content)?,
                EntryType::GNULongName => described.read_long_name(file, at, content)?,
                EntryType::XGlobalHeader | EntryType::GNULongLink => {}
                kind => {
                    let path = described
                        .path
                        .take()
                        .unwrap_or_else(|| header.path_bytes().into_owned());
                    described = Described::default();
                    add(&mut files, &path, kind, content)?;
                }
            }
            at = next.ok_or(NemoError::Header { at })?;
        }
        // Some writers leave out the blocks of zeros, none ends within a header.
        if at < file.len() && file.len().saturating_sub(at) < BLOCK {
            return Err(NemoError::Header { at });
        }
        Ok(Self { files })
    }

    /// Where the file `name` lies.
    pub(crate) fn range(&self, name: &str) -> Option<Range<usize>> {
        self.files.get(name).cloned()
    }

    /// The names of all files, sorted.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

/// The header in `block`, if its checksum says that it is one.
fn checked_header(block: &[u8]) -> Option<&Header> {
    const CHECKSUM: Range<usize> = 148..156;
    let (before, rest) = block.split_at_checked(CHECKSUM.start)?;
    let after = rest.get(CHECKSUM.len()..)?;
    // The checksum counts its own place as spaces.
    let spaces = u32::from(b' ').saturating_mul(8);
    let sum = before
        .iter()
        .chain(after)
        .fold(spaces, |sum, byte| sum.saturating_add(u32::from(*byte)));
    if block.len() != BLOCK {
        return None;
    }
    let header = Header::from_byte_slice(block);
    (header.cksum().ok() == Some(sum)).then_some(header)
}

/// Where the content of the member lies whose header is at `at`.
fn content(file: &[u8], at: usize, header: &Header, described: &Described) -> Result<Range<usize>, NemoError> {
    let announced = header.entry_size().map_err(|_| NemoError::Header { at })?;
    let is_description = matches!(
        header.entry_type(),
        EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
    );
    let size = described.size.filter(|_| !is_description).unwrap_or(announced);
    let cut_short = || NemoError::CutShort {
        name: quoted(&String::from_utf8_lossy(&header.path_bytes())),
        length: file.len(),
    };
    // Folders and links have no content, whatever their size says.
    let size = match header.entry_type() {
        EntryType::Directory | EntryType::Symlink | EntryType::Link => 0,
        _ => usize::try_from(size).map_err(|_| cut_short())?,
    };
    let start = at.saturating_add(BLOCK);
    let end = start
        .checked_add(size)
        .filter(|end| *end <= file.len())
        .ok_or_else(cut_short)?;
    Ok(start..end)
}

/// Notes a file; folders are passed over.
fn add(
    files: &mut BTreeMap<String, Range<usize>>,
    path: &[u8],
    kind: EntryType,
    content: Range<usize>,
) -> Result<(), NemoError> {
    let shown = || quoted(&String::from_utf8_lossy(path));
    let refused = match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => None,
        EntryType::Symlink | EntryType::Link => Some("link"),
        EntryType::GNUSparse => Some("sparse file"),
        _ => Some("device, pipe or file of an unknown kind"),
    };
    if let Some(kind) = refused {
        return Err(NemoError::Kind { name: shown(), kind });
    }
    let text = String::from_utf8(path.to_vec()).map_err(|_| NemoError::Name { name: shown() })?;
    let name = text.trim_start_matches("./").trim_end_matches('/');
    if matches!(name, "" | ".") && kind == EntryType::Directory {
        return Ok(());
    }
    let leads_out = name.split(['/', '\\']).any(|part| matches!(part, "" | "." | ".."));
    if leads_out || name.contains('\0') {
        return Err(NemoError::Name { name: shown() });
    }
    // Old writers mark a folder by the slash at its end alone.
    if kind == EntryType::Directory || text.ends_with('/') {
        return Ok(());
    }
    if files.insert(name.to_owned(), content).is_some() {
        return Err(NemoError::Duplicate { name: shown() });
    }
    Ok(())
}

impl Described {
    /// The records of a PAX header: `path` and `size` count, the rest is passed over.
    fn read_pax(&mut self, file: &[u8], at: usize, content: Range<usize>) -> Result<(), NemoError> {
        for record in PaxExtensions::new(description(file, at, content)?) {
            let record = record.map_err(|_| NemoError::Header { at })?;
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|value| value.parse().ok());
                    self.size = Some(size.ok_or(NemoError::Header { at })?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_long_name(&mut self, file: &[u8], at: usize, content: Range<usize>) -> Result<(), NemoError> {
        let name = description(file, at, content)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        self.path = name.get(..end).map(<[u8]>::to_vec);
        Ok(())
    }
}

fn description(file: &[u8], at: usize, content: Range<usize>) -> Result<&[u8], NemoError> {
    let length = content.len();
    if length > LONGEST_DESCRIPTION {
        let longest = LONGEST_DESCRIPTION;
        return Err(NemoError::LongDescription { at, length, longest });
    }
    file.get(content).ok_or(NemoError::Header { at })
}
