//! The bytes behind every token id.

use super::load::MAX_TOKEN_ID;
use super::load::Spelling;
use crate::error::Error;
use crate::error::Result;

/// What each id of a tokenizer writes, and which ids are control tokens.
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    spelling: Spelling,
}

/// One id: a range of [`Vocabulary::bytes`].
#[derive(Clone, Copy, Default)]
struct Entry {
    start: u32,
    len: u32,
    known: bool,
    special: bool,
}

impl Vocabulary {
    /// Builds the table of `tokenizer`.
    ///
    /// # Errors
    /// [`Error::BadModel`] for an id beyond any real vocabulary: the table grows with the highest id.
    pub(super) fn new(tokenizer: &tokenizers::Tokenizer, spelling: Spelling) -> Result<Self> {
        let words = tokenizer.get_vocab(true);
        let added = tokenizer.get_added_tokens_decoder();
        let highest = words.values().copied().max().unwrap_or(0);
        if highest > MAX_TOKEN_ID {
            return Err(Error::bad_model(format!(
                "tokenizer: token id {highest} is beyond {MAX_TOKEN_ID}, the highest that is read; the file is damaged"
            )));
        }
        let mut table = Self {
            bytes: Vec::new(),
            entries: vec![Entry::default(); highest as usize + 1],
            spelling,
        };
        for (word, &id) in &words {
            if !added.contains_key(&id) {
                table.set(id, &spelling.bytes(word), false)?;
            }
        }
        for (&id, token) in &added {
            table.set(id, token.content.as_bytes(), token.special)?;
        }
        Ok(table)
    }

    fn set(&mut self, id: u32, bytes: &[u8], special: bool) -> Result<()> {
        let too_large = || Error::bad_model("tokenizer: its tokens hold more than 4 GiB; the file is damaged");
        let start = u32::try_from(self.bytes.len()).map_err(|_| too_large())?;
        let len = u32::try_from(bytes.len()).map_err(|_| too_large())?;
        if let Some(entry) = self.entries.get_mut(id as usize) {
            self.bytes.extend_from_slice(bytes);
            *entry = Entry {
                start,
                len,
                known: true,
                special,
            };
        }
        Ok(())
    }

    /// One more than the highest id.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of a token, possibly a part of a character; `None` for an id without a token.
    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        let entry = self.entries.get(id as usize).filter(|entry| entry.known)?;
        self.bytes
            .get(entry.start as usize..entry.start as usize + entry.len as usize)
    }

    /// Whether a token is a control token, which is no part of an answer's text.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.entries.get(id as usize).is_some_and(|entry| entry.special)
    }

    /// Whether the first space of a text is the tokenizer's own and not the text's.
    pub(crate) fn drops_first_space(&self) -> bool {
        self.spelling == Spelling::SentencePiece
    }
}

impl Spelling {
    /// The bytes that a token of the model's own vocabulary stands for.
    fn bytes(self, word: &str) -> Vec<u8> {
        match self {
            // A word with a character outside the table was never made by bytes and stands for itself,
            // as in the reference (`ByteLevel::decode_chain` of the crate `tokenizers`).
            Self::ByteLevel => word
                .chars()
                .map(byte_of)
                .collect::<Option<Vec<u8>>>()
                .unwrap_or_else(|| word.as_bytes().to_vec()),
            Self::SentencePiece => {
                let byte = word.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                match byte
                    .filter(|digits| digits.len() == 2)
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                {
                    Some(byte) => vec![byte],
                    None => word.replace('▁', " ").into_bytes(),
                }
            }
        }
    }
}

/// The byte that GPT-2's table writes as `character`.
///
/// Printable bytes of Latin-1 stand for themselves; the other 68 are counted up from U+0100.
/// Source: `bytes_to_unicode` in openai/gpt-2 `src/encoder.py`.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt2s_table_reaches_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<u8>>());
        assert_eq!(
            (byte_of('Ġ'), byte_of('Ċ'), byte_of('A')),
            (Some(b' '), Some(b'\n'), Some(b'A'))
        );
    }

    #[test]
    fn sentencepiece_words_hold_spaces_and_single_bytes() {
        assert_eq!(Spelling::SentencePiece.bytes("▁the"), b" the");
        assert_eq!(Spelling::SentencePiece.bytes("<0x0A>"), b"\n");
        assert_eq!(Spelling::SentencePiece.bytes("<0xZZ>"), b"<0xZZ>");
    }
}
