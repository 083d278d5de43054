//! The whole answer of a chat request, gathered from its events.

use futures_util::StreamExt;
use inferkit::Error;
use inferkit::Result;
use inferkit::task::ChatEvent;
use inferkit::task::ChatStream;
use inferkit::task::Delta;
use inferkit::task::FinishReason;
use inferkit::task::Timings;
use inferkit::task::TokenLogprob;
use inferkit::task::TopLogprob;
use inferkit::task::Usage;
use poem_openapi::Object;

/// What is the same in every part of an answer.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
    pub(super) system_fingerprint: String,
}

/// A whole answer.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ChatCompletion {
    /// `chatcmpl-` and 24 characters.
    pub(crate) id: String,
    /// `chat.completion`.
    pub(crate) object: String,
    /// Unix seconds.
    pub(crate) created: i64,
    /// The name the caller used.
    pub(crate) model: String,
    /// Names build, weights, number type and device.
    pub(crate) system_fingerprint: String,
    /// The answers.
    pub(crate) choices: Vec<Choice>,
    /// What it cost.
    pub(crate) usage: CompletionUsage,
    /// How long it took.
    pub(crate) timings: CompletionTimings,
}

/// One answer.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct Choice {
    /// Which, from 0.
    pub(crate) index: usize,
    /// What the model says.
    pub(crate) message: AnswerMessage,
    /// `stop`, `length` or `tool_calls`.
    pub(crate) finish_reason: String,
    /// Log-probabilities, if asked for.
    #[oai(nullable)]
    pub(crate) logprobs: Option<ChoiceLogprobs>,
}

/// What the model says.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct AnswerMessage {
    /// `assistant`.
    pub(crate) role: String,
    /// The text; null when the model calls functions and says nothing.
    #[oai(nullable)]
    pub(crate) content: Option<String>,
    /// Always null.
    #[oai(nullable)]
    pub(crate) refusal: Option<String>,
    /// The thinking part, where there is one.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) reasoning_content: Option<String>,
    /// The functions it calls.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) tool_calls: Option<Vec<CalledTool>>,
}

/// A function the model calls.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct CalledTool {
    /// `call_` and characters.
    pub(crate) id: String,
    /// `function`.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// The function and its arguments.
    pub(crate) function: CalledFunction,
}

/// A function and the arguments of a call.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct CalledFunction {
    /// The function.
    pub(crate) name: String,
    /// Its arguments as JSON text.
    pub(crate) arguments: String,
}

/// Log-probabilities of an answer's tokens.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ChoiceLogprobs {
    /// One entry for each token of the content.
    pub(crate) content: Vec<ContentLogprob>,
    /// Always null.
    #[oai(nullable)]
    pub(crate) refusal: Option<Vec<ContentLogprob>>,
}

/// A token with its log-probability and its rivals.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ContentLogprob {
    /// The token's text.
    pub(crate) token: String,
    /// Natural logarithm of its probability; −9999 for none.
    pub(crate) logprob: f32,
    /// Its bytes; may be a fragment of a character.
    pub(crate) bytes: Vec<u8>,
    /// The most probable tokens at that place.
    pub(crate) top_logprobs: Vec<RivalLogprob>,
}

/// One of the most probable tokens.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct RivalLogprob {
    /// The token's text.
    pub(crate) token: String,
    /// Natural logarithm of its probability; −9999 for none.
    pub(crate) logprob: f32,
    /// Its bytes; may be a fragment of a character.
    pub(crate) bytes: Vec<u8>,
}

/// Tokens read and written.
#[derive(Debug, Default, Clone, Object)]
#[oai(read_only_all)]
pub(crate) struct CompletionUsage {
    /// Length of the prompt.
    pub(crate) prompt_tokens: usize,
    /// Length of all answers together, thinking included.
    pub(crate) completion_tokens: usize,
    /// Both together.
    pub(crate) total_tokens: usize,
    /// Of the prompt.
    pub(crate) prompt_tokens_details: PromptTokensDetails,
    /// Of the answers.
    pub(crate) completion_tokens_details: CompletionTokensDetails,
}

/// Parts of the prompt.
#[derive(Debug, Default, Clone, Object)]
#[oai(read_only_all)]
pub(crate) struct PromptTokensDetails {
    /// Found in the prefix cache.
    pub(crate) cached_tokens: usize,
}

/// Parts of the answers.
#[derive(Debug, Default, Clone, Object)]
#[oai(read_only_all)]
pub(crate) struct CompletionTokensDetails {
    /// Thinking.
    pub(crate) reasoning_tokens: usize,
}

/// Where the time went.
#[derive(Debug, Default, Clone, Object)]
#[oai(read_only_all)]
#[expect(clippy::struct_field_names, reason = "the names on the wire say their unit")]
pub(crate) struct CompletionTimings {
    /// From the call to the first step.
    pub(crate) queue_seconds: f64,
    /// From the first step to the first token.
    pub(crate) prompt_seconds: f64,
    /// From the first token to the last.
    pub(crate) generation_seconds: f64,
}

impl From<Usage> for CompletionUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details: PromptTokensDetails {
                cached_tokens: usage.cached_tokens,
            },
            completion_tokens_details: CompletionTokensDetails {
                reasoning_tokens: usage.reasoning_tokens,
            },
        }
    }
}

impl From<Timings> for CompletionTimings {
    fn from(timings: Timings) -> Self {
        Self {
            queue_seconds: timings.queue.as_secs_f64(),
            prompt_seconds: timings.prompt.as_secs_f64(),
            generation_seconds: timings.generation.as_secs_f64(),
        }
    }
}

impl From<TokenLogprob> for ContentLogprob {
    fn from(entry: TokenLogprob) -> Self {
        let token = RivalLogprob::from(entry.token);
        Self {
            token: token.token,
            logprob: token.logprob,
            bytes: token.bytes,
            top_logprobs: entry.top.into_iter().map(RivalLogprob::from).collect(),
        }
    }
}

impl From<TopLogprob> for RivalLogprob {
    fn from(token: TopLogprob) -> Self {
        Self {
            token: String::from_utf8_lossy(&token.bytes).into_owned(),
            logprob: token.logprob,
            bytes: token.bytes,
        }
    }
}

/// One answer while it is gathered.
#[derive(Debug, Default)]
struct Gathered {
    content: String,
    reasoning: String,
    calls: Vec<CalledTool>,
    logprobs: Vec<ContentLogprob>,
    reason: Option<FinishReason>,
}

impl Gathered {
    fn take(&mut self, delta: Delta) -> Result<()> {
        match delta {
            Delta::Content(text) => self.content.push_str(&text),
            Delta::Reasoning(text) => self.reasoning.push_str(&text),
            Delta::ToolCall { id, name, .. } => {
                let function = CalledFunction {
                    name,
                    arguments: String::new(),
                };
                self.calls.push(CalledTool {
                    id,
                    kind: "function".to_owned(),
                    function,
                });
            }
            Delta::ToolArguments { index, arguments } => match self.calls.get_mut(index) {
                Some(call) => call.function.arguments.push_str(&arguments),
                None => return Err(Error::internal("arguments came before their call")),
            },
            other => return Err(Error::internal(format!("unknown piece of an answer: {other:?}"))),
        }
        Ok(())
    }

    fn into_choice(self, index: usize, logprobs: bool) -> Choice {
        let called = !self.calls.is_empty();
        Choice {
            index,
            message: AnswerMessage {
                role: "assistant".to_owned(),
                content: (!self.content.is_empty() || !called).then_some(self.content),
                refusal: None,
                reasoning_content: (!self.reasoning.is_empty()).then_some(self.reasoning),
                tool_calls: called.then_some(self.calls),
            },
            finish_reason: self.reason.map_or("length", FinishReason::as_str).to_owned(),
            logprobs: logprobs.then_some(ChoiceLogprobs {
                content: self.logprobs,
                refusal: None,
            }),
        }
    }
}

/// Gathers the events of `stream` into one answer with `choices` choices.
///
/// # Errors
/// The error that ended the stream.
pub(super) async fn gather(
    mut stream: ChatStream,
    identity: Identity,
    choices: usize,
    logprobs: bool,
) -> Result<ChatCompletion> {
    let mut gathered: Vec<Gathered> = std::iter::repeat_with(Gathered::default).take(choices).collect();
    while let Some(event) = stream.next().await {
        match event? {
            ChatEvent::Delta {
                choice,
                delta,
                logprobs,
            } => {
                let one = gathered
                    .get_mut(choice)
                    .ok_or_else(|| Error::internal("a choice nobody asked for"))?;
                one.take(delta)?;
                one.logprobs.extend(logprobs.into_iter().map(ContentLogprob::from));
            }
            ChatEvent::Finished { choice, reason } => {
                let one = gathered
                    .get_mut(choice)
                    .ok_or_else(|| Error::internal("a choice nobody asked for"))?;
                one.reason = Some(reason);
            }
            ChatEvent::Done { usage, timings } => {
                let choices = gathered.into_iter().enumerate();
                return Ok(ChatCompletion {
                    id: identity.id,
                    object: "chat.completion".to_owned(),
                    created: identity.created,
                    model: identity.model,
                    system_fingerprint: identity.system_fingerprint,
                    choices: choices.map(|(index, one)| one.into_choice(index, logprobs)).collect(),
                    usage: usage.into(),
                    timings: timings.into(),
                });
            }
            _ => {}
        }
    }
    Err(Error::internal("the answer ended without its last event"))
}
