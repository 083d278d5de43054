//! Canary's tokenizers: one SentencePiece model, or one for each language with special tokens in front.
//!
//! Source: NeMo 3.0.0, `nemo/collections/common/tokenizers/canary_tokenizer.py` and `aggregate_tokenizer.py`.

use serde_json::Value;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::formats::nemo::NemoArchive;
use crate::formats::sentencepiece::SentencePiece;

/// The part of an aggregate that holds the special tokens.
const SPECIALS: &str = "spl_tokens";

/// A model's tokenizer.
#[derive(Debug)]
pub(in super::super) struct CanaryTokenizer {
    kind: Kind,
    special: SpecialIds,
}

#[derive(Debug)]
enum Kind {
    /// Ids of each part begin where those of the part before end.
    Aggregate(Vec<Part>),
    Single(SentencePiece),
}

#[derive(Debug)]
struct Part {
    /// `spl_tokens`, or a language's code.
    name: String,
    /// The id of its first piece.
    offset: u32,
    pieces: SentencePiece,
}

/// Ids that decoding needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SpecialIds {
    /// Fills batches and ends hypotheses.
    pub(in super::super) pad: u32,
    /// Ends an answer.
    pub(in super::super) end_of_text: u32,
    /// The whole answer where nobody speaks; `None` where the vocabulary has no such token.
    pub(in super::super) no_speech: Option<u32>,
}

impl CanaryTokenizer {
    /// Reads the tokenizer that `section`, the key `tokenizer` of a configuration, describes.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming key or member at fault; of the kind `unsupported_model` for other types of tokenizer.
    pub(in super::super) fn read(archive: &NemoArchive, section: &Value) -> Result<Self> {
        let kind = match section["type"].as_str() {
            Some("agg") => Kind::Aggregate(read_parts(archive, section)?),
            Some("bpe") => Kind::Single(read_pieces(archive, section)?),
            other => {
                let found = other.unwrap_or("missing");
                let message = format!(
                    "{}: tokenizer.type is {found:?}; agg and bpe are supported",
                    archive.name()
                );
                return Err(Error::unsupported_model(message));
            }
        };
        let need = |piece: &str| {
            let message = format!("{}: the tokenizer lacks {piece}, hence it is no Canary", archive.name());
            kind.id(piece).ok_or_else(|| Error::bad_model(message))
        };
        let special = SpecialIds {
            pad: need("<pad>")?,
            end_of_text: need("<|endoftext|>")?,
            no_speech: kind.id("<|nospeech|>"),
        };
        Ok(Self { kind, special })
    }

    /// Tokens of the vocabulary; the networks' tables may have some more rows.
    pub(in super::super) fn vocabulary_size(&self) -> usize {
        match &self.kind {
            Kind::Single(pieces) => pieces.vocabulary_size(),
            Kind::Aggregate(parts) => parts.iter().map(|part| part.pieces.vocabulary_size()).sum(),
        }
    }

    /// The ids that decoding needs.
    pub(in super::super) const fn special(&self) -> SpecialIds {
        self.special
    }

    /// The id of a special token such as `<|en|>`; `None` if the model has none.
    pub(in super::super) fn id(&self, special: &str) -> Option<u32> {
        self.kind.id(special)
    }

    /// The text of the token `id` as the vocabulary spells it.
    pub(in super::super) fn piece(&self, id: u32) -> Option<&str> {
        match &self.kind {
            Kind::Single(pieces) => pieces.piece(id),
            Kind::Aggregate(parts) => {
                let part = parts.iter().rev().find(|part| part.offset <= id)?;
                part.pieces.piece(id - part.offset)
            }
        }
    }

    /// What a token adds to a text, by the rules of [`decode`](Self::decode): a word's first one begins with a space, a byte may
    /// be a part of a character.
    pub(in super::super) fn bytes(&self, id: u32) -> Vec<u8> {
        match &self.kind {
            Kind::Single(pieces) => pieces.surface(id),
            Kind::Aggregate(_) => self.decode(&[id]).into_bytes(),
        }
    }

    /// The one SentencePiece model; `None` for an aggregate.
    pub(in super::super) const fn single(&self) -> Option<&SentencePiece> {
        match &self.kind {
            Kind::Single(pieces) => Some(pieces),
            Kind::Aggregate(_) => None,
        }
    }

    /// Cuts `text` with the tokenizer of `language`; a single tokenizer knows all of them.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when an aggregate has no tokenizer for the language.
    pub(in super::super) fn encode(&self, text: &str, language: &str) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::Single(pieces) => Ok(pieces.encode(text)),
            Kind::Aggregate(parts) => {
                let part = parts.iter().find(|part| part.name == language);
                let part = part.ok_or_else(|| self.unsupported_language(language))?;
                Ok(part
                    .pieces
                    .encode(text)
                    .into_iter()
                    .map(|id| id + part.offset)
                    .collect())
            }
        }
    }

    /// The text of `ids`, as the model's authors print it: that of an aggregate mostly begins with a space, and prints
    /// special and unknown tokens as they are spelt.
    pub(in super::super) fn decode(&self, ids: &[u32]) -> String {
        match &self.kind {
            Kind::Single(pieces) => pieces.decode(ids),
            Kind::Aggregate(_) => {
                let pieces = ids.iter().filter_map(|id| self.piece(*id));
                pieces.collect::<String>().replace('\u{2581}', " ")
            }
        }
    }

    /// ISO 639-1 codes of the languages that have a token, sorted. Some were never trained: the published list of a model
    /// is shorter.
    pub(in super::super) fn languages(&self) -> Vec<String> {
        let named: Vec<String> = match &self.kind {
            Kind::Aggregate(parts) => parts.iter().map(|part| part.name.clone()).collect(),
            Kind::Single(pieces) => (0..)
                .map_while(|id| pieces.piece(id))
                .filter_map(|piece| piece.strip_prefix("<|")?.strip_suffix("|>"))
                .map(str::to_owned)
                .collect(),
        };
        let is_code = |name: &String| name.len() == 2 && name.bytes().all(|letter| letter.is_ascii_lowercase());
        let has_token = |name: &String| self.id(&format!("<|{name}|>")).is_some();
        let mut languages: Vec<String> = named.into_iter().filter(is_code).filter(has_token).collect();
        languages.sort();
        languages
    }

    /// The error for a language that the model has no token for.
    pub(super) fn unsupported_language(&self, language: &str) -> Error {
        let known = self.languages().join(", ");
        let message = format!("language {language:?} is not supported by this model; choose one of {known}");
        Error::invalid(RequestFault::UnsupportedValue, "language", message)
    }
}

impl Kind {
    fn id(&self, special: &str) -> Option<u32> {
        match self {
            Self::Single(pieces) => pieces.id(special),
            Self::Aggregate(parts) => {
                let part = parts.iter().find(|part| part.name == SPECIALS)?;
                Some(part.pieces.id(special)? + part.offset)
            }
        }
    }
}

/// The tokenizers of an aggregate, in the order of the configuration, which gives them their ids.
fn read_parts(archive: &NemoArchive, section: &Value) -> Result<Vec<Part>> {
    let langs = section["langs"]
        .as_object()
        .filter(|langs| langs.contains_key(SPECIALS));
    let langs = langs.ok_or_else(|| {
        let message = format!(
            "{}: tokenizer.langs has no {SPECIALS}; download the model again",
            archive.name()
        );
        Error::bad_model(message)
    })?;
    let mut parts = Vec::new();
    let mut offset = 0_u32;
    for (name, section) in langs {
        let pieces = read_pieces(archive, section)?;
        let size = u32::try_from(pieces.vocabulary_size()).unwrap_or(u32::MAX);
        let name = name.clone();
        parts.push(Part { name, offset, pieces });
        offset = offset.saturating_add(size);
    }
    Ok(parts)
}

/// The SentencePiece model whose member `model_path` names.
fn read_pieces(archive: &NemoArchive, section: &Value) -> Result<SentencePiece> {
    let path = section["model_path"].as_str().unwrap_or_default();
    // Without the mark of members, it is the path on the machine that trained the model.
    let base_name = |path: &'_ str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let member = path
        .strip_prefix("nemo:")
        .map_or_else(|| base_name(path), str::to_owned);
    SentencePiece::read(&member, archive.member(&member)?.bytes())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    const MODELS: [&str; 4] = ["canary-1b", "canary-1b-flash", "canary-180m-flash", "canary-1b-v2"];

    #[test]
    fn special_ids_and_sizes_are_the_golden_ones() {
        for model in MODELS {
            let (tokenizer, expected) = (
                testing::tokenizer(model),
                testing::golden(&format!("{model}.tokenizer.json")),
            );
            assert_eq!(
                tokenizer.vocabulary_size(),
                testing::size(&expected["vocab_size"]),
                "{model}"
            );
            for (piece, id) in expected["special"].as_object().unwrap() {
                assert_eq!(tokenizer.id(piece), Some(testing::id(id)), "{model}: {piece}");
            }
            let special = tokenizer.special();
            assert_eq!(special.pad, testing::id(&expected["pad_id"]), "{model}");
            assert_eq!(special.end_of_text, testing::id(&expected["eos_id"]), "{model}");
            assert_eq!(
                special.no_speech,
                Some(testing::id(&expected["nospeech_id"])),
                "{model}"
            );
        }
    }

    #[test]
    fn texts_are_cut_and_joined_like_the_golden_ones() {
        for model in MODELS {
            let (tokenizer, expected) = (
                testing::tokenizer(model),
                testing::golden(&format!("{model}.tokenizer.json")),
            );
            for case in expected["encode"].as_array().unwrap() {
                let (text, language) = (case["text"].as_str().unwrap(), case["lang"].as_str().unwrap_or("en"));
                let found = tokenizer.encode(text, language).unwrap();
                assert_eq!(found, testing::ids(&case["ids"]), "{model}, {language}: {text:?}");
            }
            for case in expected["decode"].as_array().unwrap() {
                let ids = testing::ids(&case["ids"]);
                assert_eq!(
                    tokenizer.decode(&ids),
                    case["text"].as_str().unwrap(),
                    "{model}: {ids:?}"
                );
            }
        }
    }

    #[test]
    fn a_language_that_the_model_lacks_is_an_error_that_lists_those_it_has() {
        let error = testing::tokenizer("canary-1b").encode("x", "ja").unwrap_err();
        assert_eq!((error.code(), error.param()), ("unsupported_value", Some("language")));
        assert_eq!(
            error.to_string(),
            "language \"ja\" is not supported by this model; choose one of de, en, es, fr"
        );
        assert!(
            testing::tokenizer("canary-1b-v2")
                .languages()
                .contains(&"uk".to_owned())
        );
    }

    #[test]
    fn ids_outside_of_the_vocabulary_print_nothing() {
        for model in MODELS {
            let tokenizer = testing::tokenizer(model);
            let beyond = u32::try_from(tokenizer.vocabulary_size()).unwrap();
            assert_eq!(tokenizer.decode(&[beyond, u32::MAX]), "", "{model}");
        }
    }

    #[test]
    fn other_kinds_of_tokenizers_are_refused_by_name() {
        let archive = testing::archive("canary-1b");
        let error = CanaryTokenizer::read(&archive, &serde_json::json!({"type": "wpe"})).unwrap_err();
        assert_eq!(error.code(), "unsupported_model");
        assert!(error.to_string().contains("tokenizer.type is \"wpe\""), "{error}");
        for section in [
            serde_json::json!({"type": "agg", "langs": {}}),
            serde_json::json!({"type": "bpe", "model_path": "nemo:gone.model"}),
            serde_json::json!({"type": "bpe", "model_path": "/home/x/gone.model"}),
        ] {
            assert_eq!(
                CanaryTokenizer::read(&archive, &section).unwrap_err().code(),
                "bad_model"
            );
        }
    }
}
