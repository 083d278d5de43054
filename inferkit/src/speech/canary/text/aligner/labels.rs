//! The states that a recording goes through while a text is spoken.

use std::ops::Range;

use crate::formats::sentencepiece::SentencePiece;
use crate::formats::sentencepiece::TextPiece;

/// How the tokenizer spells a token that it lacks.
const UNKNOWN_TEXT: char = '\u{2047}';

/// The tokens of a text with blanks between them, and which of them are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super::super) struct Labels {
    /// `blank, t₁, blank, t₂, …, blank`; only the blank where there is nothing to align.
    pub(super) y: Vec<u32>,
    /// The text of each token; the token `k` is the state `2k + 1`.
    pub(super) pieces: Vec<String>,
    /// In the order of the text.
    pub(super) words: Vec<LabelledWord>,
    /// Which words each segment consists of.
    pub(super) segments: Vec<Range<usize>>,
}

/// A word and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelledWord {
    pub(super) text: String,
    /// Its states, from its first token to its last, blanks between them included.
    pub(super) states: Range<usize>,
}

impl Labels {
    /// The labels of `text`, word by word.
    ///
    /// * `blank`: the id of the blank, the last of the model's classes
    /// * `frames`: length of the recording; a text of more tokens is not aligned
    pub(in super::super::super) fn of_words(text: &str, tokenizer: &SentencePiece, blank: u32, frames: usize) -> Self {
        let text = collapse_spaces(text);
        if text.is_empty() || tokenizer.encode(&text).len() > frames {
            return Self::nothing(blank);
        }
        let mut labels = Self::nothing(blank);
        for segment in segments(&text) {
            let first = labels.words.len();
            for word in segment.split(' ') {
                labels.push(word, word_tokens(word, tokenizer), blank);
            }
            if labels.words.len() > first {
                labels.segments.push(first..labels.words.len());
            }
        }
        labels
    }

    /// The labels of `text` as one word, for times of single tokens.
    pub(in super::super::super) fn of_characters(
        text: &str,
        tokenizer: &SentencePiece,
        blank: u32,
        frames: usize,
    ) -> Self {
        let text = collapse_spaces(text);
        let mut labels = Self::nothing(blank);
        if text.is_empty() || tokenizer.encode(&text).len() > frames {
            return labels;
        }
        labels.push(&text, word_tokens(&text, tokenizer), blank);
        labels.segments = (0..labels.words.len()).map(|word| word..word + 1).collect();
        labels
    }

    /// The classes that the states stand for, for [`LogProbabilities`](super::LogProbabilities).
    pub(in super::super::super) fn classes(&self) -> &[u32] {
        &self.y
    }

    fn nothing(blank: u32) -> Self {
        Self {
            y: vec![blank],
            pieces: Vec::new(),
            words: Vec::new(),
            segments: Vec::new(),
        }
    }

    fn push(&mut self, text: &str, tokens: Vec<TextPiece>, blank: u32) {
        if tokens.is_empty() {
            return;
        }
        let first = self.y.len();
        for token in tokens {
            self.y.extend([token.id, blank]);
            self.pieces.push(token.text);
        }
        self.words.push(LabelledWord {
            text: text.to_owned(),
            states: first..self.y.len() - 1,
        });
    }
}

fn collapse_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Sentences: cut behind a mark that a space follows.
fn segments(text: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(['.', '?', '!']) {
        if text.get(at + 1..).is_some_and(|rest| rest.starts_with(' ')) {
            segments.push(text.get(start..=at).unwrap_or_default().trim());
            start = at + 1;
        }
    }
    segments.push(text.get(start..).unwrap_or_default().trim());
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// The tokens of a word alone; where it prints an unknown token, that token.
fn word_tokens(word: &str, tokenizer: &SentencePiece) -> Vec<TextPiece> {
    let mut tokens = Vec::new();
    for (index, part) in word.split(UNKNOWN_TEXT).enumerate() {
        if index > 0 {
            tokens.push(TextPiece {
                id: tokenizer.unknown_id(),
                text: UNKNOWN_TEXT.to_string(),
            });
        }
        tokens.extend(tokenizer.cut(part));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;

    #[test]
    fn labels_are_the_golden_ones() {
        let tokenizer = testing::single_tokenizer();
        let golden = testing::golden("canary-1b-v2.aligner.json");
        let blank = testing::id(&golden["blank_id"]);
        for case in golden["cases"].as_array().unwrap() {
            let (text, frames) = (case["text"].as_str().unwrap(), testing::size(&case["T"]));
            let labels = Labels::of_words(text, &tokenizer, blank, frames);
            assert_eq!(labels.y, testing::ids(&case["y"]), "{text:?}");
        }
    }

    #[test]
    fn a_sentence_ends_only_where_a_space_follows() {
        assert_eq!(
            segments("One. Two? 3.5 is it... Yes!"),
            ["One.", "Two?", "3.5 is it...", "Yes!"]
        );
        assert_eq!(segments("no mark"), ["no mark"]);
        assert_eq!(segments(". . a"), [".", ".", "a"]);
    }

    #[test]
    fn a_word_that_prints_an_unknown_token_keeps_it() {
        let tokenizer = testing::single_tokenizer();
        let tokens: Vec<u32> = word_tokens("the\u{2047}the", &tokenizer)
            .iter()
            .map(|token| token.id)
            .collect();
        let the = tokenizer.encode("the");
        assert_eq!(tokens, [the.as_slice(), &[tokenizer.unknown_id()], &the].concat());
    }
}
