//! Finds the function calls that Qwen and Hermes models write into their answers.
//!
//! `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, anywhere in the answer. A call comes out
//! when it is whole and sound: what turns out broken is text, tags included, and nothing is lost.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::ObjectEnd;
use super::stop::overlap;

/// The tag before a call.
pub(super) const OPEN: &str = "<tool_call>";
/// The tag behind it.
pub(super) const CLOSE: &str = "</tool_call>";

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text for the reader.
    Text(String),
    /// A call.
    Call(Call),
}

/// A call as the model wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The function.
    pub(super) name: String,
    /// A JSON object, verbatim.
    pub(super) arguments: String,
}

/// Splits calls off a text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    state: State,
    held: String,
    calls: usize,
    /// Blanks at the end of the text, kept only if more text or no call follows.
    spaces: String,
    /// Whether any text was released.
    has_text: bool,
    /// Whether text was released since the last call.
    part_begun: bool,
}

/// Where the text has arrived. From [`State::Object`] on, `held` begins with the opening tag.
#[derive(Debug, Default)]
enum State {
    /// In text for the reader.
    #[default]
    Text,
    /// In a call, of which `seen` bytes have been looked at.
    Object { seen: usize, end: ObjectEnd },
    /// Behind a sound call that ends at byte `end`.
    Close { end: usize, call: Call },
    /// In a block that is no call, up to its closing tag.
    Broken,
}

impl ToolCalls {
    /// Number of calls found.
    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// Whether the text has arrived in text for the reader.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.state, State::Text | State::Broken)
    }

    /// Takes more text; returns what is decided.
    pub(super) fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        while self.advance(&mut parts) {}
        parts
    }

    /// Ends the text: a whole call without closing tag is a call, a part of one is text.
    pub(super) fn finish(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        while !self.held.is_empty() {
            match std::mem::take(&mut self.state) {
                State::Text => {
                    let held = std::mem::take(&mut self.held);
                    self.text(&mut parts, &held);
                }
                State::Close { call, .. } => {
                    self.held.clear();
                    self.call(&mut parts, call);
                }
                State::Object { .. } | State::Broken => {
                    let end = self.held.find(CLOSE).map_or(self.held.len(), |at| at + CLOSE.len());
                    self.release(&mut parts, end);
                    while self.advance(&mut parts) {}
                }
            }
        }
        if self.calls == 0 && !self.spaces.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut self.spaces)));
        }
        parts
    }

    /// Moves by one state; whether there may be more to do.
    fn advance(&mut self, parts: &mut Vec<Part>) -> bool {
        match std::mem::take(&mut self.state) {
            State::Text => {
                let open = self.held.find(OPEN);
                let end = open.unwrap_or_else(|| self.held.len() - overlap(&self.held, OPEN));
                self.release(parts, end);
                if open.is_some() {
                    self.state = State::Object {
                        seen: OPEN.len(),
                        end: ObjectEnd::default(),
                    };
                }
                open.is_some()
            }
            State::Object { seen, end } => self.object(seen, end),
            State::Close { end, call } => self.close(parts, end, call),
            State::Broken => {
                let close = self.held.find(CLOSE);
                let end = close.map_or_else(|| self.held.len() - overlap(&self.held, CLOSE), |at| at + CLOSE.len());
                self.release(parts, end);
                if close.is_none() {
                    self.state = State::Broken;
                }
                close.is_some()
            }
        }
    }

    fn object(&mut self, mut seen: usize, mut end: ObjectEnd) -> bool {
        let rest = self.held.get(seen..).unwrap_or_default();
        if end == ObjectEnd::default() {
            let object = rest.trim_start();
            seen += rest.len() - object.len();
            if object.is_empty() {
                self.state = State::Object { seen, end };
                return false;
            }
            if !object.starts_with('{') {
                self.state = State::Broken;
                return true;
            }
        }
        let rest = self.held.get(seen..).unwrap_or_default();
        let Some(len) = end.push(rest) else {
            self.state = State::Object {
                seen: self.held.len(),
                end,
            };
            return false;
        };
        let object = self.held.get(OPEN.len()..seen + len).unwrap_or_default();
        self.state = match parse(object) {
            Some(call) => State::Close { end: seen + len, call },
            None => State::Broken,
        };
        true
    }

    fn close(&mut self, parts: &mut Vec<Part>, end: usize, call: Call) -> bool {
        let behind = self.held.get(end..).unwrap_or_default();
        let rest = behind.trim_start();
        let blanks = behind.len() - rest.len();
        if rest.starts_with(CLOSE) {
            self.held.drain(..end + blanks + CLOSE.len());
            self.call(parts, call);
        } else if rest.starts_with(OPEN) {
            // The next call closes the one before it; small models forget the tag.
            self.held.drain(..end + blanks);
            self.call(parts, call);
        } else if CLOSE.starts_with(rest) || OPEN.starts_with(rest) {
            self.state = State::Close { end, call };
            return false;
        } else {
            self.state = State::Broken;
        }
        true
    }

    fn call(&mut self, parts: &mut Vec<Part>, call: Call) {
        self.calls += 1;
        self.spaces.clear();
        self.part_begun = false;
        parts.push(Part::Call(call));
    }

    /// Releases the first `end` bytes of what is held as text.
    fn release(&mut self, parts: &mut Vec<Part>, end: usize) {
        let text: String = self.held.drain(..end).collect();
        self.text(parts, &text);
    }

    /// Adds text; around calls it is trimmed, and its parts are joined by one line break.
    fn text(&mut self, parts: &mut Vec<Part>, text: &str) {
        let opens_part = self.calls > 0 && !self.part_begun;
        let text = if opens_part { text.trim_start() } else { text };
        let kept = text.trim_end();
        if !kept.is_empty() {
            let mut released = std::mem::take(&mut self.spaces);
            if opens_part && self.has_text {
                released.push('\n');
            }
            released.push_str(kept);
            self.has_text = true;
            self.part_begun = true;
            parts.push(Part::Text(released));
        }
        self.spaces.push_str(text.get(kept.len()..).unwrap_or_default());
    }
}

/// The keys of a call; others are ignored.
#[derive(Deserialize)]
struct Written<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// Reads a call: a string `name`, and `arguments` that are an object, a string holding one, or absent.
fn parse(object: &str) -> Option<Call> {
    let written: Written<'_> = serde_json::from_str(object).ok()?;
    let arguments = match written.arguments.map(RawValue::get) {
        None => "{}".to_owned(),
        Some(text) if text.starts_with('"') => {
            let text: String = serde_json::from_str(text).ok()?;
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).ok()?;
            text
        }
        Some(text) if text.starts_with('{') => text.to_owned(),
        Some(_) => return None,
    };
    Some(Call {
        name: written.name,
        arguments,
    })
}
