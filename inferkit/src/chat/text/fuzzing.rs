//! What the fuzz target `tokenizer` calls: the readers of a model's text files, on any bytes.

use time::OffsetDateTime;

use super::guard::Guard;
use super::template::Template;
use super::tokenizer::Tokenizer;

/// Words that meet every stage of an encoder: spaces, digits, markup, several scripts.
const SAMPLE: &str = "<|im_start|>a  b12\n\tGrüße 漢字 🙂<think></s>";

/// Reads `file` as a `tokenizer.json` and as a chat template: errors are fine, a panic that gets out is not.
pub(crate) fn tokenizer(file: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_json(file) {
        let _ = tokenizer.encode_plain(SAMPLE);
        for id in tokenizer.encode(SAMPLE).unwrap_or_default() {
            let _ = tokenizer.vocabulary().bytes(id);
        }
        if let Ok(guard) = Guard::new(tokenizer.markup(), [SAMPLE].into_iter()) {
            let text = guard.read(&guard.data(SAMPLE));
            assert_eq!(text.text, SAMPLE, "a mark stayed in the text");
            let _ = text.encode(&tokenizer);
        }
    }
    let Ok(source) = std::str::from_utf8(file) else { return };
    if let Ok(template) = Template::new(source, "chat_template.jinja") {
        let context = serde_json::json!({
            "messages": [{"role": "user", "content": SAMPLE}], "add_generation_prompt": true, "bos_token": "<s>",
        });
        let _ = template.render(&context, SAMPLE.len(), OffsetDateTime::UNIX_EPOCH);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_corpus_is_read_without_a_panic() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/tokenizer");
        let mut seeds = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            super::tokenizer(&std::fs::read(entry.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds >= 8, "{seeds} seeds");
    }
}
