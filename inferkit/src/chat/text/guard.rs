//! Keeps a caller's text from becoming control tokens.
//!
//! A tokenizer reads `<|im_end|>` as the end of a turn wherever it stands, so a prompt that is
//! rendered and encoded in one go lets a message end its own turn. Encoding messages apart from the
//! template is no way out: templates trim, split, join and JSON-encode what they are given. Instead
//!
//! 1. a *mark*, a character that stands in no text of the request, is put behind every character of
//!    a caller's text with which a markup string could begin (`<` becomes `<` + mark), and before a
//!    caller's text that could be the rest of one begun by the template (`'<' ~ name ~ '>'`);
//! 2. the template renders as usual: a mark is no space and no quote, and goes where its text goes;
//! 3. what still reads as a markup string in the rendered text is the template's own, because every
//!    one that holds a caller's character is cut by a mark. The marks are taken out, and where
//!    caller's text reads as markup without them, its stretch is encoded as plain words.
//!
//! A request without such text is encoded in one go, exactly as the reference does it. Marks break
//! even strings that a template makes by cutting a caller's text (`replace`, `split` and `join`).
//!
//! An assistant's earlier words keep their tags (`<think>`, `<tool_call>`): they are the model's own,
//! and templates look for them to drop old thinking. Control tokens in them are plain like all others.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::tokenizer::Markup;
use super::tokenizer::Tokenizer;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;

/// Words of JSON schemas and tool descriptions that templates compare and look up: left as they are
/// even where a markup string contains them, such as `name` in `<|repo_name|>`.
const STRUCTURE: [&str; 22] = [
    "type",
    "function",
    "name",
    "description",
    "parameters",
    "properties",
    "required",
    "items",
    "enum",
    "default",
    "arguments",
    "return",
    "id",
    "anyOf",
    "string",
    "number",
    "integer",
    "boolean",
    "object",
    "array",
    "null",
    "title",
];

/// Characters that may serve as marks: those that Unicode keeps free of meaning, then private ones.
fn candidates() -> impl Iterator<Item = char> {
    let free = '\u{FDD0}'..='\u{FDEF}';
    let private = '\u{F0000}'..='\u{FFFFD}';
    free.chain(private)
}

/// Whether `character` is among [`candidates`].
pub(super) const fn is_candidate(character: char) -> bool {
    matches!(character, '\u{FDD0}'..='\u{FDEF}' | '\u{F0000}'..='\u{FFFFD}')
}

/// Puts marks into a caller's texts and reads them in a rendered prompt.
pub(super) struct Guard<'a> {
    markup: &'a Markup,
    mark: Option<char>,
}

impl<'a> Guard<'a> {
    /// A guard that marks nothing, to build what is looked through for a free character.
    pub(super) const fn off(markup: &'a Markup) -> Self {
        Self { markup, mark: None }
    }

    /// A guard whose mark stands in none of `texts`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the texts use all of the 65,566 characters that could serve.
    pub(super) fn new<'t>(markup: &'a Markup, texts: impl Iterator<Item = &'t str>) -> Result<Self> {
        let used: HashSet<char> = texts
            .flat_map(str::chars)
            .filter(|&character| is_candidate(character))
            .collect();
        let mark = candidates()
            .find(|character| !used.contains(character))
            .ok_or_else(|| {
                Error::invalid(
                    RequestFault::InvalidValue,
                    "messages",
                    "the messages use every private character there is; leave one of U+FDD0 to U+FDEF free",
                )
            })?;
        Ok(Self {
            markup,
            mark: Some(mark),
        })
    }

    /// Marks a caller's text: none of it will be read as markup.
    pub(super) fn data<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.marked(text, |_| None)
    }

    /// Marks an assistant's words: tags stay tags, control tokens become plain.
    pub(super) fn words<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.marked(text, |rest| self.markup.tag_at_start(rest))
    }

    fn marked<'t>(&self, text: &'t str, kept: impl Fn(&str) -> Option<usize>) -> Cow<'t, str> {
        let Some(mark) = self.mark.filter(|_| !STRUCTURE.contains(&text)) else {
            return Cow::Borrowed(text);
        };
        let continues = self.markup.may_continue_with(text);
        if !continues && self.markup.next_opener(text, 0).is_none() {
            return Cow::Borrowed(text);
        }
        let mut marked = String::with_capacity(text.len() + 16);
        if continues {
            marked.push(mark);
        }
        let mut done = 0;
        while let Some(at) = self.markup.next_opener(text, done) {
            let rest = text.get(at..).unwrap_or_default();
            let (len, is_kept) = match kept(rest) {
                Some(len) => (len, true),
                None => (rest.chars().next().map_or(1, char::len_utf8), false),
            };
            marked.push_str(text.get(done..at + len).unwrap_or_default());
            if !is_kept {
                marked.push(mark);
            }
            done = at + len;
        }
        marked.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(marked)
    }

    /// Takes the marks out of a rendered prompt and remembers which markup is the template's own.
    pub(super) fn read(&self, rendered: &str) -> GuardedText {
        let text = match self.mark {
            Some(mark) => rendered.replace(mark, ""),
            None => rendered.to_owned(),
        };
        // Places in the rendered text, moved left by the marks before them.
        let mut removed = 0;
        let mut counted = 0;
        let own = matches(self.markup, rendered)
            .into_iter()
            .map(|span| {
                if let Some(mark) = self.mark {
                    let passed = rendered.get(counted..span.start).unwrap_or_default();
                    removed += passed.matches(mark).count() * mark.len_utf8();
                    counted = span.start;
                }
                span.start - removed..span.end - removed
            })
            .collect();
        let all = matches(self.markup, &text);
        GuardedText { text, own, all }
    }
}

/// A rendered prompt with the places of its markup.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GuardedText {
    /// What the template rendered.
    pub(super) text: String,
    /// Markup of the template's own, in order.
    own: Vec<Range<usize>>,
    /// Whatever reads as markup, in order.
    all: Vec<Range<usize>>,
}

impl GuardedText {
    /// Encodes the prompt: the template's markup as its tokens, everything else as plain words.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(super) fn encode(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        if self.own == self.all {
            return tokenizer.encode(&self.text);
        }
        let mut ids = Vec::new();
        let mut done = 0;
        let end = self.text.len();
        for own in self.own.iter().cloned().chain(std::iter::once(end..end)) {
            self.encode_between(done..own.start, tokenizer, &mut ids)?;
            ids.extend(tokenizer.encode(self.text.get(own.clone()).unwrap_or_default())?);
            done = own.end;
        }
        Ok(ids)
    }

    /// Encodes a stretch without markup of the template's own.
    fn encode_between(&self, stretch: Range<usize>, tokenizer: &Tokenizer, ids: &mut Vec<u32>) -> Result<()> {
        let text = self.text.get(stretch.clone()).unwrap_or_default();
        let is_forged = self
            .all
            .iter()
            .any(|span| span.start < stretch.end && stretch.start < span.end);
        ids.extend(if is_forged {
            tokenizer.encode_plain(text)?
        } else {
            tokenizer.encode(text)?
        });
        Ok(())
    }
}

/// Every markup string in `text`, from the left, the longest at each place.
fn matches(markup: &Markup, text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(at) = markup.next_opener(text, from) {
        let rest = text.get(at..).unwrap_or_default();
        if let Some(len) = markup.at_start(rest) {
            spans.push(at..at + len);
            from = at + len;
        } else {
            from = at + rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    spans
}
