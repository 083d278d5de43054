//! The edit list of a track; one that does more than cut both ends is left alone.

use std::io::Read;
use std::io::Seek;
use std::ops::Range;

use super::boxes::Boxes;
use super::edit::Edit;
use super::edit::Ticks;

/// Most entries of a list that are looked at.
const MOST_ENTRIES: u32 = 16;

/// The one edit of a list that keeps something.
///
/// * `movie_ticks`, `track_ticks`: those of a second
pub(super) fn edit<S: Read + Seek>(
    boxes: &mut Boxes<'_, S>,
    list: &Range<u64>,
    [movie_ticks, track_ticks]: [u32; 2],
) -> Option<Edit> {
    let [version] = boxes.bytes(list, 0)?;
    let count = u32::from_be_bytes(boxes.bytes(list, 4)?);
    let mut kept = None;
    for index in 0..count.min(MOST_ENTRIES) {
        let size = if version == 0 { 12 } else { 20 };
        let at = 8 + u64::from(index) * size;
        let (length, start) = if version == 0 {
            let start = i32::from_be_bytes(boxes.bytes(list, at + 4)?);
            (u64::from(u32::from_be_bytes(boxes.bytes(list, at)?)), i64::from(start))
        } else {
            let start = i64::from_be_bytes(boxes.bytes(list, at + 8)?);
            (u64::from_be_bytes(boxes.bytes(list, at)?), start)
        };
        // An entry below zero is silence before the sound, which takes nothing away.
        let Ok(start) = u64::try_from(start) else { continue };
        let edit = Edit {
            skipped: Ticks {
                count: start,
                a_second: track_ticks,
            },
            heard: (length > 0).then_some(Ticks {
                count: length,
                a_second: movie_ticks,
            }),
        };
        if kept.replace(edit).is_some() {
            return None;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::boxes::MOST_BOXES;
    use super::super::testing::boxed;
    use super::super::testing::file;
    use super::super::testing::found;
    use super::super::testing::track;

    fn list(entries: &[(u32, i32)]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let mut content = [[0; 4], count.to_be_bytes()].concat();
        for (length, start) in entries {
            content.extend([length.to_be_bytes(), start.to_be_bytes(), [0, 1, 0, 0]].concat());
        }
        boxed(*b"elst", &content)
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
