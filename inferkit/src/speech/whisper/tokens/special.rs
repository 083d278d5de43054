//! The tokens that steer a Whisper.

use crate::error::Error;
use crate::error::Result;

/// Steps of 20 ms in a window, both ends included: `<|0.00|>` to `<|30.00|>`.
const TIMESTAMPS: usize = 1501;

/// The ids of special tokens.
///
/// Ids follow one another: text, `<|endoftext|>`, `<|startoftranscript|>`, languages, tasks and switches, timestamps. The
/// original counts on that (openai/whisper, `tokenizer.py`, `get_encoding`), and so do the rules of decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpecialTokens {
    pub(crate) end_of_text: u32,
    pub(crate) start_of_transcript: u32,
    pub(crate) translate: u32,
    pub(crate) transcribe: u32,
    pub(crate) start_of_lm: Option<u32>,
    pub(crate) start_of_previous: u32,
    pub(crate) no_speech: u32,
    pub(crate) no_timestamps: u32,
    /// `<|0.00|>`: this id and those above are times.
    pub(crate) first_timestamp: u32,
    /// Language codes and their tokens, in the order of their ids.
    pub(crate) languages: Vec<(String, u32)>,
}

impl SpecialTokens {
    /// Finds the tokens by their names, for a table of `vocabulary` rows.
    ///
    /// # Errors
    /// [`Error::BadModel`] when a token is missing, stands at the wrong place, or has no row.
    pub(super) fn find(tokenizer: &tokenizers::Tokenizer, vocabulary: usize) -> Result<Self> {
        let need = |names: &[&str]| {
            let found = names.iter().find_map(|name| tokenizer.token_to_id(name));
            found.ok_or_else(|| {
                Error::bad_model(format!(
                    "tokenizer.json has no token {}; it is not Whisper's",
                    names.join(" or ")
                ))
            })
        };
        let no_timestamps = need(&["<|notimestamps|>"])?;
        let special = Self {
            end_of_text: need(&["<|endoftext|>"])?,
            start_of_transcript: need(&["<|startoftranscript|>"])?,
            translate: need(&["<|translate|>"])?,
            transcribe: need(&["<|transcribe|>"])?,
            start_of_lm: tokenizer.token_to_id("<|startoflm|>"),
            start_of_previous: need(&["<|startofprev|>"])?,
            no_speech: need(&["<|nospeech|>", "<|nocaptions|>"])?,
            no_timestamps,
            // Not every tokenizer.json names the times; they always follow.
            first_timestamp: no_timestamps.saturating_add(1),
            languages: languages(tokenizer),
        };
        special.check(vocabulary)?;
        Ok(special)
    }

    fn check(&self, vocabulary: usize) -> Result<()> {
        let between = self.end_of_text..self.no_timestamps;
        let others = [
            self.start_of_transcript,
            self.translate,
            self.transcribe,
            self.start_of_previous,
            self.no_speech,
        ];
        let languages = self.languages.iter().map(|(_, id)| *id);
        let in_order = others.into_iter().chain(languages).all(|id| between.contains(&id));
        let rows = (self.first_timestamp as usize).saturating_add(TIMESTAMPS);
        if !in_order || rows > vocabulary {
            return Err(Error::bad_model(format!(
                "tokenizer.json: its special tokens end at {rows} and are not those of a model of {vocabulary} tokens; the \
                 files belong to different models"
            )));
        }
        Ok(())
    }

    /// Whether a token is a time.
    pub(crate) const fn is_timestamp(&self, id: u32) -> bool {
        id >= self.first_timestamp
    }

    /// Steps of 20 ms from the start of the window that a token means; zero for what is no time.
    pub(crate) const fn timestamp_steps(&self, id: u32) -> usize {
        id.saturating_sub(self.first_timestamp) as usize
    }

    /// The token of a language.
    pub(crate) fn language(&self, code: &str) -> Option<u32> {
        let found = self.languages.iter().find(|(known, _)| known == code);
        found.map(|(_, id)| *id)
    }

    /// What is never written, beside a model's own list (openai/whisper, `decoding.py`, `_get_suppress_tokens`).
    pub(crate) fn never_written(&self) -> impl Iterator<Item = u32> {
        let tokens = [
            self.transcribe,
            self.translate,
            self.start_of_transcript,
            self.start_of_previous,
            self.no_speech,
        ];
        tokens.into_iter().chain(self.start_of_lm)
    }
}

/// Special tokens such as `<|en|>` and `<|yue|>`: two or three lower-case letters.
fn languages(tokenizer: &tokenizers::Tokenizer) -> Vec<(String, u32)> {
    let code = |name: &str| {
        let code = name.strip_prefix("<|")?.strip_suffix("|>")?;
        let is_code = (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
        is_code.then(|| code.to_owned())
    };
    let added = tokenizer.get_added_tokens_decoder();
    let mut found: Vec<(String, u32)> = added
        .iter()
        .filter_map(|(id, token)| Some((code(&token.content)?, *id)))
        .collect();
    found.sort_by_key(|(_, id)| *id);
    found
}
