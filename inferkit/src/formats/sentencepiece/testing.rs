//! Models made by hand, for tests.

pub(crate) const UNIGRAM: u8 = 1;
pub(crate) const BPE: u8 = 2;

pub(crate) const NORMAL: u8 = 1;
pub(crate) const UNKNOWN: u8 = 2;
pub(crate) const CONTROL: u8 = 3;
pub(crate) const USER: u8 = 4;
pub(crate) const UNUSED: u8 = 5;
pub(crate) const BYTE: u8 = 6;

/// A field with a length.
pub(crate) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut length = content.len();
    let mut bytes = vec![number << 3 | 2];
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend_from_slice(content);
    bytes
}

/// A model's file: `trainer` and `normalizer` are further fields of those messages.
pub(crate) fn file(pieces: &[(&str, f32, u8)], algorithm: u8, trainer: &[u8], normalizer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (text, score, kind) in pieces {
        let score = [&[0x15], score.to_le_bytes().as_slice()].concat();
        let piece = [field(1, text.as_bytes()), score, vec![0x18, *kind]].concat();
        bytes.extend(field(1, &piece));
    }
    bytes.extend(field(2, &[&[0x18, algorithm], trainer].concat()));
    bytes.extend(field(3, normalizer));
    bytes
}
