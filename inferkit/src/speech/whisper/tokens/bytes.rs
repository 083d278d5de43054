//! Byte-level vocabulary: each byte is one character of GPT-2's table.

/// The bytes that a word of the vocabulary stands for; a word with a character outside the table stands for itself.
pub(super) fn of_word(word: &str) -> Vec<u8> {
    word.chars()
        .map(of_character)
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_else(|| word.as_bytes().to_vec())
}

/// The byte that a character stands for: printable ones of Latin-1 for themselves, the rest in order from U+0100 on.
///
/// Source: openai/gpt-2, `src/encoder.py`, `bytes_to_unicode`.
fn of_character(character: char) -> Option<u8> {
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
    fn every_byte_has_one_character() {
        // Bytes of the table that stand for themselves, by its definition, and the others in order.
        let itself = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let mut next = 0x100_u32;
        for byte in 0..=255_u32 {
            let character = if itself(byte) {
                byte
            } else {
                next += 1;
                next - 1
            };
            let found = of_character(char::from_u32(character).unwrap());
            assert_eq!(found.map(u32::from), Some(byte), "byte {byte}");
        }
        assert_eq!(of_word("Ġé"), [b' ', 0xE9]);
        assert_eq!(of_word("日"), "日".as_bytes(), "outside the table");
    }
}
