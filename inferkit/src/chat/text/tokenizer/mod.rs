//! A model's tokenizer: text to ids by the crate `tokenizers`, ids to bytes by a table of our own.
//!
//! Two ways in, one result: `tokenizer.json`, or the metadata of a GGUF file.
//!
//! **Invariant:** what a file says is checked here once; afterwards encoding needs no caps but the
//! length of the text.

mod gguf;
mod load;
mod markup;
mod vocabulary;

pub(super) use load::MAX_TOKENIZER_BYTES;
pub(super) use markup::Markup;
pub(super) use vocabulary::Vocabulary;

use tokenizers::Model;
use tokenizers::NormalizedString;
use tokenizers::Normalizer;
use tokenizers::OffsetType;
use tokenizers::PreTokenizedString;
use tokenizers::PreTokenizer;

use crate::error::Error;
use crate::error::Result;
use crate::formats::contain;

/// Encodes text and knows the bytes of every id.
pub(super) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocabulary: Vocabulary,
    markup: Markup,
}

impl Tokenizer {
    /// The ids of `text`, with the strings of added tokens read as those tokens.
    ///
    /// Nothing is put before or after: a chat template writes its own beginning.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the tokenizer cannot take the text, which a sound one always can.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        contain("the tokenizer", || {
            let encoding = self
                .inner
                .encode_fast(text, false)
                .map_err(|error| cannot_encode(&error))?;
            Ok(encoding.get_ids().to_vec())
        })
    }

    /// The ids of `text` as plain words: no string in it stands for an added token.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(super) fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        contain("the tokenizer", || {
            self.plain_ids(text).map_err(|error| cannot_encode(&error))
        })
    }

    /// The steps of `tokenizers::Tokenizer::encode` without the search for added tokens.
    fn plain_ids(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = self.inner.get_normalizer() {
            normalizer.normalize(&mut normalized)?;
        }
        let mut words = PreTokenizedString::from(normalized);
        if let Some(splitter) = self.inner.get_pre_tokenizer() {
            splitter.pre_tokenize(&mut words)?;
        }
        words.tokenize(|word| self.inner.get_model().tokenize(word.get()))?;
        Ok(words.into_encoding(None, 0, OffsetType::None)?.get_ids().to_vec())
    }

    /// The id of the token that is written `token`, if there is one.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The bytes of every id.
    pub(super) const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The strings that are read as control tokens or tags.
    pub(super) const fn markup(&self) -> &Markup {
        &self.markup
    }
}

fn cannot_encode(error: &tokenizers::Error) -> Error {
    Error::bad_model(format!(
        "the tokenizer cannot encode a text: {error}; download the model again"
    ))
}

#[cfg(test)]
mod tests;
