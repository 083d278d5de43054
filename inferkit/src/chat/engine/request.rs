//! One request inside the engine: its choices, its reader, its account.

use std::time::Duration;
use std::time::Instant;

use crate::chat::engine::Answer;
use crate::chat::engine::Piece;
use crate::chat::engine::Step;
use crate::chat::engine::outlet::Outlet;
use crate::error::Error;
use crate::error::Result;
use crate::panics::contain;
use crate::task::ChatEvent;
use crate::task::FinishReason;
use crate::task::Timings;
use crate::task::Usage;

/// What a choice's new token adds, and what it means for the request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Advance {
    /// For the reader.
    pub(super) events: Vec<ChatEvent>,
    pub(super) next: Next,
}

/// What follows a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The choice goes on after this token.
    Token(u32),
    /// The choice has ended, others have not.
    ChoiceEnded,
    /// All choices have ended.
    RequestEnded,
}

/// A request from its admission to its end.
pub(super) struct Request {
    pub(super) outlet: Outlet,
    choices: Vec<Choice>,
    usage: Usage,
    called: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
    /// Since when the reader leaves no room.
    full_since: Option<Instant>,
}

struct Choice {
    answer: Box<dyn Answer>,
    tokens_left: usize,
    is_open: bool,
}

impl Request {
    /// A request called at `called`, with one answer for each choice, of at most `max_tokens` each.
    pub(super) fn new(
        outlet: Outlet,
        answers: Vec<Box<dyn Answer>>,
        prompt_tokens: usize,
        max_tokens: usize,
        called: Instant,
    ) -> Self {
        let choice = |answer| Choice {
            answer,
            tokens_left: max_tokens,
            is_open: true,
        };
        Self {
            outlet,
            choices: answers.into_iter().map(choice).collect(),
            usage: Usage::new(prompt_tokens, 0),
            called,
            started: None,
            first_token: None,
            full_since: None,
        }
    }

    /// Number of choices, ended ones included.
    pub(super) const fn choices(&self) -> usize {
        self.choices.len()
    }

    /// Whether a first step was made for it.
    pub(super) const fn is_started(&self) -> bool {
        self.started.is_some()
    }

    /// How long it has been at work.
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.started
            .map_or(Duration::ZERO, |started| now.saturating_duration_since(started))
    }

    /// Tells the reader that the first step begins.
    pub(super) fn start(&mut self, now: Instant) {
        self.started = Some(now);
        let (prompt_tokens, cached_tokens) = (self.usage.prompt_tokens, self.usage.cached_tokens);
        self.outlet.send(Ok(vec![ChatEvent::Started {
            prompt_tokens,
            cached_tokens,
        }]));
    }

    /// Whether the reader leaves no room for a step of all open choices.
    pub(super) fn is_paused(&mut self, now: Instant) -> bool {
        let open = self.choices.iter().filter(|choice| choice.is_open).count();
        if self.outlet.has_room(open) {
            self.full_since = None;
        } else {
            self.full_since.get_or_insert(now);
        }
        self.full_since.is_some()
    }

    /// When the request is given up: waiting too long in line, or for its reader.
    pub(super) fn deadline(&self, queue_timeout: Duration, reader_patience: Duration) -> Option<Instant> {
        let in_line = (!self.is_started())
            .then_some(self.called)
            .and_then(|called| called.checked_add(queue_timeout));
        let reader = self.full_since.and_then(|since| since.checked_add(reader_patience));
        in_line.or(reader)
    }

    /// Draws the next token of a choice from its row of logits.
    ///
    /// # Errors
    /// [`Error::Internal`] if the choice's text or sampling fails or panics; the request has to be ended.
    pub(super) fn advance(&mut self, index: usize, logits: &mut [f32], now: Instant) -> Result<Advance> {
        let choice = self.choices.get_mut(index).filter(|choice| choice.is_open);
        let choice = choice.ok_or_else(|| Error::internal(format!("a row was computed for ended choice {index}")))?;
        choice.tokens_left = choice.tokens_left.saturating_sub(1);
        let is_last = choice.tokens_left == 0;
        let answer = &mut choice.answer;
        let Step {
            token,
            pieces,
            is_reasoning,
            end,
        } = contain(
            || answer.advance(logits, is_last),
            |text| Error::generation_failed(format!("the text layer panicked: {text}")),
        )?;

        self.usage.completion_tokens += 1;
        self.usage.reasoning_tokens += usize::from(is_reasoning);
        self.first_token.get_or_insert(now);

        let delta = |piece: Piece| ChatEvent::Delta {
            choice: index,
            delta: piece.delta,
            logprobs: piece.logprobs,
        };
        let mut events: Vec<_> = pieces.into_iter().map(delta).collect();
        let end = end.or(is_last.then_some(FinishReason::Length));
        if let Some(reason) = end {
            choice.is_open = false;
            events.push(ChatEvent::Finished { choice: index, reason });
        }
        let is_done = self.choices.iter().all(|choice| !choice.is_open);
        if is_done {
            events.push(ChatEvent::Done {
                usage: self.usage,
                timings: self.timings(now),
            });
        }
        let next = match end {
            None => Next::Token(token),
            Some(_) if is_done => Next::RequestEnded,
            Some(_) => Next::ChoiceEnded,
        };
        Ok(Advance { events, next })
    }

    fn timings(&self, now: Instant) -> Timings {
        let started = self.started.unwrap_or(now);
        let first_token = self.first_token.unwrap_or(now);
        Timings::new(
            started.saturating_duration_since(self.called),
            first_token.saturating_duration_since(started),
            now.saturating_duration_since(first_token),
        )
    }
}
