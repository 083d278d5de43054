//! What one model needs to turn conversations into tokens and tokens into answers.

use std::io::Read;
use std::path::Path;

use serde_json::Value;
use time::OffsetDateTime;

use super::answer::AnswerDecoder;
use super::answer::AnswerOptions;
use super::conversation;
use super::conversation::TemplateTokens;
use super::generation;
use super::guard::Guard;
use super::guard::GuardedText;
use super::template::Template;
use super::tokenizer::MAX_TOKENIZER_BYTES;
use super::tokenizer::Tokenizer;
use crate::chat::sampler;
use crate::error::Error;
use crate::error::Result;
use crate::task::ChatRequest;
use crate::task::Sampling;
use crate::task::TokenLogprob;
use crate::task::TopLogprob;

/// Largest JSON file beside the tokenizer; a `tokenizer_config.json` of Llama 3 has 56 kB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// A request's prompt in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The tokens of the rendered conversation.
    pub(crate) tokens: Vec<u32>,
    /// Whether the template has opened the thinking part, so that the answer begins inside it.
    pub(crate) think_opened: bool,
}

/// Tokenizer, chat template, end tokens and sampling defaults of one model. Shared by its requests.
pub(crate) struct TextLayer {
    tokenizer: Tokenizer,
    template: Option<Template>,
    tokens: TemplateTokens,
    stop_ids: Vec<u32>,
    defaults: Sampling,
    knows_thinking: bool,
    knows_tool_calls: bool,
}

/// What the readers of folders and GGUF files find.
pub(super) struct Parts {
    pub(super) tokenizer: Tokenizer,
    pub(super) template: Option<Template>,
    /// Special tokens by the name that templates know.
    pub(super) named: Vec<(String, String)>,
    pub(super) stop_ids: Vec<u32>,
    pub(super) defaults: Sampling,
}

impl TextLayer {
    /// Reads the text files of a model in the published folder layout.
    ///
    /// `tokenizer.json` is required. `chat_template.jinja` beats the `chat_template` of
    /// `tokenizer_config.json`; `generation_config.json` gives end tokens and sampling defaults,
    /// `config.json` the end tokens where that is silent.
    ///
    /// # Errors
    /// [`Error::BadModel`] that names the file which is missing, damaged or too large.
    pub(crate) fn from_folder(folder: &Path) -> Result<Self> {
        let tokenizer = read(folder, "tokenizer.json", MAX_TOKENIZER_BYTES)?.ok_or_else(|| {
            Error::bad_model(format!(
                "tokenizer.json is missing from {}; download the model again",
                folder.display()
            ))
        })?;
        let tokenizer = Tokenizer::from_json(&tokenizer)?;
        let config = read_json(folder, "tokenizer_config.json")?;
        let generation = read_json(folder, "generation_config.json")?;
        let mut stop_ids = generation::end_ids(&generation, "generation_config.json")?;
        if stop_ids.is_empty() {
            stop_ids = generation::end_ids(&read_json(folder, "config.json")?, "config.json")?;
        }
        let named = named_tokens(&config);
        stop_ids.extend(
            named
                .iter()
                .filter(|(name, _)| name == "eos_token")
                .filter_map(|(_, text)| tokenizer.id(text)),
        );
        let template = match read(folder, "chat_template.jinja", MAX_CONFIG_BYTES)? {
            Some(source) => Some(Template::new(
                &text(source, "chat_template.jinja")?,
                "chat_template.jinja",
            )?),
            None => configured_template(&config)?,
        };
        let defaults = generation::defaults(&generation)?;
        Ok(Self::new(Parts {
            tokenizer,
            template,
            named,
            stop_ids,
            defaults,
        }))
    }

    /// Puts the parts together.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            tokenizer,
            template,
            named,
            mut stop_ids,
            defaults,
        } = parts;
        stop_ids.sort_unstable();
        stop_ids.dedup();
        let source = template.as_ref().map_or("", Template::source);
        let knows = |tag: &str| source.contains(tag) || tokenizer.id(tag).is_some();
        let knows_thinking = knows("</think>");
        let knows_tool_calls = knows("<tool_call>");
        let reads_thinking = source.contains("thinking") && !source.contains("reasoning_content");
        let tokens = TemplateTokens { named, reads_thinking };
        Self {
            tokenizer,
            template,
            tokens,
            stop_ids,
            defaults,
            knows_thinking,
            knows_tool_calls,
        }
    }

    /// Renders and encodes a conversation.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the template refuses the conversation, [`Error::BadModel`] when
    /// the model has no template or a broken one.
    pub(crate) fn prompt(&self, request: &ChatRequest) -> Result<Prompt> {
        let rendered = self.render(request, OffsetDateTime::now_utc())?;
        let think_opened = self.knows_thinking && rendered.text.trim_end().ends_with("<think>");
        Ok(Prompt {
            tokens: rendered.encode(&self.tokenizer)?,
            think_opened,
        })
    }

    /// Renders a conversation as of `now`, with the caller's texts guarded.
    fn render(&self, request: &ChatRequest, now: OffsetDateTime) -> Result<GuardedText> {
        conversation::check(request)?;
        let template = self.template.as_ref().ok_or_else(|| {
            Error::unsupported_model(
                "the model has no chat template, so it cannot take a conversation; \
                 put a chat_template.jinja beside its weights or use an instruction-tuned model",
            )
        })?;
        let markup = self.tokenizer.markup();
        let plain = conversation::context(request, &self.tokens, &Guard::off(markup));
        let texts = conversation::texts(&plain);
        let size = texts.iter().map(|text| text.len()).sum();
        let guard = Guard::new(markup, texts.into_iter().chain([template.source()]))?;
        let guarded = conversation::context(request, &self.tokens, &guard);
        Ok(guard.read(&template.render(&guarded, size, now)?))
    }

    /// The tokens that end the model's turn, ascending.
    pub(crate) fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// The model's own sampling values.
    pub(crate) const fn defaults(&self) -> &Sampling {
        &self.defaults
    }

    /// The bytes a token writes, possibly a part of a character; `None` for an id without a token.
    pub(crate) fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokenizer.vocabulary().bytes(id)
    }

    /// One more than the highest id that has a token; rows of logits beyond it are padding.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokenizer.vocabulary().len()
    }

    /// The log-probability of `token` and of the `top` most probable tokens, from unmodified `logits`.
    pub(crate) fn token_logprob(&self, logits: &[f32], token: u32, top: usize) -> TokenLogprob {
        let found = sampler::logprobs(logits, token, top, self.vocabulary());
        let entry =
            |(id, logprob): (u32, f32)| TopLogprob::new(self.token_bytes(id).unwrap_or_default().to_vec(), logprob);
        TokenLogprob::new(entry((token, found.token)), found.top.into_iter().map(entry).collect())
    }

    /// The decoder of one answer to `request`; each choice has its own.
    pub(crate) fn answer(self: &std::sync::Arc<Self>, request: &ChatRequest, prompt: &Prompt) -> AnswerDecoder {
        let options = AnswerOptions {
            stop: request.stop.clone(),
            thinking: self.knows_thinking,
            think_opened: prompt.think_opened,
            tool_calls: self.knows_tool_calls && !request.tools.is_empty(),
            include_reasoning: request.include_reasoning,
        };
        AnswerDecoder::new(std::sync::Arc::clone(self), &options)
    }

    /// The tokenizer, for the decoder of an answer.
    pub(super) const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

/// `bos_token` and its like in a `tokenizer_config.json`: a string, or an object with `content`.
fn named_tokens(config: &Value) -> Vec<(String, String)> {
    ["bos_token", "eos_token", "pad_token", "unk_token"]
        .into_iter()
        .filter_map(|name| {
            let value = config.get(name)?;
            let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
            Some((name.to_owned(), text.to_owned()))
        })
        .collect()
}

/// The `chat_template` of a `tokenizer_config.json`: a string, or a list of named templates.
fn configured_template(config: &Value) -> Result<Option<Template>> {
    let origin = "tokenizer_config.json";
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Template::new(source, origin).map(Some),
        Some(Value::Array(named)) => {
            let source = named
                .iter()
                .find(|template| template.get("name").and_then(Value::as_str) == Some("default"))
                .or(named.first())
                .and_then(|template| template.get("template")?.as_str());
            source.map(|source| Template::new(source, origin)).transpose()
        }
        Some(_) => Err(Error::bad_model(
            "tokenizer_config.json: chat_template is neither a text nor a list of texts",
        )),
    }
}

/// Reads a file of the folder; `None` when it is not there.
fn read(folder: &Path, name: &str, most_bytes: u64) -> Result<Option<Vec<u8>>> {
    let cannot = |error: std::io::Error| {
        Error::bad_model(format!(
            "{name} in {} cannot be read; check its permissions",
            folder.display()
        ))
        .with_source(error)
    };
    let file = match std::fs::File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let mut content = Vec::new();
    file.take(most_bytes + 1).read_to_end(&mut content).map_err(cannot)?;
    if content.len() as u64 > most_bytes {
        return Err(Error::bad_model(format!(
            "{name} is larger than the {most_bytes} bytes that are read; it is damaged"
        )));
    }
    Ok(Some(content))
}

/// Reads a JSON file of the folder; null when it is not there.
fn read_json(folder: &Path, name: &str) -> Result<Value> {
    let Some(content) = read(folder, name, MAX_CONFIG_BYTES)? else {
        return Ok(Value::Null);
    };
    serde_json::from_slice(&content).map_err(|error| {
        Error::bad_model(format!("{name} is not JSON ({error}); download the model again")).with_source(error)
    })
}

fn text(content: Vec<u8>, name: &str) -> Result<String> {
    String::from_utf8(content).map_err(|_| Error::bad_model(format!("{name} is not UTF-8; download the model again")))
}

#[cfg(test)]
mod tests;
