//! The content of a model's file: pieces and settings.
//!
//! Source: `src/sentencepiece_model.proto`.

use std::collections::HashMap;

use super::charsmap::Charsmap;
use super::error::SentencePieceError;
use super::wire::Fields;
use super::wire::Value;
use crate::formats::shown::quoted;

/// Longest file; published ones have some megabytes.
const LONGEST: usize = 64 << 20;

/// Most pieces; the largest published vocabularies have 260,000.
const MOST_PIECES: usize = 1 << 20;

/// Longest piece in bytes.
const LONGEST_PIECE: usize = 512;

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Text.
    Normal,
    /// Stands for text that the vocabulary lacks.
    Unknown,
    /// Never found in text, and prints nothing.
    Control,
    /// Text that is never cut.
    UserDefined,
    /// One byte of text that the vocabulary lacks.
    Byte(u8),
    /// Text that is never used.
    Unused,
}

/// A piece.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// How text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Unigram,
    Bpe,
}

/// All that a file says.
#[derive(Debug)]
pub(super) struct Model {
    /// The position is the id.
    pub(super) pieces: Vec<Piece>,
    pub(super) ids: HashMap<String, u32>,
    pub(super) unknown_id: u32,
    pub(super) algorithm: Algorithm,
    /// Whether text that the vocabulary lacks is spelt in bytes.
    pub(super) byte_fallback: bool,
    /// What the piece for unknown text prints.
    pub(super) unknown_surface: String,
    pub(super) charsmap: Option<Charsmap>,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
}

impl Model {
    /// Reads the file with the content `bytes`.
    ///
    /// # Errors
    /// [`SentencePieceError`] for anything that the original library refuses, and for what is not supported.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SentencePieceError> {
        if bytes.len() > LONGEST {
            let (length, longest) = (bytes.len(), LONGEST);
            return Err(SentencePieceError::TooLong { length, longest });
        }
        let mut model = Self {
            pieces: Vec::new(),
            ids: HashMap::new(),
            unknown_id: 0,
            algorithm: Algorithm::Unigram,
            byte_fallback: false,
            unknown_surface: " \u{2047} ".to_owned(),
            charsmap: None,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        };
        let mut fields = Fields::new(bytes, 0);
        while let Some((number, value)) = fields.next()? {
            let Value::Bytes(message) = value else { continue };
            let inner = Fields::new(message, fields.position().saturating_sub(message.len()));
            match number {
                1 => model.add_piece(inner)?,
                2 => model.read_trainer(inner)?,
                3 => model.read_normalizer(inner)?,
                _ => {}
            }
        }
        model.find_unknown()?;
        Ok(model)
    }

    fn add_piece(&mut self, mut fields: Fields<'_>) -> Result<(), SentencePieceError> {
        let id = self.pieces.len();
        let broken = |reason| SentencePieceError::Piece { id, reason };
        if id >= MOST_PIECES {
            return Err(SentencePieceError::TooMany { most: MOST_PIECES });
        }
        let (mut text, mut score, mut kind) = (None, 0.0, 1);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(bytes)) if bytes.len() > LONGEST_PIECE => return Err(broken("it is too long")),
                (1, Value::Bytes(bytes)) => {
                    let utf8 = String::from_utf8(bytes.to_vec());
                    text = Some(utf8.map_err(|_| broken("it is not UTF-8"))?);
                }
                (2, Value::Fixed32(bits)) => score = f32::from_bits(bits),
                (3, Value::Varint(number)) => kind = number,
                _ => {}
            }
        }
        let text = text.filter(|text| !text.is_empty()).ok_or(broken("it is empty"))?;
        if !score.is_finite() {
            return Err(broken("its score is no number"));
        }
        let kind = match kind {
            1 => PieceKind::Normal,
            2 => PieceKind::Unknown,
            3 => PieceKind::Control,
            4 => PieceKind::UserDefined,
            5 => PieceKind::Unused,
            6 => PieceKind::Byte(byte_of(&text).ok_or(broken("it stands for no byte"))?),
            _ => return Err(broken("its type is unknown")),
        };
        let number = u32::try_from(id).map_err(|_| SentencePieceError::TooMany { most: MOST_PIECES })?;
        if self.ids.insert(text.clone(), number).is_some() {
            return Err(SentencePieceError::Duplicate { piece: quoted(&text) });
        }
        self.pieces.push(Piece { text, score, kind });
        Ok(())
    }

    fn read_trainer(&mut self, mut fields: Fields<'_>) -> Result<(), SentencePieceError> {
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (3, Value::Varint(1)) => self.algorithm = Algorithm::Unigram,
                (3, Value::Varint(2)) => self.algorithm = Algorithm::Bpe,
                (3, Value::Varint(kind)) => return Err(SentencePieceError::ModelType { kind }),
                (24, Value::Varint(1..)) => return Err(SentencePieceError::Suffix),
                (35, Value::Varint(truth)) => self.byte_fallback = truth != 0,
                (44, Value::Bytes(bytes)) => self.unknown_surface = String::from_utf8_lossy(bytes).into_owned(),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, mut fields: Fields<'_>) -> Result<(), SentencePieceError> {
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (2, Value::Bytes([])) => self.charsmap = None,
                (2, Value::Bytes(bytes)) => {
                    self.charsmap = Some(Charsmap::parse(bytes).ok_or(SentencePieceError::Charsmap)?);
                }
                (3, Value::Varint(truth)) => self.add_dummy_prefix = truth != 0,
                (4, Value::Varint(truth)) => self.remove_extra_whitespaces = truth != 0,
                (5, Value::Varint(truth)) => self.escape_whitespaces = truth != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn find_unknown(&mut self) -> Result<(), SentencePieceError> {
        let unknown = |(_, piece): &(u32, &Piece)| piece.kind == PieceKind::Unknown;
        let mut found = (0_u32..).zip(&self.pieces).filter(unknown);
        let first = found.next().map(|(id, _)| id);
        let others = found.count();
        match (first, others) {
            (Some(id), 0) => {
                self.unknown_id = id;
                Ok(())
            }
            (first, others) => {
                let count = others.saturating_add(first.iter().count());
                Err(SentencePieceError::Unknown { count })
            }
        }
    }
}

/// The byte that a piece such as `<0x0A>` stands for.
fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
