//! Words of a text and the tokens that they consist of.

use super::WhisperTokens;

/// Languages without spaces between words (openai/whisper, `tokenizer.py`, `split_to_word_tokens`).
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// ASCII punctuation, as Python's `string.punctuation` has it.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// A word and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenWord {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
}

impl WhisperTokens {
    /// Splits tokens of the text vocabulary into words; in languages without spaces, into characters.
    pub(crate) fn split_to_words(&self, ids: &[u32], language: &str) -> Vec<TokenWord> {
        let characters = self.split_at_characters(ids);
        if WITHOUT_SPACES.contains(&language) {
            return characters;
        }
        let mut words: Vec<TokenWord> = Vec::new();
        for part in characters {
            let starts_word = part.text.starts_with(' ') || PUNCTUATION.contains(part.text.trim());
            match words.last_mut() {
                Some(word) if !starts_word => {
                    word.text.push_str(&part.text);
                    word.tokens.extend(part.tokens);
                }
                _ => words.push(part),
            }
        }
        words
    }

    /// Splits tokens wherever whole characters end. Bytes that are no characters do not hold back what follows.
    fn split_at_characters(&self, ids: &[u32]) -> Vec<TokenWord> {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).copied().collect();
        let borders = borders(&bytes);
        let mut parts = Vec::new();
        let (mut start, mut end) = (0, 0);
        let mut tokens = Vec::new();
        for &id in ids {
            tokens.push(id);
            end += self.bytes(id).len();
            if borders.get(end).copied().unwrap_or(true) {
                let text = String::from_utf8_lossy(bytes.get(start..end).unwrap_or_default()).into_owned();
                parts.push(TokenWord {
                    text,
                    tokens: std::mem::take(&mut tokens),
                });
                start = end;
            }
        }
        if let Some(last) = parts.last_mut() {
            last.tokens.extend(tokens);
        }
        parts
    }
}

/// Where no character is cut: for each position of `bytes`, the end excluded.
fn borders(bytes: &[u8]) -> Vec<bool> {
    let mut borders = vec![false; bytes.len()];
    let mut start = 0;
    for chunk in bytes.utf8_chunks() {
        for (offset, _) in chunk.valid().char_indices() {
            if let Some(border) = borders.get_mut(start + offset) {
                *border = true;
            }
        }
        start += chunk.valid().len();
        for border in borders.iter_mut().skip(start).take(chunk.invalid().len()) {
            *border = true;
        }
        start += chunk.invalid().len();
    }
    borders
}
