//! The tag `iTunSMPB`, in which Apple's encoders and those after their example say what they put around the sound.
//!
//! Its text is hexadecimal numbers: zero, samples before the sound, samples behind it, samples of it, and zeros.
//!
//! ```text
//!  00000000 00000840 000001CA 00000000003F31F6 00000000 00000000 …
//! ```
//!
//! Source: no standard; Apple's Technical Note TN2258 tells what the numbers are for, files tell their order.

use std::io::Read;
use std::io::Seek;
use std::ops::Range;

use super::boxes::Boxes;
use super::edit::Clock;
use super::edit::Edit;
use super::edit::Ticks;

/// Most bytes of a tag's name or text: those of the text above are some 130.
const MOST_BYTES: usize = 1_024;

/// Most samples that an encoder puts before or behind the sound: sixteen blocks. More is no such number.
const MOST_PADDING: u64 = 16 * 1_024;

/// Samples by which the parts may fall short of the track: two blocks of the longest kind.
const SLACK: u64 = 2 * 2_048;

/// Sampling rates of AAC. A clock that ticks otherwise does not count samples.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// What a tag says, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    before: u64,
    behind: u64,
    sound: u64,
}

/// What a movie's tag keeps of its sound track; `None` where there is no tag, or it says what cannot be.
///
/// A length that would take away more than what was put around the sound is passed over: the rest of the tag stands.
pub(super) fn edit<S: Read + Seek>(boxes: &mut Boxes<'_, S>, movie: &Range<u64>, clock: Clock) -> Option<Edit> {
    let counts = counts(&text(boxes, movie)?)?;
    let is_sound = counts.before <= MOST_PADDING && counts.behind <= MOST_PADDING;
    if !is_sound || !RATES.contains(&clock.ticks_a_second) {
        return None;
    }
    let samples = |count| Ticks {
        count,
        a_second: clock.ticks_a_second,
    };
    let parts = counts.sound.saturating_add(counts.before).saturating_add(counts.behind);
    let is_whole = clock.ticks > 0 && parts.saturating_add(SLACK) >= clock.ticks;
    Some(Edit {
        skipped: samples(counts.before),
        heard: (is_whole && counts.sound > 0).then(|| samples(counts.sound)),
    })
}

/// The text of the tag.
fn text<S: Read + Seek>(boxes: &mut Boxes<'_, S>, movie: &Range<u64>) -> Option<Vec<u8>> {
    let user_data = boxes.find(*b"udta", &mut movie.clone())?;
    let mut meta = boxes.find(*b"meta", &mut user_data.clone())?;
    // QuickTime's kind of the box has no version before its content.
    if boxes.bytes(&meta, 0)? == [0; 4] {
        meta.start = meta.start.checked_add(4)?;
    }
    let mut tags = boxes.find(*b"ilst", &mut meta)?;
    loop {
        let tag = boxes.find(*b"----", &mut tags)?;
        let Some(name) = boxes.find(*b"name", &mut tag.clone()) else {
            continue;
        };
        // Both begin with version and kind; the data with a locale as well.
        if boxes.rest(&name, 4, MOST_BYTES).as_deref() == Some(b"iTunSMPB") {
            let data = boxes.find(*b"data", &mut tag.clone())?;
            return boxes.rest(&data, 8, MOST_BYTES);
        }
    }
}

fn counts(text: &[u8]) -> Option<Counts> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text
        .split([' ', '\0'])
        .filter(|field| !field.is_empty())
        .map(|field| u64::from_str_radix(field, 16).ok());
    let mut next = || numbers.next().flatten();
    let [_, before, behind, sound] = [next()?, next()?, next()?, next()?];
    Some(Counts { before, behind, sound })
}

#[cfg(test)]
mod tests {
    use super::super::testing::bare_track;
    use super::super::testing::boxed;
    use super::super::testing::file;
    use super::super::testing::found;
    use super::super::testing::tag;
    use super::super::testing::track;

    /// 4144128 samples: 2112, then 4141558, then 458.
    const TEXT: &str = " 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000";
    const SAMPLES: u32 = 4_144_128;

    fn tagged(text: &str) -> Vec<u8> {
        file(&[bare_track(44_100, SAMPLES), tag("iTunSMPB", text)])
    }

    #[test]
    fn the_tag_says_what_to_drop_and_how_much_to_keep() {
        assert_eq!(found(&tagged(TEXT)), Some((2_112, Some(4_141_558))));
        let unknown = TEXT.replace("3F31F6", "000000");
        assert_eq!(found(&tagged(&unknown)), Some((2_112, None)));
    }

    #[test]
    fn samples_are_those_of_the_track() {
        let half = file(&[bare_track(22_050, SAMPLES), tag("iTunSMPB", TEXT)]);
        assert_eq!(found(&half), Some((4_224, Some(8_283_116))));
    }

    #[test]
    fn it_is_found_among_other_tags_and_behind_a_header_without_a_version() {
        let ours = tag("iTunSMPB", TEXT);
        let meta = &ours[8 + 8 + 4..];
        let plain = boxed(*b"udta", &boxed(*b"meta", meta));
        assert_eq!(found(&file(&[bare_track(44_100, SAMPLES), plain])).unwrap().0, 2_112);
        let list = &meta[32 + 8..];
        let nameless = boxed(*b"----", &[]);
        let other = boxed(*b"----", &boxed(*b"name", b"\0\0\0\0iTunNORM"));
        let several = boxed(*b"ilst", &[&nameless, &other, list].concat());
        let several = boxed(*b"udta", &boxed(*b"meta", &[&[0; 4], several.as_slice()].concat()));
        assert_eq!(found(&file(&[bare_track(44_100, SAMPLES), several])).unwrap().0, 2_112);
    }

    #[test]
    fn an_edit_list_is_believed_in_its_place() {
        let entry = [1_u32, 1_500, 1_024, 0x1_0000].map(u32::to_be_bytes).concat();
        let list = boxed(*b"elst", &[&[0; 4], entry.as_slice()].concat());
        let both = file(&[track(*b"soun", &list), tag("iTunSMPB", TEXT)]);
        assert_eq!(found(&both), Some((1_024, Some(66_150))));
        let empty = file(&[track(*b"soun", &[]), tag("iTunSMPB", TEXT)]);
        assert_eq!(
            found(&empty).unwrap().0,
            2_112,
            "a box of edits without a list says nothing"
        );
    }

    #[test]
    fn what_cannot_be_is_passed_over() {
        assert_eq!(found(&tagged(&TEXT.replace("3F31F6", "000001"))), Some((2_112, None)));
        assert_eq!(
            found(&tagged(&TEXT.replace("00000000003F31F6", "FFFFFFFFFFFFFFFF"))),
            Some((2_112, Some(u64::MAX)))
        );
        for wrong in [
            TEXT.replace("0840", "4001"),
            TEXT.replace("0000840", "FFFFFFF"),
            TEXT.replace("01CA", "4001"),
            TEXT.replace("0840", "084G"),
            " 00000000 00000840 000001CA".to_owned(),
            String::new(),
            TEXT.repeat(20),
        ] {
            assert_eq!(found(&tagged(&wrong)), None, "{wrong}");
        }
        let binary = file(&[bare_track(44_100, SAMPLES), tag("iTunNORM", TEXT)]);
        assert_eq!(found(&binary), None, "another tag");
        let slow = file(&[bare_track(600, SAMPLES), tag("iTunSMPB", TEXT)]);
        assert_eq!(found(&slow), None, "its ticks are no samples");
        let endless = file(&[bare_track(44_100, 0), tag("iTunSMPB", TEXT)]);
        assert_eq!(
            found(&endless),
            Some((2_112, None)),
            "how long the track is nobody knows"
        );
    }

    #[test]
    fn every_cut_and_every_lie_about_a_size_ends() {
        let whole = tagged(TEXT);
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
}
