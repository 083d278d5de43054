//! Text to the pieces of an answer: thinking, content and calls.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::thinking;
use super::thinking::Thinking;
use super::tool_call;
use super::tool_call::ToolCalls;
use crate::task::Delta;

/// Splits the text of one answer.
#[derive(Debug)]
pub(super) struct Parser {
    thinking: Thinking,
    calls: Option<ToolCalls>,
    include_reasoning: bool,
}

impl Parser {
    /// Looks for thinking as `thinking` says, and for calls if `tool_calls`.
    pub(super) fn new(thinking: Thinking, tool_calls: bool, include_reasoning: bool) -> Self {
        Self {
            thinking,
            calls: tool_calls.then(ToolCalls::default),
            include_reasoning,
        }
    }

    /// Takes more text; returns the pieces it completes.
    pub(super) fn push(&mut self, text: &str) -> Vec<Delta> {
        let parts = self.thinking.push(text);
        self.answered(parts)
    }

    /// Ends the text; returns what was held back.
    pub(super) fn finish(&mut self) -> Vec<Delta> {
        let parts = self.thinking.finish();
        let mut deltas = self.answered(parts);
        let number = self.call_count();
        if let Some(calls) = &mut self.calls {
            let parts = calls.finish();
            deltas.extend(told(parts, number));
        }
        merged(deltas)
    }

    /// Whether the text has arrived in the thinking part.
    pub(super) const fn is_thinking(&self) -> bool {
        self.thinking.is_inside()
    }

    /// Whether the text has arrived in content.
    pub(super) fn is_content(&self) -> bool {
        self.thinking.is_answer() && self.calls.as_ref().is_none_or(ToolCalls::is_text)
    }

    /// Number of calls found.
    pub(super) fn call_count(&self) -> usize {
        self.calls.as_ref().map_or(0, ToolCalls::calls)
    }

    fn answered(&mut self, parts: Vec<thinking::Part>) -> Vec<Delta> {
        let mut deltas = Vec::new();
        for part in parts {
            match part {
                thinking::Part::Thought(text) if self.include_reasoning => deltas.push(Delta::Reasoning(text)),
                thinking::Part::Thought(_) => {}
                thinking::Part::Answer(text) => {
                    let number = self.call_count();
                    match &mut self.calls {
                        Some(calls) => deltas.extend(told(calls.push(&text), number)),
                        None => deltas.push(Delta::Content(text)),
                    }
                }
            }
        }
        merged(deltas)
    }
}

/// The pieces as a caller sees them; the next call has the number `number`.
fn told(parts: Vec<tool_call::Part>, mut number: usize) -> Vec<Delta> {
    let mut deltas = Vec::new();
    for part in parts {
        match part {
            tool_call::Part::Text(text) => deltas.push(Delta::Content(text)),
            tool_call::Part::Call(call) => {
                deltas.push(Delta::ToolCall {
                    index: number,
                    id: call_id(),
                    name: call.name,
                });
                deltas.push(Delta::ToolArguments {
                    index: number,
                    arguments: call.arguments,
                });
                number += 1;
            }
        }
    }
    deltas
}

/// Joins neighbours of one kind, so that a caller gets at most one piece of text at a time.
fn merged(deltas: Vec<Delta>) -> Vec<Delta> {
    let mut joined: Vec<Delta> = Vec::with_capacity(deltas.len());
    for delta in deltas {
        match (joined.last_mut(), delta) {
            (Some(Delta::Content(text)), Delta::Content(more))
            | (Some(Delta::Reasoning(text)), Delta::Reasoning(more)) => text.push_str(&more),
            (_, delta) => joined.push(delta),
        }
    }
    joined
}

/// `call_` and 24 characters that no other call has. The keys of a fresh [`RandomState`] are random
/// for each thread and differ from one to the next.
fn call_id() -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let state = RandomState::new();
    let mut id = String::from("call_");
    for part in 0..3_u8 {
        let mut number = state.hash_one(part);
        for _ in 0..8 {
            let digit = usize::try_from(number % 62).unwrap_or_default();
            id.push(DIGITS.get(digit).copied().map_or('0', char::from));
            number /= 62;
        }
    }
    id
}
