//! A tokenizer from the metadata of a GGUF file.

use tokenizers::AddedToken;
use tokenizers::PreTokenizerWrapper;
use tokenizers::SplitDelimiterBehavior;
use tokenizers::models::bpe::BPE;
use tokenizers::models::bpe::Merges;
use tokenizers::models::bpe::Vocab;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::Split;
use tokenizers::pre_tokenizers::split::SplitPattern;

use super::Tokenizer;
use super::load::MAX_TOKEN_ID;
use crate::error::Error;
use crate::error::Result;
use crate::formats::contain;
use crate::formats::gguf::Metadata;

/// GPT-2's pattern (openai/gpt-2, `src/encoder.py`).
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3's pattern (its published tokenizer.json).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's pattern (its published tokenizer.json): Llama 3's with single digits.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Single digits, before another pattern.
const DIGIT: &str = r"\p{N}";

/// How text is cut before bytes are merged.
#[derive(Debug, Clone, Copy)]
struct Splitting {
    patterns: &'static [&'static str],
    /// Whether text is brought to Unicode's form C first.
    nfc: bool,
    /// Whether a word that is a token is taken whole, whatever the merges say.
    ignore_merges: bool,
}

/// The names of `tokenizer.ggml.pre` that are offered. A wrong pattern gives a model text that it
/// has never seen, without any error: an unknown name is refused.
fn splitting(name: &str) -> Option<Splitting> {
    let plain = Splitting {
        patterns: &[],
        nfc: false,
        ignore_merges: false,
    };
    match name {
        "gpt-2" | "gpt2" => Some(Splitting {
            patterns: &[GPT2],
            ..plain
        }),
        "smollm" => Some(Splitting {
            patterns: &[DIGIT, GPT2],
            ..plain
        }),
        "llama-bpe" | "llama3" | "llama-v3" => Some(Splitting {
            patterns: &[LLAMA3],
            ignore_merges: true,
            ..plain
        }),
        "qwen2" | "deepseek-r1-qwen" => Some(Splitting {
            patterns: &[QWEN2],
            nfc: true,
            ..plain
        }),
        _ => None,
    }
}

/// `tokenizer.ggml.token_type`: a control token.
const CONTROL: u32 = 3;
/// `tokenizer.ggml.token_type`: an added token that is text.
const USER_DEFINED: u32 = 4;

impl Tokenizer {
    /// Builds the tokenizer that a GGUF file describes.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a kind of tokenizer that is not offered, named, and for metadata that
    /// contradicts itself.
    pub(crate) fn from_gguf(metadata: &Metadata) -> Result<Self> {
        let model = metadata.need("tokenizer.ggml.model", Metadata::text)?;
        if model != "gpt2" {
            return Err(Error::unsupported_model(format!(
                "tokenizer.ggml.model is {model:?}; gpt2 (byte-level BPE) is offered, \
                 so use the model's folder with its tokenizer.json"
            )));
        }
        let name = metadata.need("tokenizer.ggml.pre", Metadata::text)?;
        let splitting = splitting(name).ok_or_else(|| {
            Error::unsupported_model(format!(
                "tokenizer.ggml.pre is {name:?}; gpt-2, smollm, llama-bpe and qwen2 are offered, \
                 so use the model's folder with its tokenizer.json"
            ))
        })?;
        let words = metadata.need("tokenizer.ggml.tokens", Metadata::texts)?;
        let merges = metadata.need("tokenizer.ggml.merges", Metadata::texts)?;
        let kinds = metadata.u32s("tokenizer.ggml.token_type")?.unwrap_or_default();
        if words.is_empty() || words.len() > MAX_TOKEN_ID as usize {
            return Err(Error::bad_model(format!(
                "tokenizer.ggml.tokens holds {} tokens; 1 to {MAX_TOKEN_ID} are read",
                words.len()
            )));
        }
        if !kinds.is_empty() && kinds.len() != words.len() {
            return Err(Error::bad_model(format!(
                "tokenizer.ggml.token_type holds {} entries for {} tokens; the file is damaged",
                kinds.len(),
                words.len()
            )));
        }
        contain("the tokenizer of the GGUF file", || {
            Self::from_inner(build(words, merges, &kinds, splitting)?)
        })
    }
}

fn build(words: &[String], merges: &[String], kinds: &[u32], splitting: Splitting) -> Result<tokenizers::Tokenizer> {
    let damaged = |error: tokenizers::Error| {
        Error::bad_model(format!(
            "the tokenizer of the GGUF file is damaged: {error}; download the model again"
        ))
    };
    let vocab: Vocab = words.iter().cloned().zip(0_u32..).collect();
    let merges: Merges = merges.iter().map(|merge| merge_pair(merge)).collect::<Result<_>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(splitting.ignore_merges)
        .build()
        .map_err(damaged)?;

    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    if splitting.nfc {
        tokenizer.with_normalizer(Some(NFC)).map_err(damaged)?;
    }
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for pattern in splitting.patterns {
        let pattern = SplitPattern::Regex((*pattern).to_owned());
        steps.push(
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map_err(damaged)?
                .into(),
        );
    }
    steps.push(ByteLevel::new(false, true, false).into());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let added = words
        .iter()
        .zip(kinds)
        .filter(|(_, kind)| matches!(**kind, CONTROL | USER_DEFINED));
    let added = added.map(|(word, &kind)| AddedToken::from(word.as_str(), kind == CONTROL).normalized(false));
    tokenizer.add_tokens(added).map_err(damaged)?;
    Ok(tokenizer)
}

/// `"a b"`; a word may hold no space, since bytes are written in GPT-2's table.
fn merge_pair(merge: &str) -> Result<(String, String)> {
    let (left, right) = merge.split_once(' ').ok_or_else(|| {
        Error::bad_model(format!(
            "tokenizer.ggml.merges holds {:?}, which is not two words; the file is damaged",
            merge.chars().take(40).collect::<String>()
        ))
    })?;
    Ok((left.to_owned(), right.to_owned()))
}
