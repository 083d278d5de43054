//! The state of one answer, from its tokens to its pieces.

use std::sync::Arc;

use super::characters::Characters;
use super::parser::Parser;
use super::stop::StopStrings;
use super::thinking;
use super::thinking::Thinking;
use super::tool_call;
use crate::chat::text::layer::TextLayer;
use crate::task::Delta;
use crate::task::FinishReason;
use crate::task::StopRules;

/// What an answer is looked through for.
#[derive(Debug, Clone)]
pub(in crate::chat::text) struct AnswerOptions {
    /// What ends the answer, and whether control tokens are text.
    pub(in crate::chat::text) stop: StopRules,
    /// Whether the model thinks in `<think>` tags.
    pub(in crate::chat::text) thinking: bool,
    /// Whether the prompt opened the thinking part.
    pub(in crate::chat::text) think_opened: bool,
    /// Whether the model may call functions.
    pub(in crate::chat::text) tool_calls: bool,
    /// Whether thinking is returned.
    pub(in crate::chat::text) include_reasoning: bool,
}

/// Turns the tokens of one answer into its pieces.
///
/// The token that ended an answer is pushed only if it shall be part of the text.
pub(crate) struct AnswerDecoder {
    layer: Arc<TextLayer>,
    characters: Characters,
    stop: StopStrings,
    parser: Parser,
    skip_special_tokens: bool,
    /// Control tokens that the parser has to see: a model may call its tags so.
    tags: Vec<u32>,
    min_tokens: usize,
    tokens: usize,
    reasoning_tokens: usize,
    /// Whether the next text begins the answer.
    at_start: bool,
}

/// What a token added to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The pieces it completed; possibly text of earlier tokens that was held back.
    pub(crate) deltas: Vec<Delta>,
    /// Whether the token belongs to the content: not to thinking, to a call, or to a control token.
    ///
    /// A token whose text is held back because it could begin a tag counts as content.
    pub(crate) is_content: bool,
    /// Whether a stop string has ended the answer; nothing pushed later adds text.
    pub(crate) stopped: bool,
}

impl AnswerDecoder {
    /// Begins an answer.
    pub(in crate::chat::text) fn new(layer: Arc<TextLayer>, options: &AnswerOptions) -> Self {
        let thinking = if options.thinking {
            Thinking::new(options.think_opened)
        } else {
            Thinking::none()
        };
        let thinking_tags = [thinking::OPEN, thinking::CLOSE]
            .into_iter()
            .filter(|_| options.thinking);
        let call_tags = [tool_call::OPEN, tool_call::CLOSE]
            .into_iter()
            .filter(|_| options.tool_calls);
        Self {
            tags: thinking_tags
                .chain(call_tags)
                .filter_map(|tag| layer.tokenizer().id(tag))
                .collect(),
            characters: Characters::default(),
            stop: StopStrings::new(&options.stop.strings, options.stop.include_stop_string),
            parser: Parser::new(thinking, options.tool_calls, options.include_reasoning),
            skip_special_tokens: options.stop.skip_special_tokens,
            min_tokens: options.stop.min_tokens,
            tokens: 0,
            reasoning_tokens: 0,
            at_start: true,
            layer,
        }
    }

    /// Takes the next token.
    pub(crate) fn push(&mut self, token: u32) -> Step {
        self.tokens += 1;
        let was_content = self.parser.is_content();
        let was_thinking = self.parser.is_thinking();
        let bytes = self.bytes(token);
        let text = self.characters.push(&bytes);
        let text = if self.tokens <= self.min_tokens {
            self.stop.pass(&text)
        } else {
            self.stop.push(&text)
        };
        let deltas = self.parser.push(&text);
        if was_thinking || self.parser.is_thinking() {
            self.reasoning_tokens += 1;
        }
        let stopped = self.stop.found();
        let has_content = deltas.iter().any(|delta| matches!(delta, Delta::Content(_)));
        let stays_content = was_content && self.parser.is_content() && !bytes.is_empty() && !stopped;
        Step {
            is_content: has_content && !bytes.is_empty() || stays_content,
            deltas,
            stopped,
        }
    }

    /// Ends the answer: returns what was held back, and the reason as a caller is told it.
    ///
    /// An answer that ended by itself and holds calls ends with [`FinishReason::ToolCalls`].
    pub(crate) fn finish(&mut self, reason: FinishReason) -> (Vec<Delta>, FinishReason) {
        let mut deltas = Vec::new();
        if !self.stop.found() {
            let mut text = self.characters.finish();
            text = if self.tokens < self.min_tokens {
                self.stop.pass(&text)
            } else {
                self.stop.push(&text)
            };
            if !self.stop.found() {
                text.push_str(&self.stop.finish());
            }
            deltas = self.parser.push(&text);
        }
        deltas.extend(self.parser.finish());
        let reason = match reason {
            FinishReason::Stop if self.parser.call_count() > 0 => FinishReason::ToolCalls,
            reason => reason,
        };
        (deltas, reason)
    }

    /// Tokens pushed so far that belong to the thinking part, tags included.
    pub(crate) const fn reasoning_tokens(&self) -> usize {
        self.reasoning_tokens
    }

    /// The bytes that a token adds to the text.
    fn bytes(&mut self, token: u32) -> Vec<u8> {
        let vocabulary = self.layer.tokenizer().vocabulary();
        if self.skip_special_tokens && vocabulary.is_special(token) && !self.tags.contains(&token) {
            return Vec::new();
        }
        let mut bytes = vocabulary.bytes(token).unwrap_or_default();
        if !bytes.is_empty() && std::mem::take(&mut self.at_start) && vocabulary.drops_first_space() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        bytes.to_vec()
    }
}

#[cfg(test)]
mod tests;
