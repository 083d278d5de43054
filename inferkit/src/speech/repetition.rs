//! How often a text repeats itself, measured by how well it compresses.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// The length of a text over its length compressed by zlib, both in bytes; 0 for no text.
///
/// Source: openai/whisper, `whisper/utils.py`, `compression_ratio`.
pub(super) fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    // Writing to memory does not fail.
    compressed.map_or(0.0, |compressed| text.len() as f32 / compressed.len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_compress_and_words_do_not() {
        let words = "The quick brown fox jumps over the lazy dog";
        assert!(compression_ratio(words) < 1.0);
        assert!(compression_ratio(&"Thank you. ".repeat(40)) > 10.0);
        assert!(compression_ratio("") < f32::EPSILON);
    }
}
