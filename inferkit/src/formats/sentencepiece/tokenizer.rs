//! A SentencePiece model that cuts texts and joins them again.

use super::bpe;
use super::error::SentencePieceError;
use super::model::Algorithm;
use super::model::Model;
use super::model::PieceKind;
use super::normalizer::SPACE;
use super::normalizer::normalize;
use super::prefixes::Prefixes;
use super::unigram::Unigram;
use crate::error::Result;

/// A tokenizer.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    model: Model,
    /// Pieces that are found in text and never cut.
    user_defined: Prefixes,
    cutter: Cutter,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextPiece {
    /// Its id.
    pub(crate) id: u32,
    /// The part as normalised: the piece that the id stands for, or what the vocabulary lacks.
    pub(crate) text: String,
}

#[derive(Debug)]
enum Cutter {
    Unigram(Unigram, Prefixes),
    Bpe,
}

impl SentencePiece {
    /// Reads the model in `bytes`; messages call the file `name`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when it is broken or of a kind that is not supported.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).map_err(|fault| fault.in_file(name))
    }

    /// As [`read`](Self::read), for a file without a name.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SentencePieceError> {
        let model = Model::parse(bytes)?;
        let texts = |kinds: &'static [PieceKind]| {
            let pieces = model.pieces.iter().zip(0_u32..);
            let of_kind = pieces.filter(|(piece, _)| kinds.contains(&piece.kind));
            Prefixes::new(of_kind.map(|(piece, id)| (piece.text.as_str(), id)))
        };
        let user_defined = texts(&[PieceKind::UserDefined]);
        let cutter = match model.algorithm {
            Algorithm::Unigram => {
                let pieces = texts(&[PieceKind::Normal, PieceKind::UserDefined, PieceKind::Unused]);
                Cutter::Unigram(Unigram::new(&model), pieces)
            }
            Algorithm::Bpe => Cutter::Bpe,
        };
        Ok(Self {
            model,
            user_defined,
            cutter,
        })
    }

    /// Pieces in the vocabulary.
    pub(crate) fn vocabulary_size(&self) -> usize {
        self.model.pieces.len()
    }

    /// The id of `piece`, `None` if the vocabulary has no such piece.
    pub(crate) fn id(&self, piece: &str) -> Option<u32> {
        self.model.ids.get(piece).copied()
    }

    /// The piece `id`.
    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        let piece = self.model.pieces.get(usize::try_from(id).ok()?)?;
        Some(&piece.text)
    }

    /// What the piece `id` is for.
    pub(crate) fn kind(&self, id: u32) -> Option<PieceKind> {
        let piece = self.model.pieces.get(usize::try_from(id).ok()?)?;
        Some(piece.kind)
    }

    /// The id that stands for text which the vocabulary lacks.
    pub(crate) fn unknown_id(&self) -> u32 {
        self.model.unknown_id
    }

    /// Cuts `text`. What the vocabulary lacks becomes bytes, or one unknown id for each run of it.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        self.cut(text).into_iter().map(|part| part.id).collect()
    }

    /// As [`encode`](Self::encode); each id comes with the text that it stands for.
    pub(crate) fn cut(&self, text: &str) -> Vec<TextPiece> {
        let normalized = normalize(&self.model, &self.user_defined, text);
        let parts = match &self.cutter {
            Cutter::Unigram(unigram, pieces) => unigram.cut(&self.model, pieces, &normalized),
            Cutter::Bpe => bpe::cut(&self.model, &self.user_defined, &normalized),
        };
        let mut pieces: Vec<TextPiece> = Vec::with_capacity(parts.len());
        let mut after_unknown = false;
        let mut rest = normalized.as_str();
        for (length, id) in parts {
            let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            rest = after;
            let unknown = id == self.model.unknown_id;
            if unknown && self.model.byte_fallback {
                pieces.extend(part.bytes().map(|byte| self.byte_piece(byte)));
            } else if let Some(last) = pieces.last_mut().filter(|_| unknown && after_unknown) {
                last.text.push_str(part);
            } else {
                let text = part.to_owned();
                pieces.push(TextPiece { id, text });
            }
            after_unknown = unknown;
        }
        pieces
    }

    /// The text of `ids`; ids outside of the vocabulary print nothing.
    ///
    /// Source: `src/sentencepiece_processor.cc`, `SentencePieceProcessor::Decode`.
    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut bytes = Vec::new();
        // The space of the dummy prefix is dropped: once, or all of them where texts lose their spaces anyway.
        let drops_space = self.model.add_dummy_prefix || self.model.remove_extra_whitespaces;
        let (mut at_start, mut prefix_seen) = (true, false);
        for id in ids {
            let Some((piece, kind)) = self.piece(*id).zip(self.kind(*id)) else {
                continue;
            };
            if let PieceKind::Byte(byte) = kind {
                bytes.push(byte);
                continue;
            }
            push_bytes(&mut text, &mut bytes);
            at_start &= !prefix_seen && text.is_empty();
            prefix_seen = false;
            match kind {
                PieceKind::Control => {}
                PieceKind::Unknown => text.push_str(&self.model.unknown_surface),
                _ => {
                    let shortened = piece.strip_prefix(SPACE).filter(|_| at_start && drops_space);
                    prefix_seen = shortened.is_some() && !self.model.remove_extra_whitespaces;
                    text.push_str(&shortened.unwrap_or(piece).replace(SPACE, " "));
                }
            }
        }
        push_bytes(&mut text, &mut bytes);
        text
    }

    /// What the piece `id` adds to a text, inside of it: a word's first piece begins with a space, a byte may be a part of a
    /// character. Nothing for ids outside of the vocabulary.
    pub(crate) fn surface(&self, id: u32) -> Vec<u8> {
        match self.piece(id).zip(self.kind(id)) {
            None | Some((_, PieceKind::Control)) => Vec::new(),
            Some((_, PieceKind::Byte(byte))) => vec![byte],
            Some((_, PieceKind::Unknown)) => self.model.unknown_surface.clone().into_bytes(),
            Some((piece, _)) => piece.replace(SPACE, " ").into_bytes(),
        }
    }

    fn byte_piece(&self, byte: u8) -> TextPiece {
        let text = format!("<0x{byte:02X}>");
        let id = self.id(&text).unwrap_or(self.model.unknown_id);
        TextPiece { id, text }
    }
}

/// Adds what `bytes` spell, U+FFFD for each byte that is part of no character, and empties them.
fn push_bytes(text: &mut String, bytes: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    bytes.clear();
}
