//! The door of an engine: what fits, what is in line, and the way in.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use crate::chat::engine::Answer;
use crate::chat::engine::AnswerStream;
use crate::chat::engine::outlet::outlet;
use crate::chat::engine::request::Request;
use crate::chat::engine::throughput::Throughput;
use crate::chat::engine::worker::Arrival;
use crate::chat::engine::worker::Command;
use crate::chat::runner::RunnerCapabilities;
use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::QueueDepth;
use crate::wrapper::Health;
use crate::wrapper::engine::Line;

/// What an engine is asked to answer.
pub(crate) struct Submission {
    /// The prompt's tokens; at least one.
    pub(crate) prompt: Vec<u32>,
    /// Longest answer in tokens; `None` is the rest of the context, and more than the rest is cut to it.
    pub(crate) max_tokens: Option<usize>,
    /// One for each choice; at least one.
    pub(crate) answers: Vec<Box<dyn Answer>>,
    /// When the caller asked.
    pub(crate) called: Instant,
}

/// Where an engine's callers hand in their requests.
#[derive(Debug)]
pub(crate) struct Admission {
    inbox: mpsc::Sender<Command>,
    line: Arc<Line>,
    max_model_len: usize,
    throughput: Arc<Throughput>,
}

impl Admission {
    /// The door of the worker that reads the other end of `inbox`.
    pub(super) fn new(
        inbox: mpsc::Sender<Command>,
        line: Arc<Line>,
        (capabilities, throughput): (RunnerCapabilities, Arc<Throughput>),
    ) -> Self {
        Self {
            inbox,
            line,
            max_model_len: max_model_len(&capabilities),
            throughput,
        }
    }

    /// Asks the worker to end.
    pub(super) fn stop(&self) {
        // Fails if it has ended.
        let _ = self.inbox.send(Command::Stop);
    }

    /// Whether the engine can still serve.
    pub(crate) fn health(&self) -> &Health {
        self.line.health()
    }

    /// Longest prompt and answer together: what the model can see and what the cache can hold.
    pub(crate) const fn max_model_len(&self) -> usize {
        self.max_model_len
    }

    /// Requests at work and in line.
    pub(crate) fn queue(&self) -> QueueDepth {
        self.line.depth()
    }

    /// Tokens drawn a second of late.
    pub(crate) fn tokens_per_second(&self) -> f64 {
        self.throughput.per_second(Instant::now())
    }

    /// Queues a request. Returns at once; the first event comes with its first step.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the prompt is empty or does not fit, [`Error::Unavailable`] if the line
    /// is full or the engine has failed.
    pub(crate) fn submit(&self, submission: Submission) -> Result<AnswerStream> {
        let Submission {
            prompt,
            max_tokens,
            answers,
            called,
        } = submission;
        let max_tokens = longest_answer(prompt.len(), max_tokens, self.max_model_len)?;
        if answers.is_empty() {
            return Err(Error::internal("a request without choices"));
        }
        self.line.admit()?;
        let (outlet, stream) = outlet(self.inbox.clone(), Arc::clone(&self.line));
        let request = Request::new(outlet, answers, prompt.len(), max_tokens, called);
        // If the thread has ended, the request is dropped here and the stream says why.
        let _ = self.inbox.send(Command::Submit(Box::new(Arrival { request, prompt })));
        Ok(stream)
    }
}

/// What the model can see and what the cache can hold: the smaller of the two, in tokens.
const fn max_model_len(capabilities: &RunnerCapabilities) -> usize {
    let in_cache = capabilities.blocks.saturating_sub(1) * capabilities.block_size;
    if in_cache < capabilities.max_model_len {
        in_cache
    } else {
        capabilities.max_model_len
    }
}

/// The longest answer after `prompt` tokens, if there is room for one token at least.
fn longest_answer(prompt: usize, wanted: Option<usize>, max_model_len: usize) -> Result<usize> {
    if prompt == 0 {
        return Err(Error::invalid(
            RequestFault::InvalidValue,
            "messages",
            "the prompt has no tokens; send a message with content",
        ));
    }
    if wanted == Some(0) {
        return Err(Error::invalid(
            RequestFault::InvalidValue,
            "max_tokens",
            "max_tokens is 0; give 1 or more",
        ));
    }
    let rest = max_model_len.saturating_sub(prompt);
    if rest == 0 {
        // Clients look for these words: LiteLLM for the first phrase, LangChain for the second.
        let message = format!(
            "This model's maximum context length is {max_model_len} tokens; the prompt is too long with {prompt} \
             tokens (context_length_exceeded)."
        );
        return Err(Error::invalid(RequestFault::ContextLengthExceeded, "messages", message));
    }
    Ok(wanted.map_or(rest, |wanted| wanted.min(rest)))
}
