//! Which part of the sound in an MP4 is to be heard, which the container's reader passes over.
//!
//! An encoder needs some samples before the first one and fills up its last block. How many they are stands in the edit list
//! of the track, or, where there is none, in a tag that Apple's encoders and those after their example write.
//!
//! ```text
//! moov ─┬─ mvhd: ticks a second of the movie
//!       ├─ trak ─┬─ mdia ─┬─ mdhd: ticks a second of the track, and its length in them
//!       │        │        └─ hdlr: soun
//!       │        └─ edts ── elst: from which tick of the track on, for how many ticks of the movie
//!       └─ udta ── meta ── ilst ── ---- ─┬─ name: iTunSMPB
//!                                        └─ data: samples before the sound, behind it, and of it
//! ```
//!
//! Source: ISO/IEC 14496-12, sections 4.2 (boxes), 8.2.2, 8.4.2, 8.4.3 and 8.6.6.

mod boxes;
mod edit;
mod edit_list;
mod gapless_tag;
#[cfg(test)]
pub(super) mod testing;

pub(super) use edit::Edit;
pub(super) use edit::read;
