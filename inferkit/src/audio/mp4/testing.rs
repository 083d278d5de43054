//! Files made by hand, as small as can be.

use std::io::Cursor;

use super::read;

pub(super) fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + content.len()).unwrap();
    [size.to_be_bytes().as_slice(), &kind, content].concat()
}

/// A header of version 0 with a clock and a length.
fn header(kind: [u8; 4], ticks_a_second: u32, ticks: u32) -> Vec<u8> {
    let numbers = [ticks_a_second.to_be_bytes(), ticks.to_be_bytes(), [0; 4]].concat();
    boxed(kind, &[&[0; 12][..], &numbers].concat())
}

/// A track of four seconds at 44.1 kHz with the content of its box of edits.
pub(super) fn track(handler: [u8; 4], edits: &[u8]) -> Vec<u8> {
    let edits = boxed(*b"edts", edits);
    boxed(*b"trak", &[media(handler, 44_100, 176_400), edits].concat())
}

/// A track of sound without a box of edits.
pub(super) fn bare_track(ticks_a_second: u32, ticks: u32) -> Vec<u8> {
    boxed(*b"trak", &media(*b"soun", ticks_a_second, ticks))
}

fn media(handler: [u8; 4], ticks_a_second: u32, ticks: u32) -> Vec<u8> {
    let handler = boxed(*b"hdlr", &[&[0; 8][..], &handler, &[0; 12]].concat());
    boxed(*b"mdia", &[header(*b"mdhd", ticks_a_second, ticks), handler].concat())
}

/// What Apple's encoders write behind the tracks.
pub(in crate::audio) fn tag(name: &str, text: &str) -> Vec<u8> {
    let full = |kind, before: &[u8], text: &str| boxed(kind, &[before, text.as_bytes()].concat());
    let parts = [
        full(*b"mean", &[0; 4], "com.apple.iTunes"),
        full(*b"name", &[0; 4], name),
        full(*b"data", &[0, 0, 0, 1, 0, 0, 0, 0], text),
    ];
    let list = boxed(*b"ilst", &boxed(*b"----", &parts.concat()));
    let handler = boxed(*b"hdlr", &[0; 24]);
    let meta = boxed(*b"meta", &[[0; 4].as_slice(), &handler, &list].concat());
    boxed(*b"udta", &meta)
}

pub(super) fn file(parts: &[Vec<u8>]) -> Vec<u8> {
    let movie = boxed(*b"moov", &[header(*b"mvhd", 1_000, 4_000), parts.concat()].concat());
    [boxed(*b"ftyp", b"M4A "), boxed(*b"mdat", &[7; 40]), movie].concat()
}

/// Frames at 44.1 kHz that are skipped, and those that are heard.
pub(super) fn found(file: &[u8]) -> Option<(u64, Option<u64>)> {
    let edit = read(&mut Cursor::new(file), file.len() as u64)?;
    Some((edit.skipped_frames(44_100), edit.heard_frames(44_100)))
}
