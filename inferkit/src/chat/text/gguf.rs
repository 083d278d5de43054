//! The text layer of a GGUF file: tokenizer, template and end tokens from its metadata.

use super::generation::END_TEXTS;
use super::layer::Parts;
use super::layer::TextLayer;
use super::template::Template;
use super::tokenizer::Tokenizer;
use crate::error::Error;
use crate::error::Result;
use crate::formats::gguf::Gguf;
use crate::formats::gguf::Metadata;
use crate::task::Sampling;

/// Keys of tokens that end a model's turn.
const END_KEYS: [&str; 3] = [
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
];

/// Keys of single tokens, and the names by which templates know them.
const NAMED: [(&str, &str); 4] = [
    ("tokenizer.ggml.bos_token_id", "bos_token"),
    ("tokenizer.ggml.eos_token_id", "eos_token"),
    ("tokenizer.ggml.padding_token_id", "pad_token"),
    ("tokenizer.ggml.unknown_token_id", "unk_token"),
];

impl TextLayer {
    /// Reads the text part of a GGUF model. Such files say nothing about sampling.
    ///
    /// # Errors
    /// [`Error::BadModel`] that names the key at fault.
    pub(crate) fn from_gguf(file: &Gguf) -> Result<Self> {
        Self::from_metadata(file.metadata())
    }

    /// As [`Self::from_gguf`], from the keys alone.
    ///
    /// # Errors
    /// As [`Self::from_gguf`].
    pub(crate) fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let tokenizer = Tokenizer::from_gguf(metadata)?;
        let template = metadata
            .text("tokenizer.chat_template")?
            .map(|source| Template::new(source, "tokenizer.chat_template"))
            .transpose()?;
        let mut stop_ids = Vec::new();
        for key in END_KEYS {
            stop_ids.extend(token(metadata, key, &tokenizer)?);
        }
        stop_ids.extend(END_TEXTS.iter().filter_map(|text| tokenizer.id(text)));
        let mut named = Vec::new();
        for (key, name) in NAMED {
            if let Some(id) = token(metadata, key, &tokenizer)? {
                let text = tokenizer.vocabulary().bytes(id).unwrap_or_default();
                named.push((name.to_owned(), String::from_utf8_lossy(text).into_owned()));
            }
        }
        Ok(Self::new(Parts {
            tokenizer,
            template,
            named,
            stop_ids,
            defaults: Sampling::default(),
        }))
    }
}

/// The token id of `key`, if the file has one; it has to be in the vocabulary.
fn token(metadata: &Metadata, key: &str, tokenizer: &Tokenizer) -> Result<Option<u32>> {
    match metadata.u32(key)? {
        Some(id) if tokenizer.vocabulary().bytes(id).is_none() => Err(Error::bad_model(format!(
            "{key} is {id}, which is not in the vocabulary; the file is damaged"
        ))),
        id => Ok(id),
    }
}
