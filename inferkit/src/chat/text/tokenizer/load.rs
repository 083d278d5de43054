//! Reads a tokenizer from `tokenizer.json`, within bounds.

use tokenizers::Decoder;
use tokenizers::DecoderWrapper;
use tokenizers::ModelWrapper;

use super::Markup;
use super::Tokenizer;
use super::Vocabulary;
use crate::error::Error;
use crate::error::Result;
use crate::formats::contain;

/// Largest `tokenizer.json` that is read; the largest published one has 34 MB.
pub(crate) const MAX_TOKENIZER_BYTES: u64 = 128 << 20;

/// Highest token id that a table is built for; the largest published vocabulary has 262,144 tokens.
pub(super) const MAX_TOKEN_ID: u32 = (1 << 21) - 1;

/// How a tokenizer writes bytes in the text of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each byte is one character of GPT-2's table (`Ġ` is a space).
    ByteLevel,
    /// `▁` is a space and `<0x0A>` a byte, as SentencePiece writes.
    SentencePiece,
}

impl Tokenizer {
    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::BadModel`] for content that is no tokenizer, is too large, or needs a decoder that is
    /// not offered.
    pub(crate) fn from_json(content: &[u8]) -> Result<Self> {
        if content.len() as u64 > MAX_TOKENIZER_BYTES {
            return Err(Error::bad_model(format!(
                "tokenizer.json has {} bytes, more than the {MAX_TOKENIZER_BYTES} that are read; \
                 the file belongs to no known model",
                content.len()
            )));
        }
        contain("tokenizer.json", || {
            let inner = tokenizers::Tokenizer::from_bytes(content).map_err(|error| {
                Error::bad_model(format!(
                    "tokenizer.json is not a tokenizer: {error}; download the model again"
                ))
            })?;
            Self::from_inner(inner)
        })
    }

    /// Checks a tokenizer and builds its tables.
    ///
    /// # Errors
    /// [`Error::BadModel`] as for [`Self::from_json`].
    pub(super) fn from_inner(mut inner: tokenizers::Tokenizer) -> Result<Self> {
        // Both are settings of a training run; a server cuts nothing and pads nothing.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| Error::bad_model(format!("tokenizer.json: {error}")))?;
        if let ModelWrapper::BPE(bpe) = inner.get_model()
            && bpe.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            return Err(Error::unsupported_model(
                "tokenizer.json drops merges at random (`dropout`), which gives a prompt no fixed tokens; \
                 set it to null",
            ));
        }
        let spelling = spelling(inner.get_decoder())?;
        let vocabulary = Vocabulary::new(&inner, spelling)?;
        let markup = Markup::new(inner.get_added_tokens_decoder().values());
        Ok(Self {
            inner,
            vocabulary,
            markup,
        })
    }
}

/// Tells how a decoder spells bytes, by what it makes of two telling tokens.
fn spelling(decoder: Option<&DecoderWrapper>) -> Result<Spelling> {
    let Some(decoder) = decoder else {
        return Err(Error::unsupported_model(
            "tokenizer.json has no decoder; a byte-level or SentencePiece one is needed",
        ));
    };
    let decode = |tokens: &[&str]| decoder.decode(tokens.iter().map(|&token| token.to_owned()).collect());
    if decode(&["x", "Ġy"]).is_ok_and(|text| text == "x y") {
        Ok(Spelling::ByteLevel)
    } else if decode(&["x", "▁y"]).is_ok_and(|text| text == "x y") {
        Ok(Spelling::SentencePiece)
    } else {
        Err(Error::unsupported_model(
            "tokenizer.json: its decoder is neither byte-level nor that of SentencePiece; \
             the tokenizers of Qwen and Llama models are offered",
        ))
    }
}
