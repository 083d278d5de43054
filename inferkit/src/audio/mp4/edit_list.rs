//! Which part of the sound in an MP4 is to be heard, by its edit list.
//!
//! An encoder needs some samples before the first one and fills up its last block. How many they are stands in the edit
//! list of the track, which the container's reader passes over; a list that does more than cut both ends is left alone.
//!
//! ```text
//! moov ─┬─ mvhd: ticks a second of the movie
//!       └─ trak ─┬─ mdia ─┬─ mdhd: ticks a second of the track
//!                │        └─ hdlr: soun
//!                └─ edts ── elst: from which tick of the track on, for how many ticks of the movie
//! ```
//!
//! Source: ISO/IEC 14496-12, sections 4.2 (boxes), 8.2.2, 8.4.2, 8.4.3 and 8.6.6.

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::ops::Range;

/// Most boxes that are looked at: the sound track of a film has some dozens.
const MOST_BOXES: usize = 4_096;

/// Most entries of a list that are looked at.
const MOST_ENTRIES: u32 = 16;

/// What an edit list keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// Ticks of the track before the first that is heard, and how many a second has.
    skipped: (u64, u32),
    /// Ticks of the movie that are heard, and how many a second has; `None` for all that follow.
    heard: Option<(u64, u32)>,
}

impl Edit {
    /// Frames of sound at `rate` before the first that is heard.
    pub(super) fn skipped_frames(&self, rate: u32) -> u64 {
        frames(self.skipped, rate)
    }

    /// Frames of sound at `rate` that are heard; `None` for all that follow.
    pub(super) fn heard_frames(&self, rate: u32) -> Option<u64> {
        self.heard.map(|heard| frames(heard, rate))
    }
}

/// `ticks` as frames, to the nearest.
fn frames((ticks, ticks_a_second): (u64, u32), rate: u32) -> u64 {
    let doubled = u128::from(ticks).saturating_mul(u128::from(rate)).saturating_mul(2);
    let second = u128::from(ticks_a_second);
    let rounded = doubled
        .saturating_add(second)
        .checked_div(second.saturating_mul(2))
        .unwrap_or(0);
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

/// The edit of the first sound track of a file of so many bytes; `None` where there is none, or it is not understood, or the
/// file is no MP4. Leaves `source` anywhere.
pub(super) fn read(source: &mut (impl Read + Seek), length_bytes: u64) -> Option<Edit> {
    let mut boxes = Boxes {
        source,
        left: MOST_BOXES,
    };
    let mut file = 0..length_bytes;
    if boxes.first(&file)?.kind != *b"ftyp" {
        return None;
    }
    let movie = boxes.find(*b"moov", &mut file)?;
    let header = boxes.find(*b"mvhd", &mut movie.clone())?;
    let movie_ticks = boxes.ticks_a_second(&header)?;
    let mut tracks = movie;
    loop {
        let track = boxes.find(*b"trak", &mut tracks)?;
        let media = boxes.find(*b"mdia", &mut track.clone())?;
        let handler = boxes.find(*b"hdlr", &mut media.clone())?;
        if boxes.bytes(&handler, 8)? == *b"soun" {
            let header = boxes.find(*b"mdhd", &mut media.clone())?;
            let track_ticks = boxes.ticks_a_second(&header)?;
            let edits = boxes.find(*b"edts", &mut track.clone())?;
            let list = boxes.find(*b"elst", &mut edits.clone())?;
            return boxes.edit(&list, [movie_ticks, track_ticks]);
        }
    }
}

/// A box and what stands behind it.
struct Found {
    kind: [u8; 4],
    content: Range<u64>,
    rest: Range<u64>,
}

/// Boxes of a file, of which no more than `left` are looked at.
struct Boxes<'a, S> {
    source: &'a mut S,
    left: usize,
}

impl<S: Read + Seek> Boxes<'_, S> {
    /// The box at the beginning of `place`.
    fn first(&mut self, place: &Range<u64>) -> Option<Found> {
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
    fn find(&mut self, wanted: [u8; 4], place: &mut Range<u64>) -> Option<Range<u64>> {
        loop {
            let found = self.first(place)?;
            *place = found.rest;
            if found.kind == wanted {
                return Some(found.content);
            }
        }
    }

    /// What a movie's or a track's header says of its clock.
    fn ticks_a_second(&mut self, header: &Range<u64>) -> Option<u32> {
        let [version] = self.bytes(header, 0)?;
        // Behind the dates of creation and change, which take 32 bits each or 64.
        let place = if version == 0 { 12 } else { 20 };
        let ticks = u32::from_be_bytes(self.bytes(header, place)?);
        (ticks > 0).then_some(ticks)
    }

    /// The one edit of a list that keeps something.
    fn edit(&mut self, list: &Range<u64>, [movie_ticks, track_ticks]: [u32; 2]) -> Option<Edit> {
        let [version] = self.bytes(list, 0)?;
        let count = u32::from_be_bytes(self.bytes(list, 4)?);
        let mut kept = None;
        for index in 0..count.min(MOST_ENTRIES) {
            let size = if version == 0 { 12 } else { 20 };
            let at = 8 + u64::from(index) * size;
            let (length, start) = if version == 0 {
                let start = i32::from_be_bytes(self.bytes(list, at + 4)?);
                (u64::from(u32::from_be_bytes(self.bytes(list, at)?)), i64::from(start))
            } else {
                let start = i64::from_be_bytes(self.bytes(list, at + 8)?);
                (u64::from_be_bytes(self.bytes(list, at)?), start)
            };
            // An entry below zero is silence before the sound, which takes nothing away.
            let Ok(start) = u64::try_from(start) else { continue };
            let edit = Edit {
                skipped: (start, track_ticks),
                heard: (length > 0).then_some((length, movie_ticks)),
            };
            if kept.replace(edit).is_some() {
                return None;
            }
        }
        kept
    }

    /// The bytes at `offset` of `place`.
    fn bytes<const N: usize>(&mut self, place: &Range<u64>, offset: u64) -> Option<[u8; N]> {
        let start = place.start.checked_add(offset)?;
        if start.checked_add(N as u64)? > place.end {
            return None;
        }
        let mut bytes = [0; N];
        self.source.seek(SeekFrom::Start(start)).ok()?;
        self.source.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(8 + content.len()).unwrap();
        [size.to_be_bytes().as_slice(), &kind, content].concat()
    }

    /// A header of version 0 with a clock.
    fn header(kind: [u8; 4], ticks: u32) -> Vec<u8> {
        boxed(kind, &[&[0; 12][..], &ticks.to_be_bytes(), &[0; 8]].concat())
    }

    fn track(handler: [u8; 4], list: &[u8]) -> Vec<u8> {
        let handler = boxed(*b"hdlr", &[&[0; 8][..], &handler, &[0; 12]].concat());
        let media = boxed(*b"mdia", &[header(*b"mdhd", 44_100), handler].concat());
        boxed(*b"trak", &[media, boxed(*b"edts", list)].concat())
    }

    fn list(entries: &[(u32, i32)]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let mut content = [[0; 4], count.to_be_bytes()].concat();
        for (length, start) in entries {
            content.extend([length.to_be_bytes(), start.to_be_bytes(), [0, 1, 0, 0]].concat());
        }
        boxed(*b"elst", &content)
    }

    fn file(tracks: &[Vec<u8>]) -> Vec<u8> {
        let movie = boxed(*b"moov", &[header(*b"mvhd", 1_000), tracks.concat()].concat());
        [boxed(*b"ftyp", b"M4A "), boxed(*b"mdat", &[7; 40]), movie].concat()
    }

    fn found(file: &[u8]) -> Option<(u64, Option<u64>)> {
        let edit = read(&mut Cursor::new(file), file.len() as u64)?;
        Some((edit.skipped_frames(44_100), edit.heard_frames(44_100)))
    }

    #[test]
    fn the_list_of_the_first_sound_track_says_what_to_drop_and_how_much_to_keep() {
        let film = file(&[
            track(*b"vide", &list(&[(9_000, 5)])),
            track(*b"soun", &list(&[(1_500, 1_024)])),
        ]);
        assert_eq!(found(&film), Some((1_024, Some(66_150))));
        let delayed = file(&[track(*b"soun", &list(&[(200, -1), (0, 2_112)]))]);
        assert_eq!(found(&delayed), Some((2_112, None)));
    }

    #[test]
    fn wide_numbers_are_read_as_well() {
        let mut content = [[1, 0, 0, 0], 1_u32.to_be_bytes()].concat();
        content.extend(2_000_u64.to_be_bytes());
        content.extend(512_i64.to_be_bytes());
        content.extend([0, 1, 0, 0]);
        let file = file(&[track(*b"soun", &boxed(*b"elst", &content))]);
        assert_eq!(found(&file), Some((512, Some(88_200))));
    }

    #[test]
    fn a_list_of_several_parts_and_a_file_without_one_are_left_alone() {
        assert_eq!(found(&file(&[track(*b"soun", &list(&[(100, 0), (100, 9)]))])), None);
        assert_eq!(found(&file(&[track(*b"soun", &[])])), None);
        assert_eq!(found(&file(&[])), None);
        assert_eq!(found(b"RIFF\0\0\0\0WAVE"), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn every_cut_and_every_lie_about_a_size_ends() {
        let whole = file(&[track(*b"soun", &list(&[(1_500, 1_024)]))]);
        for length in 0..whole.len() {
            assert_eq!(found(&whole[..length]), None, "cut at {length}");
        }
        for place in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                let _ = found(&damaged);
            }
        }
    }

    #[test]
    fn no_more_boxes_are_looked_at_than_there_can_be() {
        let mut many = boxed(*b"ftyp", b"M4A ");
        many.extend(boxed(*b"free", &[]).repeat(MOST_BOXES));
        many.extend(file(&[track(*b"soun", &list(&[(1_500, 1_024)]))]));
        assert_eq!(found(&many), None);
    }
}
