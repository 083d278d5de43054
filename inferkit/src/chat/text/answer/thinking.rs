//! Tells an answer from the thinking before it.

use super::stop::overlap;

/// The tag before the thinking part.
pub(super) const OPEN: &str = "<think>";
/// The tag behind it.
pub(super) const CLOSE: &str = "</think>";

/// A piece of an answer's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Of the thinking part, trimmed at both ends.
    Thought(String),
    /// Of the answer proper.
    Answer(String),
}

/// Splits `<think>…</think>` off the beginning of a text.
#[derive(Debug)]
pub(super) struct Thinking {
    state: State,
    held: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing but blanks and perhaps a part of the tag has come.
    Start { opened_by_prompt: bool },
    /// Between the tags. `spaces` waits for more text, since the end of the part is trimmed.
    Inside { begun: bool, spaces: String },
    /// Blanks behind the closing tag.
    After,
    /// In the answer; nothing is looked for any more.
    Answer,
}

impl Thinking {
    /// Looks for a thinking part, which the prompt may already have opened.
    pub(super) const fn new(opened_by_prompt: bool) -> Self {
        Self {
            state: State::Start { opened_by_prompt },
            held: String::new(),
        }
    }

    /// Looks for nothing: all text is the answer.
    pub(super) const fn none() -> Self {
        Self {
            state: State::Answer,
            held: String::new(),
        }
    }

    /// Whether the text has arrived in the thinking part.
    pub(super) const fn is_inside(&self) -> bool {
        matches!(
            self.state,
            State::Inside { .. } | State::Start { opened_by_prompt: true }
        )
    }

    /// Whether the text has arrived in the answer.
    pub(super) fn is_answer(&self) -> bool {
        self.state == State::Answer
    }

    /// Takes more text; returns what is decided.
    pub(super) fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        while self.advance(&mut parts) {}
        parts
    }

    /// Ends the text: what was held back is what it was so far.
    pub(super) fn finish(&mut self) -> Vec<Part> {
        let held = std::mem::take(&mut self.held);
        let mut parts = Vec::new();
        match std::mem::replace(&mut self.state, State::Answer) {
            State::Start {
                opened_by_prompt: false,
            } => push_answer(&mut parts, held),
            State::Start { opened_by_prompt: true } => think(&mut parts, &mut false, &mut String::new(), &held),
            State::Inside { mut begun, mut spaces } => think(&mut parts, &mut begun, &mut spaces, &held),
            State::After | State::Answer => {}
        }
        parts
    }

    /// Moves by one state; whether there may be more to do.
    fn advance(&mut self, parts: &mut Vec<Part>) -> bool {
        match &mut self.state {
            State::Start { opened_by_prompt } => {
                let opened = *opened_by_prompt;
                let begun = self.held.trim_start();
                if let Some(rest) = begun.strip_prefix(OPEN) {
                    self.held = rest.to_owned();
                    self.state = State::Inside {
                        begun: false,
                        spaces: String::new(),
                    };
                } else if OPEN.starts_with(begun) {
                    return false;
                } else if opened {
                    self.state = State::Inside {
                        begun: false,
                        spaces: String::new(),
                    };
                } else {
                    self.state = State::Answer;
                }
                true
            }
            State::Inside { begun, spaces } => {
                let close = self.held.find(CLOSE);
                let end = close.unwrap_or_else(|| self.held.len() - overlap(&self.held, CLOSE));
                let thought: String = self.held.drain(..end).collect();
                think(parts, begun, spaces, &thought);
                if close.is_some() {
                    self.held.drain(..CLOSE.len());
                    self.state = State::After;
                }
                close.is_some()
            }
            State::After => {
                self.held = self.held.trim_start().to_owned();
                if !self.held.is_empty() {
                    self.state = State::Answer;
                }
                !self.held.is_empty()
            }
            State::Answer => {
                push_answer(parts, std::mem::take(&mut self.held));
                false
            }
        }
    }
}

/// Adds text of the thinking part, without blanks at its beginning or end.
fn think(parts: &mut Vec<Part>, begun: &mut bool, spaces: &mut String, text: &str) {
    let text = if *begun { text } else { text.trim_start() };
    let kept = text.trim_end();
    if !kept.is_empty() {
        let mut thought = std::mem::take(spaces);
        thought.push_str(kept);
        parts.push(Part::Thought(thought));
        *begun = true;
    }
    spaces.push_str(text.get(kept.len()..).unwrap_or_default());
}

fn push_answer(parts: &mut Vec<Part>, text: String) {
    if !text.is_empty() {
        parts.push(Part::Answer(text));
    }
}
