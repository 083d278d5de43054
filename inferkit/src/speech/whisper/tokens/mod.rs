//! Text and tokens: encoding, decoding, and what the special tokens are called.

mod bytes;
mod special;
mod words;

#[cfg(test)]
pub(super) mod tests;

use std::path::Path;

use crate::error::Error;
use crate::error::Result;
use crate::formats::contain;

pub(super) use special::SpecialTokens;
pub(super) use words::TokenWord;

/// Largest `tokenizer.json` that is read; published ones have four megabytes.
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// Whisper's tokens.
pub(super) struct WhisperTokens {
    inner: tokenizers::Tokenizer,
    /// What each id of the text vocabulary writes; empty for special tokens.
    pieces: Vec<Vec<u8>>,
    special: SpecialTokens,
}

impl std::fmt::Debug for WhisperTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WhisperTokens")
            .field("pieces", &self.pieces.len())
            .field("special", &self.special)
            .finish_non_exhaustive()
    }
}

impl WhisperTokens {
    /// Reads `tokenizer.json` of a model's folder, for a table of `vocabulary` rows.
    ///
    /// # Errors
    /// [`Error::BadModel`] when it is missing, damaged, or lacks a token that Whisper needs.
    pub(super) fn from_folder(folder: &Path, vocabulary: usize) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let unreadable = |error: std::io::Error| {
            Error::bad_model(format!("{} cannot be read; download the model again", path.display())).with_source(error)
        };
        let length = std::fs::metadata(&path).map_err(unreadable)?.len();
        if length > MAX_TOKENIZER_BYTES {
            return Err(Error::bad_model(format!(
                "tokenizer.json has {length} bytes, more than the {MAX_TOKENIZER_BYTES} that are read"
            )));
        }
        Self::from_json(&std::fs::read(&path).map_err(unreadable)?, vocabulary)
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub(super) fn from_json(content: &[u8], vocabulary: usize) -> Result<Self> {
        contain("tokenizer.json", || {
            let mut inner = tokenizers::Tokenizer::from_bytes(content).map_err(|error| {
                Error::bad_model(format!(
                    "tokenizer.json is not a tokenizer: {error}; download the model again"
                ))
            })?;
            inner.with_padding(None);
            inner
                .with_truncation(None)
                .map_err(|error| Error::bad_model(format!("tokenizer.json: {error}")))?;
            // A prompt is a caller's text: what reads like a special token in it is no such token.
            inner.set_encode_special_tokens(true);
            let special = SpecialTokens::find(&inner, vocabulary)?;
            let mut pieces = vec![Vec::new(); special.end_of_text as usize];
            for (word, id) in inner.get_vocab(false) {
                if let Some(piece) = pieces.get_mut(id as usize) {
                    *piece = bytes::of_word(&word);
                }
            }
            Ok(Self { inner, pieces, special })
        })
    }

    /// The special tokens' ids.
    pub(super) const fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The ids of `text`, none of them special.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the tokenizer cannot take the text, which a sound one always can.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        contain("the tokenizer", || {
            let encoding = self.inner.encode_fast(text, false).map_err(|error| {
                Error::bad_model(format!(
                    "the tokenizer cannot encode a text: {error}; download the model again"
                ))
            })?;
            let ids = encoding.get_ids().iter().copied();
            Ok(ids.filter(|id| *id < self.special.end_of_text).collect())
        })
    }

    /// The text of `ids`, without what special tokens are called. Bytes that are no characters become U+FFFD.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes of a token of the text vocabulary, possibly a part of a character.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or(&[], Vec::as_slice)
    }
}
