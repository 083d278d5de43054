//! What of a sound track is heard, whoever says it.

use std::io::Read;
use std::io::Seek;
use std::ops::Range;

use super::boxes::Boxes;
use super::edit_list;
use super::gapless_tag;

/// What is kept of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Edit {
    /// Ticks before the first that is heard.
    pub(super) skipped: Ticks,
    /// Ticks that are heard; `None` for all that follow.
    pub(super) heard: Option<Ticks>,
}

/// A time as a file counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) count: u64,
    pub(super) a_second: u32,
}

/// What a track's header says of its clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) ticks_a_second: u32,
    /// How long it lasts. Zero is not known.
    pub(super) ticks: u64,
}

impl Edit {
    /// Frames of sound at `rate` before the first that is heard.
    pub(in super::super) fn skipped_frames(&self, rate: u32) -> u64 {
        self.skipped.frames(rate)
    }

    /// Frames of sound at `rate` that are heard; `None` for all that follow.
    pub(in super::super) fn heard_frames(&self, rate: u32) -> Option<u64> {
        self.heard.map(|heard| heard.frames(rate))
    }
}

impl Ticks {
    /// As frames, to the nearest.
    fn frames(self, rate: u32) -> u64 {
        let doubled = u128::from(self.count)
            .saturating_mul(u128::from(rate))
            .saturating_mul(2);
        let second = u128::from(self.a_second);
        let rounded = doubled
            .saturating_add(second)
            .checked_div(second.saturating_mul(2))
            .unwrap_or(0);
        u64::try_from(rounded).unwrap_or(u64::MAX)
    }
}

/// The edit of the first sound track of a file of so many bytes; `None` where there is none, or it is not understood, or the
/// file is no MP4. Leaves `source` anywhere.
pub(in super::super) fn read(source: &mut (impl Read + Seek), length_bytes: u64) -> Option<Edit> {
    let mut boxes = Boxes::new(source);
    let mut file = 0..length_bytes;
    if boxes.first(&file)?.kind != *b"ftyp" {
        return None;
    }
    let movie = boxes.find(*b"moov", &mut file)?;
    let (track, media) = sound_track(&mut boxes, &movie)?;
    let header = boxes.find(*b"mdhd", &mut media.clone())?;
    let clock = clock(&mut boxes, &header)?;
    let edits = boxes.find(*b"edts", &mut track.clone());
    let Some(list) = edits.and_then(|mut edits| boxes.find(*b"elst", &mut edits)) else {
        return gapless_tag::edit(&mut boxes, &movie, clock);
    };
    let header = boxes.find(*b"mvhd", &mut movie.clone())?;
    let movie_ticks = self::clock(&mut boxes, &header)?.ticks_a_second;
    edit_list::edit(&mut boxes, &list, [movie_ticks, clock.ticks_a_second])
}

/// The first track that holds sound, and its media.
fn sound_track<S: Read + Seek>(boxes: &mut Boxes<'_, S>, movie: &Range<u64>) -> Option<(Range<u64>, Range<u64>)> {
    let mut tracks = movie.clone();
    loop {
        let track = boxes.find(*b"trak", &mut tracks)?;
        let media = boxes.find(*b"mdia", &mut track.clone())?;
        let handler = boxes.find(*b"hdlr", &mut media.clone())?;
        if boxes.bytes(&handler, 8)? == *b"soun" {
            return Some((track, media));
        }
    }
}

/// The clock of a movie or a track.
fn clock<S: Read + Seek>(boxes: &mut Boxes<'_, S>, header: &Range<u64>) -> Option<Clock> {
    let [version] = boxes.bytes(header, 0)?;
    // Behind the dates of creation and change, which take 32 bits each or 64, as the length does.
    let (place, is_wide) = if version == 0 { (12, false) } else { (20, true) };
    let ticks_a_second = u32::from_be_bytes(boxes.bytes(header, place)?);
    let ticks = if is_wide {
        u64::from_be_bytes(boxes.bytes(header, place + 4)?)
    } else {
        u64::from(u32::from_be_bytes(boxes.bytes(header, place + 4)?))
    };
    (ticks_a_second > 0).then_some(Clock { ticks_a_second, ticks })
}
