//! A streamed answer: events of the library to chunks of the OpenAI format.

use futures_util::Stream;
use futures_util::StreamExt;
use inferkit::task::ChatEvent;
use inferkit::task::ChatStream;
use inferkit::task::Delta;
use inferkit::task::FinishReason;
use inferkit::task::Timings;
use inferkit::task::TokenLogprob;
use inferkit::task::Usage;
use poem_openapi::Object;
use poem_openapi::types::ToJSON;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::answer::ChoiceLogprobs;
use super::answer::CompletionTimings;
use super::answer::CompletionUsage;
use super::answer::ContentLogprob;
use super::answer::Identity;
use crate::error::ApiError;
use crate::sse::SseEvent;

/// One piece of a streamed answer.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ChatCompletionChunk {
    /// `chatcmpl-` and 24 characters, the same in all chunks.
    pub(crate) id: String,
    /// `chat.completion.chunk`.
    pub(crate) object: String,
    /// Unix seconds, the same in all chunks.
    pub(crate) created: i64,
    /// The name the caller used.
    pub(crate) model: String,
    /// Names build, weights, number type and device.
    pub(crate) system_fingerprint: String,
    /// One piece of one answer; empty in the chunk that carries the usage.
    pub(crate) choices: Vec<ChunkChoice>,
    /// With `include_usage`: null, and in the last chunk what it cost.
    #[oai(nullable, skip_serializing_if_is_none)]
    pub(crate) usage: Option<CompletionUsage>,
    /// In the last chunk: how long it took.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) timings: Option<CompletionTimings>,
}

/// One piece of one answer.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ChunkChoice {
    /// Which answer, from 0.
    pub(crate) index: usize,
    /// The piece.
    pub(crate) delta: ChunkDelta,
    /// Set in the last piece of an answer.
    #[oai(nullable)]
    pub(crate) finish_reason: Option<String>,
    /// Log-probabilities of the tokens of this piece, if asked for.
    #[oai(nullable)]
    pub(crate) logprobs: Option<ChoiceLogprobs>,
}

/// What a piece adds.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ChunkDelta {
    /// `assistant`, once.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) role: Option<String>,
    /// Text.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) content: Option<String>,
    /// Text of the thinking part.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) reasoning_content: Option<String>,
    /// A function call, or more of its arguments.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) tool_calls: Option<Vec<ToolCallDelta>>,
}

/// A function call as it comes.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct ToolCallDelta {
    /// Which call of the answer, from 0.
    pub(crate) index: usize,
    /// Its id, once.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) id: Option<String>,
    /// `function`, once.
    #[oai(rename = "type", skip_serializing_if_is_none)]
    pub(crate) kind: Option<String>,
    /// Its name, once, and more of its arguments.
    pub(crate) function: FunctionDelta,
}

/// A called function as it comes.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct FunctionDelta {
    /// The function, once.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) name: Option<String>,
    /// JSON text; the pieces concatenate.
    pub(crate) arguments: String,
}

/// Writes the chunks of one answer.
#[derive(Debug, Clone)]
pub(super) struct ChunkWriter {
    pub(super) identity: Identity,
    pub(super) choices: usize,
    pub(super) logprobs: bool,
    pub(super) include_usage: bool,
}

impl ChunkWriter {
    /// The chunks of `stream` as events, ending with `[DONE]`; an error ends them without it.
    ///
    /// The chunks that name the role come at once: the request has been admitted.
    pub(super) fn chunks(self, stream: ChatStream) -> impl Stream<Item = Result<SseEvent, ApiError>> + Send + 'static {
        let roles: Vec<_> = (0..self.choices).map(|index| self.role(index)).collect();
        let rest = stream.flat_map(move |event| {
            let lines = match event {
                Ok(event) => self.event(event),
                Err(error) => vec![Err(error.into())],
            };
            futures_util::stream::iter(lines)
        });
        futures_util::stream::iter(roles).chain(rest)
    }

    fn event(&self, event: ChatEvent) -> Vec<Result<SseEvent, ApiError>> {
        match event {
            ChatEvent::Delta {
                choice,
                delta,
                logprobs,
            } => vec![self.piece(choice, delta, logprobs)],
            ChatEvent::Finished { choice, reason } => vec![self.finish(choice, reason)],
            ChatEvent::Done { usage, timings } => {
                let mut lines = Vec::new();
                if self.include_usage {
                    lines.push(self.usage(usage, timings));
                }
                lines.push(Ok(SseEvent::done()));
                lines
            }
            _ => Vec::new(),
        }
    }

    fn role(&self, index: usize) -> Result<SseEvent, ApiError> {
        let delta = ChunkDelta {
            role: Some("assistant".to_owned()),
            content: Some(String::new()),
            ..ChunkDelta::default()
        };
        self.choice(&ChunkChoice {
            index,
            delta,
            finish_reason: None,
            logprobs: None,
        })
    }

    fn piece(&self, index: usize, delta: Delta, logprobs: Vec<TokenLogprob>) -> Result<SseEvent, ApiError> {
        let mut piece = ChunkDelta::default();
        match delta {
            Delta::Content(text) => piece.content = Some(text),
            Delta::Reasoning(text) => piece.reasoning_content = Some(text),
            Delta::ToolCall { index, id, name } => {
                let function = FunctionDelta {
                    name: Some(name),
                    arguments: String::new(),
                };
                let kind = Some("function".to_owned());
                piece.tool_calls = Some(vec![ToolCallDelta {
                    index,
                    id: Some(id),
                    kind,
                    function,
                }]);
            }
            Delta::ToolArguments { index, arguments } => {
                let function = FunctionDelta { name: None, arguments };
                piece.tool_calls = Some(vec![ToolCallDelta {
                    index,
                    id: None,
                    kind: None,
                    function,
                }]);
            }
            _ => {}
        }
        let logprobs = (self.logprobs && piece.content.is_some()).then(|| ChoiceLogprobs {
            content: logprobs.into_iter().map(ContentLogprob::from).collect(),
            refusal: None,
        });
        self.choice(&ChunkChoice {
            index,
            delta: piece,
            finish_reason: None,
            logprobs,
        })
    }

    fn finish(&self, index: usize, reason: FinishReason) -> Result<SseEvent, ApiError> {
        let finish_reason = Some(reason.as_str().to_owned());
        self.choice(&ChunkChoice {
            index,
            delta: ChunkDelta::default(),
            finish_reason,
            logprobs: None,
        })
    }

    fn choice(&self, choice: &ChunkChoice) -> Result<SseEvent, ApiError> {
        let mut chunk = self.head();
        chunk.insert("choices".to_owned(), json!([choice.to_json()]));
        if self.include_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        SseEvent::json(&chunk)
    }

    fn usage(&self, usage: Usage, timings: Timings) -> Result<SseEvent, ApiError> {
        let mut chunk = self.head();
        chunk.insert("choices".to_owned(), json!([]));
        chunk.insert(
            "usage".to_owned(),
            CompletionUsage::from(usage).to_json().unwrap_or_default(),
        );
        chunk.insert(
            "timings".to_owned(),
            CompletionTimings::from(timings).to_json().unwrap_or_default(),
        );
        SseEvent::json(&chunk)
    }

    fn head(&self) -> Map<String, Value> {
        let Identity {
            id,
            created,
            model,
            system_fingerprint,
        } = &self.identity;
        let mut head = Map::new();
        head.insert("id".to_owned(), id.clone().into());
        head.insert("object".to_owned(), "chat.completion.chunk".into());
        head.insert("created".to_owned(), (*created).into());
        head.insert("model".to_owned(), model.clone().into());
        head.insert("system_fingerprint".to_owned(), system_fingerprint.clone().into());
        head
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use inferkit::Error;

    use super::*;

    type Events = Vec<Result<SseEvent, ApiError>>;

    fn writer(include_usage: bool) -> ChunkWriter {
        let identity = Identity {
            id: "chatcmpl-1".to_owned(),
            created: 7,
            model: "m".to_owned(),
            system_fingerprint: "fp_0".to_owned(),
        };
        ChunkWriter {
            identity,
            choices: 1,
            logprobs: false,
            include_usage,
        }
    }

    fn lines(writer: ChunkWriter, events: Vec<inferkit::Result<ChatEvent>>) -> Events {
        let stream = futures_util::stream::iter(events).boxed();
        writer.chunks(stream).collect::<Vec<_>>().now_or_never().unwrap()
    }

    fn text(piece: &str) -> ChatEvent {
        ChatEvent::Delta {
            choice: 0,
            delta: Delta::Content(piece.to_owned()),
            logprobs: Vec::new(),
        }
    }

    #[test]
    fn a_stream_begins_with_the_role_and_ends_with_reason_usage_and_done() {
        let lines = lines(
            writer(true),
            vec![
                Ok(ChatEvent::Started {
                    prompt_tokens: 3,
                    cached_tokens: 0,
                }),
                Ok(text("Hi")),
                Ok(ChatEvent::Finished {
                    choice: 0,
                    reason: FinishReason::Stop,
                }),
                Ok(ChatEvent::Done {
                    usage: Usage::new(3, 1),
                    timings: Timings::default(),
                }),
            ],
        );
        let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 5);
        let chunk = |place: usize| serde_json::from_str::<Value>(lines[place].data()).unwrap();
        assert_eq!(
            chunk(0)["choices"][0]["delta"],
            json!({"role": "assistant", "content": ""})
        );
        assert_eq!(chunk(1)["choices"][0]["delta"], json!({"content": "Hi"}));
        assert_eq!(chunk(1)["usage"], Value::Null);
        assert_eq!(chunk(2)["choices"][0]["finish_reason"], "stop");
        assert_eq!(
            (chunk(3)["choices"].clone(), chunk(3)["usage"]["total_tokens"].clone()),
            (json!([]), json!(4))
        );
        assert_eq!(lines[4].data(), "[DONE]");
    }

    #[test]
    fn without_include_usage_no_chunk_has_the_key() {
        let lines = lines(writer(false), vec![Ok(text("Hi"))]);
        assert!(
            lines
                .iter()
                .all(|line| !line.as_ref().unwrap().data().contains("usage"))
        );
    }

    #[test]
    fn an_error_ends_the_stream_without_done() {
        let lines = lines(writer(false), vec![Ok(text("Hi")), Err(Error::internal("device lost"))]);
        assert!(lines.last().unwrap().is_err());
        assert!(!lines.iter().flatten().any(|line| line.data() == "[DONE]"));
    }

    #[test]
    fn a_call_s_id_and_name_are_sent_once() {
        let call = Delta::ToolCall {
            index: 0,
            id: "call_1".to_owned(),
            name: "f".to_owned(),
        };
        let more = Delta::ToolArguments {
            index: 0,
            arguments: "{}".to_owned(),
        };
        let event = |delta| {
            Ok(ChatEvent::Delta {
                choice: 0,
                delta,
                logprobs: Vec::new(),
            })
        };
        let lines = lines(writer(false), vec![event(call), event(more)]);
        let delta = |place: usize| {
            let chunk: Value = serde_json::from_str(lines[place].as_ref().unwrap().data()).unwrap();
            chunk["choices"][0]["delta"]["tool_calls"][0].clone()
        };
        let first = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}});
        assert_eq!(delta(1), first);
        assert_eq!(delta(2), json!({"index": 0, "function": {"arguments": "{}"}}));
    }
}
