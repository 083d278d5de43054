//! `POST /v1/chat/completions`: a conversation in, an answer whole or in pieces.
//!
//! ```text
//! body ─ convert: checks ─▶ ChatRequest ─ lease: the model, brought up ─▶ ChatStream
//!     ─▶ answer: gathered, or chunk: written as server-sent events
//! ```
//!
//! The status is decided late: what can be wrong with a request has been found before the first byte
//! of a 200, streamed or not.

mod answer;
mod chunk;
mod convert;
mod messages;
mod request;
mod serving;
mod string_or;
mod tools;
mod upper_bound;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::ApiResponse;
use poem_openapi::OpenApi;
use poem_openapi::ResponseContent;
use poem_openapi::payload::Json;

use self::answer::ChatCompletion;
use self::answer::gather;
use self::chunk::ChatCompletionChunk;
use self::chunk::ChunkWriter;
use self::convert::convert;
use self::request::ChatCompletionRequest;
use self::serving::admit;
use crate::app::App;
use crate::app::earlier;
use crate::body::Body;
use crate::error::ApiError;
use crate::middleware::Notes;
use crate::openapi::Tag;
use crate::sse::Sse;

/// `/v1/chat/completions`.
pub struct ChatApi(pub(crate) Arc<App>);

/// An answer to a conversation.
#[derive(ApiResponse)]
enum ChatAnswer {
    /// The answer: whole as JSON, or with `stream` in pieces as server-sent events that end with
    /// `data: [DONE]`.
    #[oai(status = 200)]
    Ok(ChatBody),
}

#[derive(ResponseContent)]
enum ChatBody {
    Whole(Json<ChatCompletion>),
    Stream(Sse<ChatCompletionChunk>),
}

#[OpenApi]
impl ChatApi {
    /// The model's answer to a conversation.
    ///
    /// The model is brought up first if it is not loaded and its configuration lets a request do so.
    /// With `stream`, an error after the first byte is a last event with the error body, without
    /// `[DONE]`.
    #[oai(
        path = "/v1/chat/completions",
        method = "post",
        operation_id = "createChatCompletion",
        tag = "Tag::OpenAi"
    )]
    async fn create(&self, notes: Data<&Notes>, body: Body<ChatCompletionRequest>) -> poem::Result<ChatAnswer> {
        let Body(body) = body;
        let model = body.model.clone();
        let converted = convert(body).map_err(ApiError::from)?;
        let (choices, logprobs) = (converted.chat.choices.get(), converted.chat.logprobs.is_some());
        let handle = self.0.registry.get(&model).map_err(ApiError::from)?;
        let patience = earlier(self.0.config.limits.load_wait, notes.deadline());
        let admitted = admit(&handle, model, converted.chat, (patience, notes.0))
            .await
            .map_err(ApiError::from)?;
        let (identity, stream) = (admitted.identity, admitted.stream);
        if !converted.stream {
            let whole = gather(stream, identity, choices, logprobs)
                .await
                .map_err(ApiError::from)?;
            return Ok(ChatAnswer::Ok(ChatBody::Whole(Json(whole))));
        }
        let writer = ChunkWriter {
            identity,
            choices,
            logprobs,
            include_usage: converted.include_usage,
        };
        let bounds = self.0.stream_bounds(notes.0);
        Ok(ChatAnswer::Ok(ChatBody::Stream(Sse::new(
            writer.chunks(stream),
            bounds,
        ))))
    }
}

/// What the fuzzer calls: a body on its way to the library.
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing {
    use super::ApiError;
    use super::ChatCompletionRequest;
    use super::convert;
    use crate::body::decoded;

    /// The names that were skipped.
    pub(crate) fn completion(body: &[u8]) -> Result<Vec<String>, ApiError> {
        let (body, unknown) = decoded::<ChatCompletionRequest>(body)?;
        convert(body)?;
        Ok(unknown)
    }
}
