//! The body of `POST /v1/chat/completions`, field by field as it arrives.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Any;
use serde::Deserialize;
use serde_json::Value;

use super::messages::MessageBody;
use super::string_or::StringOr;
use super::tools::ResponseFormat;
use super::tools::ToolBody;
use super::tools::ToolChoice;
use super::upper_bound;

/// A conversation to continue.
///
/// Fields of a hosted service that do not change what the answer means (`user`, `metadata`, `store`,
/// `service_tier`, …) are accepted and ignored. Fields that would change it and are not offered are
/// refused with the code `unsupported_parameter`.
#[derive(Debug, Deserialize, Object)]
#[oai(write_only_all)]
#[expect(
    dead_code,
    reason = "hints of a hosted service are named here so that they are known; nothing reads them"
)]
pub(crate) struct ChatCompletionRequest {
    /// Registry key, alias or repository of a chat model.
    pub(crate) model: String,
    /// The conversation so far, oldest first; 1 to 2048.
    pub(crate) messages: Vec<MessageBody>,
    /// Whether the answer comes in pieces, as server-sent events.
    pub(crate) stream: Option<bool>,
    /// How it comes.
    pub(crate) stream_options: Option<StreamOptions>,
    /// Longest answer in tokens; absent is the rest of the context, and so is more than that.
    #[serde(default, deserialize_with = "upper_bound::read")]
    pub(crate) max_completion_tokens: Option<u64>,
    /// The older name of `max_completion_tokens`, which wins.
    #[serde(default, deserialize_with = "upper_bound::read")]
    pub(crate) max_tokens: Option<u64>,
    /// 0 to 2; 0 always takes the most probable token. Absent is the model's own default.
    pub(crate) temperature: Option<f64>,
    /// Smallest set of tokens whose probabilities sum to this, above 0 up to 1.
    pub(crate) top_p: Option<f64>,
    /// Most probable tokens kept; 0 or −1 keeps all.
    pub(crate) top_k: Option<i64>,
    /// Least probability relative to the most probable token, 0 to 1.
    pub(crate) min_p: Option<f64>,
    /// Above 0 up to 2; 1 is neutral.
    pub(crate) repetition_penalty: Option<f64>,
    /// −2 to 2, for each time a token stands in the answer.
    pub(crate) frequency_penalty: Option<f64>,
    /// −2 to 2, for each token that stands in the answer.
    pub(crate) presence_penalty: Option<f64>,
    /// Token id to −100..100, added to its logit; at most 1024 entries.
    pub(crate) logit_bias: Option<BTreeMap<String, f64>>,
    /// Whether log-probabilities of the answer's tokens are returned.
    pub(crate) logprobs: Option<bool>,
    /// 0 to 20 most probable tokens at each place; needs `logprobs`.
    pub(crate) top_logprobs: Option<u64>,
    /// Number of answers, 1 to 8.
    pub(crate) n: Option<u64>,
    /// Start of the random numbers: the same seed gives the same answer.
    pub(crate) seed: Option<i64>,
    /// 1 to 16 texts of 1 to 256 bytes at which the answer ends.
    pub(crate) stop: Option<StringOr<Vec<String>>>,
    /// Tokens at which the answer ends.
    pub(crate) stop_token_ids: Option<Vec<u64>>,
    /// Whether the stop text is part of the answer.
    pub(crate) include_stop_str_in_output: Option<bool>,
    /// Whether the model's end tokens are ignored.
    pub(crate) ignore_eos: Option<bool>,
    /// Number of tokens before which nothing ends the answer.
    pub(crate) min_tokens: Option<u64>,
    /// Whether special tokens are left out of the text; true if absent.
    pub(crate) skip_special_tokens: Option<bool>,
    /// Functions the model may call, at most 128.
    pub(crate) tools: Option<Vec<ToolBody>>,
    /// `auto` or `none`. Forcing a call needs constrained decoding, which this version does not offer.
    pub(crate) tool_choice: Option<StringOr<ToolChoice>>,
    /// Must be true or absent when there are tools.
    pub(crate) parallel_tool_calls: Option<bool>,
    /// `{"type": "text"}`. Other formats need constrained decoding, which this version does not offer.
    pub(crate) response_format: Option<ResponseFormat>,
    /// `none` turns thinking off in templates that have a switch; any other level turns it on.
    pub(crate) reasoning_effort: Option<String>,
    /// Values for the model's chat template; at most 4 KiB.
    pub(crate) chat_template_kwargs: Option<Any<serde_json::Map<String, Value>>>,
    /// Whether the thinking part is returned; true if absent.
    pub(crate) include_reasoning: Option<bool>,

    #[oai(skip)]
    pub(crate) functions: Option<Value>,
    #[oai(skip)]
    pub(crate) function_call: Option<Value>,
    #[oai(skip)]
    pub(crate) audio: Option<Value>,
    #[oai(skip)]
    pub(crate) modalities: Option<Vec<String>>,
    #[oai(skip)]
    pub(crate) web_search_options: Option<Value>,
    #[oai(skip)]
    pub(crate) moderation: Option<Value>,
    #[oai(skip)]
    pub(crate) chat_template: Option<Value>,
    #[oai(skip)]
    pub(crate) guided_json: Option<Value>,
    #[oai(skip)]
    pub(crate) guided_regex: Option<Value>,
    #[oai(skip)]
    pub(crate) guided_choice: Option<Value>,
    #[oai(skip)]
    pub(crate) guided_grammar: Option<Value>,
    #[oai(skip)]
    pub(crate) structured_outputs: Option<Value>,
    #[oai(skip)]
    pub(crate) best_of: Option<Value>,
    #[oai(skip)]
    pub(crate) use_beam_search: Option<Value>,
    #[oai(skip)]
    pub(crate) prompt_logprobs: Option<Value>,
    #[oai(skip)]
    pub(crate) continue_final_message: Option<Value>,

    #[oai(skip)]
    priority: Option<Value>,
    #[oai(skip)]
    user: Option<Value>,
    #[oai(skip)]
    safety_identifier: Option<Value>,
    #[oai(skip)]
    prompt_cache_key: Option<Value>,
    #[oai(skip)]
    prompt_cache_retention: Option<Value>,
    #[oai(skip)]
    prompt_cache_options: Option<Value>,
    #[oai(skip)]
    metadata: Option<Value>,
    #[oai(skip)]
    store: Option<Value>,
    #[oai(skip)]
    service_tier: Option<Value>,
    #[oai(skip)]
    verbosity: Option<Value>,
    #[oai(skip)]
    prediction: Option<Value>,
}

impl ChatCompletionRequest {
    /// The first field that this server does not offer, and what to do instead.
    pub(crate) fn unsupported_field(&self) -> Option<(&'static str, &'static str)> {
        let speaks = self
            .modalities
            .as_ref()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind != "text"));
        let structured = "constrained decoding is not in this version";
        let fields = [
            ("functions", self.functions.is_some(), "use tools"),
            ("function_call", self.function_call.is_some(), "use tool_choice"),
            ("audio", self.audio.is_some(), "chat models here answer in text"),
            ("modalities", speaks, "chat models here answer in text"),
            (
                "web_search_options",
                self.web_search_options.is_some(),
                "there is no web search; pass a tool",
            ),
            ("moderation", self.moderation.is_some(), "there is no moderation"),
            (
                "chat_template",
                self.chat_template.is_some(),
                "the model's own template is used; see chat_template_kwargs",
            ),
            ("guided_json", self.guided_json.is_some(), structured),
            ("guided_regex", self.guided_regex.is_some(), structured),
            ("guided_choice", self.guided_choice.is_some(), structured),
            ("guided_grammar", self.guided_grammar.is_some(), structured),
            ("structured_outputs", self.structured_outputs.is_some(), structured),
            ("best_of", self.best_of.is_some(), "use n"),
            (
                "use_beam_search",
                self.use_beam_search.is_some(),
                "answers are sampled; use temperature 0",
            ),
            (
                "prompt_logprobs",
                self.prompt_logprobs.is_some(),
                "use logprobs for the answer's tokens",
            ),
            (
                "continue_final_message",
                self.continue_final_message.is_some(),
                "send the text as a user message",
            ),
        ];
        fields
            .into_iter()
            .find(|(_, present, _)| *present)
            .map(|(name, _, advice)| (name, advice))
    }
}

/// How a streamed answer comes.
#[derive(Debug, Default, Deserialize, Object)]
#[oai(write_only_all)]
#[expect(
    dead_code,
    reason = "ignored options are named here so that they are known; nothing reads them"
)]
pub(crate) struct StreamOptions {
    /// Whether a last chunk carries the usage.
    pub(crate) include_usage: Option<bool>,
    #[oai(skip)]
    continuous_usage_stats: Option<Value>,
    #[oai(skip)]
    include_obfuscation: Option<Value>,
}
