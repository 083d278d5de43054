//! The chat task: a conversation in, a stream of pieces of the answer out.

use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde_json::Map;
use serde_json::Value;

use crate::error::Result;
use crate::task::Sampling;

/// The pieces of an answer as they come. Dropping the stream ends the work within one step.
pub type ChatStream = BoxStream<'static, Result<ChatEvent>>;

/// A model that continues a conversation.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// What the model can take.
    fn limits(&self) -> ChatLimits;

    /// How many requests it works on and how many wait.
    fn queue(&self) -> QueueDepth;

    /// Tokens that all its answers together gained a second of late; `None` for models that do not tell.
    fn tokens_per_second(&self) -> Option<f64> {
        None
    }

    /// Checks the request, renders and encodes the prompt, and queues it.
    ///
    /// When this returns, the request is admitted: what can be wrong with it has been found.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for a prompt that does not fit or options the model does not
    /// offer, [`crate::Error::Unavailable`] when the queue is full.
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream>;
}

/// What a chat model can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatLimits {
    /// Longest prompt and answer together, in tokens.
    pub max_model_len: usize,
    /// Number of token ids that can be produced.
    pub vocabulary: usize,
}

impl ChatLimits {
    /// Limits of a model.
    pub const fn new(max_model_len: usize, vocabulary: usize) -> Self {
        Self {
            max_model_len,
            vocabulary,
        }
    }
}

/// Requests in a model's queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDepth {
    /// Being worked on.
    pub running: usize,
    /// Waiting.
    pub waiting: usize,
}

impl QueueDepth {
    /// `running` at work, `waiting` in line.
    pub const fn new(running: usize, waiting: usize) -> Self {
        Self { running, waiting }
    }
}

/// One question to a chat model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest {
    /// The conversation so far, oldest first; at least one.
    pub messages: Vec<Message>,
    /// Functions the model may call.
    pub tools: Vec<Tool>,
    /// Values for the model's chat template, such as `enable_thinking`.
    pub template_kwargs: Map<String, Value>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Longest answer in tokens; `None` is the rest of the context. More than the rest is cut to it.
    pub max_tokens: Option<usize>,
    /// What ends an answer.
    pub stop: StopRules,
    /// Number of answers.
    pub choices: NonZeroUsize,
    /// `Some(n)`: log-probability of each token of the content and of the `n` most probable, n ≤ 20.
    pub logprobs: Option<usize>,
    /// Whether the thinking part is returned; it is counted either way.
    pub include_reasoning: bool,
}

impl ChatRequest {
    /// A request with everything at its default.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            tools: Vec::new(),
            template_kwargs: Map::new(),
            sampling: Sampling::default(),
            max_tokens: None,
            stop: StopRules::default(),
            choices: NonZeroUsize::MIN,
            logprobs: None,
            include_reasoning: true,
        }
    }

    /// Sets how tokens are drawn.
    #[must_use]
    pub fn with_sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// Sets the longest answer in tokens.
    #[must_use]
    pub fn with_max_tokens(self, max_tokens: usize) -> Self {
        Self {
            max_tokens: Some(max_tokens),
            ..self
        }
    }
}

/// What ends an answer besides the model's own end tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopRules {
    /// Texts at which the answer ends.
    pub strings: Vec<String>,
    /// Tokens at which the answer ends.
    pub token_ids: Vec<u32>,
    /// Whether the stop text is part of the answer.
    pub include_stop_string: bool,
    /// Whether the model's end tokens are ignored.
    pub ignore_eos: bool,
    /// Number of tokens before which nothing ends the answer.
    pub min_tokens: usize,
    /// Whether special tokens are left out of the text.
    pub skip_special_tokens: bool,
}

impl Default for StopRules {
    fn default() -> Self {
        Self {
            strings: Vec::new(),
            token_ids: Vec::new(),
            include_stop_string: false,
            ignore_eos: false,
            min_tokens: 0,
            skip_special_tokens: true,
        }
    }
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a function.
    Tool,
}

impl Role {
    /// The name chat templates know.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; `None` only for an assistant that calls functions.
    pub content: Option<String>,
    /// The assistant's thinking in an earlier turn.
    pub reasoning: Option<String>,
    /// The functions an assistant called.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<String>,
    /// A name for the speaker or the function.
    pub name: Option<String>,
}

impl Message {
    /// A message of `role` with a text.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(content.into()),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }

    /// What the person says.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// Instructions of the application.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// What the model said.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }
}

/// A function call made by an assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// Names the call, so that a tool message can answer it.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

impl ToolCall {
    /// A call of `name`.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        }
    }
}

/// A function that a model may call.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tool {
    /// `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON schema of its arguments.
    pub parameters: Option<Value>,
}

impl Tool {
    /// A function of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            parameters: None,
        }
    }
}

/// One step of an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// The model has taken the request up. Always the first event.
    Started {
        /// Length of the prompt in tokens.
        prompt_tokens: usize,
        /// Tokens of it that were already in the prefix cache.
        cached_tokens: usize,
    },
    /// A piece of an answer.
    Delta {
        /// Which answer, from 0.
        choice: usize,
        /// The piece.
        delta: Delta,
        /// Log-probabilities of the tokens of a [`Delta::Content`], where asked for.
        logprobs: Vec<TokenLogprob>,
    },
    /// An answer has ended.
    Finished {
        /// Which answer, from 0.
        choice: usize,
        /// Why it ended.
        reason: FinishReason,
    },
    /// Everything has been said. Always the last event.
    Done {
        /// What it cost.
        usage: Usage,
        /// How long it took.
        timings: Timings,
    },
}

/// A piece of an answer. Pieces hold whole characters and concatenate to the full text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delta {
    /// Text of the answer.
    Content(String),
    /// Text of the thinking part.
    Reasoning(String),
    /// A function call begins.
    ToolCall {
        /// Which call of this answer, from 0.
        index: usize,
        /// Its id.
        id: String,
        /// The function.
        name: String,
    },
    /// More of a call's arguments.
    ToolArguments {
        /// Which call of this answer, from 0.
        index: usize,
        /// JSON text; the pieces concatenate.
        arguments: String,
    },
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model's end token or a stop rule.
    Stop,
    /// The longest answer or the context is reached.
    Length,
    /// The model calls functions.
    ToolCalls,
}

impl FinishReason {
    /// The spelling used over HTTP and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// A token and how probable it was.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// The token that was taken.
    pub token: TopLogprob,
    /// The most probable tokens at that place, best first.
    pub top: Vec<TopLogprob>,
}

impl TokenLogprob {
    /// A token with its rivals.
    pub const fn new(token: TopLogprob, top: Vec<TopLogprob>) -> Self {
        Self { token, top }
    }
}

/// One token with its log-probability.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TopLogprob {
    /// The token's bytes; may be a fragment of a character.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability before temperature; −9999 for none.
    pub logprob: f32,
}

impl TopLogprob {
    /// A token's bytes and the logarithm of its probability.
    pub const fn new(bytes: Vec<u8>, logprob: f32) -> Self {
        Self { bytes, logprob }
    }
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Length of the prompt.
    pub prompt_tokens: usize,
    /// Of those, found in the prefix cache.
    pub cached_tokens: usize,
    /// Length of all answers together, thinking included.
    pub completion_tokens: usize,
    /// Of those, thinking.
    pub reasoning_tokens: usize,
}

impl Usage {
    /// Usage without cache hits or thinking.
    pub const fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            cached_tokens: 0,
            completion_tokens,
            reasoning_tokens: 0,
        }
    }
}

/// Where the time of a request went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// From the call to the first step.
    pub queue: Duration,
    /// From the first step to the first token.
    pub prompt: Duration,
    /// From the first token to the last.
    pub generation: Duration,
}

impl Timings {
    /// The three spans of a request.
    pub const fn new(queue: Duration, prompt: Duration, generation: Duration) -> Self {
        Self {
            queue,
            prompt,
            generation,
        }
    }
}
