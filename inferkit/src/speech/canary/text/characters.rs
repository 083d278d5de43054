//! Words of overlapping chunks from the times of their tokens.
//!
//! Source: NeMo 3.0.0, `nemo/collections/asr/parts/utils/chunking_utils.py`, `join_char_level_timestamps`, and
//! `timestamp_utils.py`, `get_words_offsets`.

use super::aligner::Character;
use super::timed::Timed;
use super::timed::TimedText;
use super::timed::ends_sentence;
use super::timed::segments;
use crate::formats::sentencepiece::SentencePiece;

/// Marks that belong to the word before them.
const PUNCTUATION: [&str; 4] = [",", ".", "!", "?"];

/// The tokens of one chunk with their times.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct ChunkCharacters<'a> {
    /// In the order in which they are spoken.
    pub(in super::super) characters: &'a [Character],
    /// Encoder frames of the chunk, without padding.
    pub(in super::super) frames: usize,
}

/// Times of the words of a recording in overlapping chunks.
///
/// * `merged`: the tokens of all chunks, joined by [`Merged`](super::Merged)
pub(in super::super) fn join_characters(
    chunks: &[ChunkCharacters<'_>],
    merged: &[u32],
    tokenizer: &SentencePiece,
) -> TimedText {
    let words = words(&keep_merged(chunks, merged), tokenizer);
    TimedText {
        text: tokenizer.decode(merged).trim().to_owned(),
        segments: segments(&words),
        words,
    }
}

/// The sentences among these words that no chunk to come can change: the first of those that
/// [`join_characters`] finds in the whole recording.
///
/// * `chunks`, `merged`: as far as they are known
/// * `settled`: tokens of `merged` that stay as they are
pub(in super::super) fn join_settled_characters(
    chunks: &[ChunkCharacters<'_>],
    merged: &[u32],
    settled: usize,
    tokenizer: &SentencePiece,
) -> TimedText {
    let kept = keep_merged(chunks, merged);
    let mut words = words(kept.get(..settled).unwrap_or(&kept), tokenizer);
    // The last word may go on, or get a mark.
    words.pop();
    words.truncate(words.iter().rposition(ends_sentence).map_or(0, |last| last + 1));
    let segments = segments(&words);
    let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    TimedText {
        text: texts.join(" "),
        segments,
        words,
    }
}

/// A token at its place in the whole recording.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    character: &'a Character,
    start_frame: i64,
    end_frame: i64,
}

/// The tokens that are in `merged`, at their frames in the whole recording, none before the end of the one before it.
///
/// A chunk whose text the aligner could not fit into the sound has no tokens here, as in the original.
fn keep_merged<'a>(chunks: &[ChunkCharacters<'a>], merged: &[u32]) -> Vec<Placed<'a>> {
    let mut kept: Vec<Placed<'a>> = Vec::new();
    let mut offset = 0_i64;
    for chunk in chunks {
        for character in chunk.characters {
            if merged.get(kept.len()) != Some(&character.id) {
                continue;
            }
            let shifted = |frame: i64| if frame < 0 { frame } else { frame.saturating_add(offset) };
            let (mut start, mut end) = (shifted(character.start_frame), shifted(character.end_frame));
            if let Some(before) = kept.last().filter(|before| start < before.end_frame) {
                (start, end) = (before.end_frame, before.end_frame);
            }
            kept.push(Placed {
                character,
                start_frame: start,
                end_frame: end,
            });
        }
        // A second of overlap is a hundred feature columns, eight to a frame.
        let columns = i64::try_from(chunk.frames)
            .unwrap_or(i64::MAX)
            .saturating_mul(8)
            .saturating_sub(100);
        offset = offset.saturating_add(columns.div_euclid(8));
    }
    kept
}

/// A word that is being put together.
#[derive(Debug, Default)]
struct OpenWord<'a> {
    pieces: Vec<&'a Character>,
    start_frame: i64,
}

impl OpenWord<'_> {
    /// The word, which ends at `end_frame`; `None` if it has no tokens.
    fn close(&mut self, end_frame: i64, tokenizer: &SentencePiece) -> Option<Timed> {
        if self.pieces.is_empty() {
            return None;
        }
        let ids: Vec<u32> = self.pieces.drain(..).map(|character| character.id).collect();
        Some(Timed::new(tokenizer.decode(&ids), self.start_frame, end_frame))
    }
}

fn is_mark(character: &Character) -> bool {
    PUNCTUATION.contains(&character.text.as_str())
}

/// Whether the token at `index` begins a word.
fn starts_word(placed: &[Placed<'_>], index: usize) -> bool {
    let characters = |from: usize| placed.iter().skip(from).map(|placed| placed.character);
    let Some(character) = characters(index).next().filter(|character| !is_mark(character)) else {
        return false;
    };
    let mut after = characters(index + 1);
    // A piece prints itself unless it begins with the mark of spaces.
    character.piece != character.text
        || character.text == " " && after.find(|next| next.text != " ").is_some_and(|next| !is_mark(next))
}

fn words(characters: &[Placed<'_>], tokenizer: &SentencePiece) -> Vec<Timed> {
    let mut words: Vec<Timed> = Vec::new();
    let mut open = OpenWord::default();
    let mut previous_end = -1;
    for (index, placed) in characters.iter().enumerate() {
        let character = placed.character;
        if starts_word(characters, index) {
            words.extend(open.close(previous_end, tokenizer));
            if character.text != " " {
                open.start_frame = placed.start_frame;
                open.pieces.push(character);
            }
        } else if is_mark(character) && open.pieces.is_empty() {
            if let Some(last) = words.last_mut() {
                let text = last.text.strip_suffix(' ').unwrap_or(&last.text);
                let text = format!("{text}{}", character.text);
                *last = Timed::new(text, last.start_frame, placed.end_frame);
            }
        } else {
            let is_space = |last: &&Character| matches!(last.piece.as_str(), " " | "_" | "\u{2581}");
            if is_mark(character) && open.pieces.last().is_some_and(is_space) {
                open.pieces.pop();
            }
            if open.pieces.is_empty() {
                open.start_frame = placed.start_frame;
            }
            open.pieces.push(character);
        }
        previous_end = placed.end_frame;
    }
    words.extend(open.close(previous_end, tokenizer));
    if let Some((word, first)) = words.first_mut().zip(characters.first()) {
        *word = Timed::new(word.text.clone(), first.start_frame, word.end_frame);
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Merged;
    use super::super::testing;
    use super::*;

    fn characters(list: &Value) -> Vec<Character> {
        let character = |entry: &Value| Character {
            id: testing::id(&entry["token_id"]),
            piece: entry["token"].as_str().unwrap().to_owned(),
            text: entry["char"].as_str().unwrap().to_owned(),
            start_frame: entry["start_offset"].as_i64().unwrap(),
            end_frame: entry["end_offset"].as_i64().unwrap(),
        };
        list.as_array().unwrap().iter().map(character).collect()
    }

    #[test]
    fn the_characters_of_a_golden_clip_become_its_words_and_segments() {
        let tokenizer = testing::single_tokenizer();
        let golden = testing::golden("canary-1b-v2.aligner.json");
        for case in &golden["cases"].as_array().unwrap()[..4] {
            let characters = characters(&case["char"]["char"]);
            let merged: Vec<u32> = characters.iter().map(|character| character.id).collect();
            let chunk = ChunkCharacters {
                characters: &characters,
                frames: 47,
            };
            let found = join_characters(&[chunk], &merged, &tokenizer);
            let text = case["text"].as_str().unwrap();
            assert_eq!(found.text, text);
            // Seconds follow from frames here, which the aligner has cut off: only frames can be compared.
            testing::check_frames(&found.words, &case["word+segment"], "word", text);
            testing::check_frames(&found.segments, &case["word+segment"], "segment", text);
        }
    }

    /// Tokens of `text` that take two frames each, from frame `start`.
    fn spoken(text: &str, start: i64, tokenizer: &SentencePiece) -> Vec<Character> {
        let ids = tokenizer.encode(text);
        let place = |(index, id): (i64, &u32)| Character {
            id: *id,
            piece: tokenizer.piece(*id).unwrap().to_owned(),
            text: tokenizer.decode(&[*id]),
            start_frame: start + 2 * index,
            end_frame: start + 2 * index + 2,
        };
        (0..).zip(&ids).map(place).collect()
    }

    #[test]
    fn what_two_chunks_share_is_counted_once_and_the_second_is_shifted() {
        let tokenizer = testing::single_tokenizer();
        let first = spoken("The river.", 0, &tokenizer);
        let second = spoken("river. The light.", 1, &tokenizer);
        let merged = tokenizer.encode("The river. The light.");
        assert_eq!(merged.len(), first.len() + second.len() - 2);
        let chunks = [&first, &second].map(|characters| ChunkCharacters { characters, frames: 20 });
        let found = join_characters(&chunks, &merged, &tokenizer);
        let words: Vec<_> = found
            .words
            .iter()
            .map(|word| (word.text.as_str(), word.start_frame, word.end_frame))
            .collect();
        // The second chunk begins ⌊(20·8 − 100)/8⌋ = 7 frames later; its words stand at 5 and 7 in it.
        assert_eq!(
            words,
            [("The", 0, 2), ("river.", 2, 6), ("The", 12, 14), ("light.", 14, 18)]
        );
        let segments: Vec<_> = found.segments.iter().map(|segment| segment.text.as_str()).collect();
        assert_eq!(segments, ["The river.", "The light."]);
    }

    #[test]
    fn sentences_are_settled_early_exactly_as_they_are_in_the_end() {
        let tokenizer = testing::single_tokenizer();
        let texts = [
            "The river runs. The light of the day is on the water, and the boat goes down the river. Go on , then",
            "Go on , then ! The fox ran over the field and the dog ran with the fox. Is the",
            "Is the dog here? The kitchen is warm . The lazy dog lies near the fire, the quick brown fox jumps over it ",
            "jumps over it again. No more",
        ];
        let spoken: Vec<Vec<Character>> = texts.iter().map(|text| spoken(text, 1, &tokenizer)).collect();
        let chunk = |characters| ChunkCharacters {
            characters,
            frames: 125,
        };
        let chunks: Vec<ChunkCharacters<'_>> = spoken.iter().map(|spoken| chunk(spoken)).collect();
        let mut merged = Merged::default();
        let mut found = Vec::new();
        for (count, spoken) in (1..).zip(&spoken) {
            let ids: Vec<u32> = spoken.iter().map(|character| character.id).collect();
            merged.push(&ids, |id| *id);
            for settled in 0..=merged.settled() {
                found.push(join_settled_characters(
                    &chunks[..count],
                    merged.items(),
                    settled,
                    &tokenizer,
                ));
            }
        }
        let whole = join_characters(&chunks, merged.items(), &tokenizer);
        let mut longest = 0;
        for found in found {
            assert!(whole.segments.starts_with(&found.segments), "{found:?}");
            assert!(whole.words.starts_with(&found.words), "{found:?}");
            longest = longest.max(found.segments.len());
        }
        assert!((3..whole.segments.len()).contains(&longest), "{longest} of {whole:?}");
    }

    #[test]
    fn a_token_before_the_end_of_the_one_before_it_moves_there() {
        let tokenizer = testing::single_tokenizer();
        let mut spoken = spoken("The river", 10, &tokenizer);
        spoken[1].start_frame = 3;
        let merged: Vec<u32> = spoken.iter().map(|character| character.id).collect();
        let chunk = ChunkCharacters {
            characters: &spoken,
            frames: 40,
        };
        let found = join_characters(&[chunk], &merged, &tokenizer);
        assert_eq!((found.words[1].start_frame, found.words[1].end_frame), (12, 12));
    }

    #[test]
    fn nothing_spoken_has_no_words() {
        let tokenizer = testing::single_tokenizer();
        assert_eq!(join_characters(&[], &[], &tokenizer), TimedText::default());
    }
}
