//! What the fuzz target `whisper` calls: the readers of a model's configuration files and of its tokenizer, on any bytes.

use super::config::WhisperConfig;
use super::tokens::WhisperTokens;

/// Stands between the files of an input: `config.json`, `generation_config.json`, `preprocessor_config.json`,
/// `tokenizer.json`. No JSON holds it.
const BORDER: u8 = 0;

/// Rows of the token table where the configuration says nothing.
const VOCABULARY: usize = 51_866;

/// Texts that meet every stage of the encoder: spaces, digits, marks, several scripts.
const SAMPLE: &str = "a  b12\n\tGrüße 漢字 🙂 <|endoftext|>";

/// Reads `files` as a Whisper's: what is accepted lies within its own bounds, and no panic gets out.
pub(crate) fn whisper(files: &[u8]) {
    let mut files = files.split(|byte| *byte == BORDER);
    let mut next = || files.next().filter(|file| !file.is_empty());
    let (model, generation, sound, tokenizer) = (next(), next(), next(), next());
    let config = model.and_then(|model| WhisperConfig::from_json(model, generation, sound).ok());
    if let Some(config) = &config {
        check(config);
    }
    let vocabulary = config.map_or(VOCABULARY, |config| config.vocabulary);
    let tokens = tokenizer.map(|tokenizer| WhisperTokens::from_json(tokenizer, vocabulary));
    if let Some(Ok(tokens)) = tokens {
        write_and_read(&tokens, vocabulary);
    }
}

fn check(config: &WhisperConfig) {
    let in_table = |token: &u32| (*token as usize) < config.vocabulary;
    assert!(config.suppressed.iter().all(in_table) && config.suppressed_first.iter().all(in_table));
    let decoder = config.decoder;
    let exists = |(layer, head): &(usize, usize)| *layer < decoder.layers && *head < decoder.heads;
    assert!(config.alignment_heads.iter().all(exists), "a head that is not there");
    for stack in [config.encoder, decoder] {
        assert_eq!(stack.head_dim(config.width) * stack.heads, config.width, "half a head");
    }
}

fn write_and_read(tokens: &WhisperTokens, vocabulary: usize) {
    let special = tokens.special();
    assert!((special.first_timestamp as usize) < vocabulary);
    let ids = tokens.encode(SAMPLE).unwrap_or_default();
    assert!(
        ids.iter().all(|id| *id < special.end_of_text),
        "a special token in a text"
    );
    let text = tokens.decode(&ids);
    for language in ["en", "ja"] {
        let words = tokens.split_to_words(&ids, language);
        let kept: usize = words.iter().map(|word| word.tokens.len()).sum();
        assert!(kept == ids.len() || text.is_empty(), "{kept} of {} tokens", ids.len());
    }
}

/// What the fuzzer begins with.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    use super::config::tests::published;
    use super::tokens::tests::SMALL_VOCABULARY;
    use super::tokens::tests::small_json;

    let mut model = published();
    model["vocab_size"] = SMALL_VOCABULARY.into();
    let generation = serde_json::json!({
        "suppress_tokens": [1, 2], "begin_suppress_tokens": [3], "is_multilingual": true,
        "max_initial_timestamp_index": 50, "alignment_heads": [[2, 1]],
    });
    let sound = serde_json::json!({
        "feature_size": 80, "sampling_rate": 16000, "n_fft": 400, "hop_length": 160, "chunk_length": 30,
    });
    let files = |files: [String; 4]| files.join("\0").into_bytes();
    let [model, generation, sound] = [model, generation, sound].map(|file| file.to_string());
    let nothing = String::new;
    vec![
        ("seed-model", files([model.clone(), nothing(), nothing(), nothing()])),
        (
            "seed-all",
            files([model, generation.clone(), sound, small_json().to_string()]),
        ),
        (
            "seed-tokenizer",
            files([nothing(), generation, nothing(), small_json().to_string()]),
        ),
    ]
}
