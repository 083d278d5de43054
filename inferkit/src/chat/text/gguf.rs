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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::gguf::Array;
    use crate::formats::gguf::Directory;
    use crate::formats::gguf::GgufWriter;
    use crate::formats::gguf::Value;

    fn texts(texts: &[&str]) -> Value {
        Value::Array(Array::Text(texts.iter().map(|&text| text.to_owned()).collect()))
    }

    /// A small sound tokenizer with `key` set to another value, or left out.
    fn read(key: &str, value: Option<Value>) -> Result<TextLayer> {
        let mut keys = vec![
            ("tokenizer.ggml.model", Value::Text("gpt2".to_owned())),
            ("tokenizer.ggml.pre", Value::Text("qwen2".to_owned())),
            (
                "tokenizer.ggml.tokens",
                texts(&["a", "b", "ab", "<|im_end|>", "<think>"]),
            ),
            (
                "tokenizer.ggml.token_type",
                Value::Array(Array::I32(vec![1, 1, 1, 3, 4])),
            ),
            ("tokenizer.ggml.merges", texts(&["a b"])),
            ("tokenizer.ggml.eos_token_id", Value::U32(3)),
        ];
        keys.retain(|(name, _)| *name != key);
        let mut writer = keys
            .into_iter()
            .fold(GgufWriter::new(), |writer, (name, value)| writer.key(name, value));
        if let Some(value) = value {
            writer = writer.key(key, value);
        }
        TextLayer::from_metadata(Directory::parse("model.gguf", &writer.bytes()).unwrap().metadata())
    }

    #[test]
    fn token_types_tell_control_tokens_from_tags() {
        let layer = read("general.name", None).unwrap();
        assert_eq!((layer.stop_ids(), layer.vocabulary()), (&[3][..], 5));
        assert_eq!(layer.tokenizer().encode("ab<|im_end|><think>b").unwrap(), [2, 3, 4, 1]);
        let vocabulary = layer.tokenizer().vocabulary();
        assert!(vocabulary.is_special(3) && !vocabulary.is_special(4));
    }

    #[test]
    fn kinds_of_tokenizer_that_are_not_offered_are_refused_by_name() {
        for (key, name) in [("tokenizer.ggml.model", "llama"), ("tokenizer.ggml.pre", "tekken")] {
            let error = read(key, Some(Value::Text(name.to_owned()))).err().unwrap();
            assert_eq!(error.code(), "unsupported_model");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn metadata_that_contradicts_itself_is_refused_by_key() {
        let damaged = [
            ("tokenizer.ggml.tokens", Some(texts(&[]))),
            ("tokenizer.ggml.tokens", None),
            ("tokenizer.ggml.token_type", Some(Value::Array(Array::I32(vec![1])))),
            ("tokenizer.ggml.merges", Some(texts(&["ab"]))),
            ("tokenizer.ggml.eos_token_id", Some(Value::U32(99))),
            ("tokenizer.chat_template", Some(Value::Text("{% if %}".to_owned()))),
        ];
        for (key, value) in damaged {
            let error = read(key, value).err().unwrap();
            assert_eq!(error.code(), "bad_model", "{error}");
            assert!(error.to_string().contains(key), "{error}");
        }
        let error = read("tokenizer.ggml.merges", Some(texts(&["x y"]))).err().unwrap();
        assert_eq!(error.code(), "bad_model", "{error}");
    }
}
