//! From states of frames to times of words, segments and tokens.

use super::super::timed::Timed;
use super::super::timed::TimedText;
use std::ops::Range;

use super::Alignment;
use super::labels::Labels;
use crate::formats::sentencepiece::SentencePiece;

/// Marks that take no time of their own.
const PUNCTUATION: [&str; 4] = [",", ".", "!", "?"];

/// A token with its times.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super::super) struct Character {
    /// Id of the token.
    pub(in super::super::super) id: u32,
    /// The text that the token stands for, with the mark of spaces.
    pub(in super::super::super) piece: String,
    /// What it prints alone.
    pub(in super::super::super) text: String,
    /// First encoder frame; −1 where the path does not touch it.
    pub(in super::super::super) start_frame: i64,
    /// Frame behind the last one, likewise.
    pub(in super::super::super) end_frame: i64,
}

/// Begin and end of a state, in seconds; −1 if no frame belongs to it.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: f64,
    end: f64,
}

/// A token of a word in the course of being timed.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    id: u32,
    piece: &'a str,
    span: Span,
    /// Frames, by the seconds as they are before rounding.
    frames: (i64, i64),
}

impl Alignment {
    /// Times of the words and segments of `labels`.
    ///
    /// * `frame_seconds`: length of an encoder frame
    pub(in super::super::super) fn words(&self, labels: &Labels, frame_seconds: f64) -> TimedText {
        let spans = self.spans(labels.y.len(), frame_seconds);
        let words: Vec<Timed> = labels
            .words
            .iter()
            .map(|word| {
                let tokens = tokens(labels, &spans, word.states.clone(), frame_seconds);
                timed(&word.text, tokens.first(), tokens.last())
            })
            .collect();
        let segments = labels.segments.iter().filter_map(|range| {
            let words = words.get(range.clone())?;
            let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            let (first, last) = (words.first()?, words.last()?);
            Some(Timed {
                text: texts.join(" "),
                start_frame: first.start_frame,
                start_seconds: first.start_seconds,
                end_frame: last.end_frame,
                end_seconds: last.end_seconds,
            })
        });
        let segments: Vec<Timed> = segments.collect();
        let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
        TimedText {
            text: texts.join(" "),
            segments,
            words,
        }
    }

    /// Times of the single tokens of `labels`.
    pub(in super::super::super) fn characters(
        &self,
        labels: &Labels,
        tokenizer: &SentencePiece,
        frame_seconds: f64,
    ) -> Vec<Character> {
        let spans = self.spans(labels.y.len(), frame_seconds);
        let words = labels.words.iter();
        let tokens = words.flat_map(|word| tokens(labels, &spans, word.states.clone(), frame_seconds));
        tokens
            .map(|token| Character {
                id: token.id,
                piece: token.piece.to_owned(),
                text: tokenizer.decode(&[token.id]),
                start_frame: token.frames.0,
                end_frame: token.frames.1,
            })
            .collect()
    }

    /// When the path is in each of `count` states.
    fn spans(&self, count: usize, frame_seconds: f64) -> Vec<Span> {
        let mut spans = vec![Span { start: -1.0, end: -1.0 }; count];
        for (frame, state) in self.states.iter().enumerate() {
            let Some(span) = spans.get_mut(*state) else { continue };
            if span.start < 0.0 {
                span.start = frame as f64 * frame_seconds;
            }
            span.end = (frame + 1) as f64 * frame_seconds;
        }
        spans
    }
}

/// The tokens among `states`, with marks of punctuation moved to the end of the token before them.
fn tokens<'a>(labels: &'a Labels, spans: &[Span], states: Range<usize>, frame_seconds: f64) -> Vec<Token<'a>> {
    let mut tokens: Vec<Token<'a>> = Vec::new();
    // Every second state is a blank.
    for state in states.step_by(2) {
        let Some((id, span)) = labels.y.get(state).zip(spans.get(state)) else {
            continue;
        };
        let piece = labels.pieces.get(state / 2).map(String::as_str).unwrap_or_default();
        let mut token = Token {
            id: *id,
            piece,
            span: Span {
                start: rounded(span.start),
                end: rounded(span.end),
            },
            frames: (frame(span.start, frame_seconds), frame(span.end, frame_seconds)),
        };
        if let Some(before) = tokens.last().filter(|_| PUNCTUATION.contains(&piece)) {
            let end = before.span.end;
            token.span = Span { start: end, end };
            token.frames = (frame(end, frame_seconds), frame(end, frame_seconds));
        }
        tokens.push(token);
    }
    tokens
}

fn timed(text: &str, first: Option<&Token<'_>>, last: Option<&Token<'_>>) -> Timed {
    Timed {
        text: text.to_owned(),
        start_frame: first.map_or(-1, |token| token.frames.0),
        start_seconds: first.map_or(-1.0, |token| token.span.start),
        end_frame: last.map_or(-1, |token| token.frames.1),
        end_seconds: last.map_or(-1.0, |token| token.span.end),
    }
}

/// The frame of a time, cut off and not rounded, as the original does.
#[expect(
    clippy::cast_possible_truncation,
    reason = "recordings have far fewer than 2⁶³ frames"
)]
fn frame(seconds: f64, frame_seconds: f64) -> i64 {
    if seconds < 0.0 {
        -1
    } else {
        (seconds / frame_seconds) as i64
    }
}

/// To hundredths of a second.
fn rounded(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;

    fn alignment(case: &serde_json::Value) -> Alignment {
        let states = case["alignment"]
            .as_array()
            .unwrap()
            .iter()
            .map(testing::size)
            .collect();
        Alignment { states }
    }

    #[test]
    fn words_segments_and_characters_of_golden_paths_are_the_golden_ones() {
        let tokenizer = testing::single_tokenizer();
        let golden = testing::golden("canary-1b-v2.aligner.json");
        let blank = testing::id(&golden["blank_id"]);
        let seconds = golden["frame_seconds"].as_f64().unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let (text, frames) = (case["text"].as_str().unwrap(), testing::size(&case["T"]));
            let alignment = alignment(case);
            let labels = Labels::of_words(text, &tokenizer, blank, frames);
            testing::check_times(&alignment.words(&labels, seconds), &case["word+segment"], text);
            let Some(expected) = case["char"]["char"]
                .as_array()
                .filter(|list| same_tokens(case, &labels, list))
            else {
                continue;
            };
            let found = alignment.characters(&labels, &tokenizer, seconds);
            assert_eq!(found.len(), expected.len(), "{text}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.id, testing::id(&expected["token_id"]), "{text}");
                assert_eq!(found.text, expected["char"].as_str().unwrap(), "{text}");
                assert_eq!(found.piece, expected["token"].as_str().unwrap(), "{text}");
                assert_eq!(
                    found.start_frame,
                    expected["start_offset"].as_i64().unwrap(),
                    "{text}: {expected}"
                );
                assert_eq!(
                    found.end_frame,
                    expected["end_offset"].as_i64().unwrap(),
                    "{text}: {expected}"
                );
            }
        }
    }

    /// Whether the text as one word has the tokens of its words: then the golden path is that of both.
    fn same_tokens(case: &serde_json::Value, labels: &Labels, list: &[serde_json::Value]) -> bool {
        let whole: Vec<u32> = list
            .iter()
            .map(|character| testing::id(&character["token_id"]))
            .collect();
        let of_words: Vec<u32> = labels.y.iter().skip(1).step_by(2).copied().collect();
        whole == of_words && !case["text"].as_str().unwrap_or_default().is_empty()
    }
}
