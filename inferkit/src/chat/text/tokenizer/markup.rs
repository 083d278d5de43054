//! The strings that a tokenizer reads as control tokens or tags.

use std::collections::HashMap;

use tokenizers::AddedToken;

/// Strings such as `<|im_end|>` and `<think>` that stand for one token with a meaning of its own.
///
/// Added tokens that are mere words (runs of spaces, names of entities) are not among them.
#[derive(Debug, Default)]
pub(crate) struct Markup {
    /// By first character, longest first: the crate `tokenizers` takes the longest too.
    by_opener: HashMap<char, Vec<Token>>,
    openers: Vec<char>,
    /// Every proper end of a string, by first character.
    ends: HashMap<char, Vec<String>>,
}

/// One string and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    /// A tag (`<think>`, `<tool_call>`) that a model writes and reads in its own turns.
    tag: bool,
}

/// Tags that templates look for in an assistant's words, whatever the tokenizer calls them.
const TAGS: [&str; 6] = [
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
];

impl Markup {
    /// Sorts out the markup among a tokenizer's added tokens.
    pub(in crate::chat::text) fn new<'a>(added: impl Iterator<Item = &'a AddedToken>) -> Self {
        let mut markup = Self::default();
        for token in added.filter(|token| is_markup(token)) {
            let Some(opener) = token.content.chars().next() else {
                continue;
            };
            let tag = !token.special || TAGS.contains(&token.content.as_str());
            markup.by_opener.entry(opener).or_default().push(Token {
                text: token.content.clone(),
                tag,
            });
            for (at, first) in token.content.char_indices().skip(1) {
                if let Some(end) = token.content.get(at..) {
                    markup.ends.entry(first).or_default().push(end.to_owned());
                }
            }
        }
        for tokens in markup.by_opener.values_mut() {
            tokens.sort_by(|one, other| {
                other
                    .text
                    .len()
                    .cmp(&one.text.len())
                    .then_with(|| one.text.cmp(&other.text))
            });
        }
        for ends in markup.ends.values_mut() {
            ends.sort();
            ends.dedup();
        }
        markup.openers = markup.by_opener.keys().copied().collect();
        markup
    }

    /// The next place at or after `from` where a markup string could begin.
    pub(crate) fn next_opener(&self, text: &str, from: usize) -> Option<usize> {
        text.get(from..)?.find(self.openers.as_slice()).map(|at| from + at)
    }

    /// Length in bytes of the markup string with which `text` begins.
    pub(crate) fn at_start(&self, text: &str) -> Option<usize> {
        self.token_at(text).map(|token| token.text.len())
    }

    /// Length in bytes of the tag with which `text` begins.
    pub(crate) fn tag_at_start(&self, text: &str) -> Option<usize> {
        self.token_at(text)
            .filter(|token| token.tag)
            .map(|token| token.text.len())
    }

    fn token_at(&self, text: &str) -> Option<&Token> {
        let opener = text.chars().next()?;
        self.by_opener
            .get(&opener)?
            .iter()
            .find(|token| text.starts_with(&token.text))
    }

    /// Whether `text`, put behind other text, could complete a markup string or be the middle of one.
    pub(crate) fn may_continue_with(&self, text: &str) -> bool {
        let Some(first) = text.chars().next() else { return false };
        let ends = self.ends.get(&first).map_or(&[][..], Vec::as_slice);
        ends.iter()
            .any(|end| text.starts_with(end.as_str()) || end.starts_with(text))
    }
}

/// Control tokens, and added tokens written like tags (`<…>`, `[…]`, `{…}`).
fn is_markup(token: &AddedToken) -> bool {
    token.special
        || token
            .content
            .starts_with(|first: char| first.is_ascii_punctuation() || first == '｜')
}
