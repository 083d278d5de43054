//! A tokenizer of a few words with Whisper's special tokens.

use serde_json::Value;
use serde_json::json;

use super::*;

/// Text tokens of [`small`]: ids 0 to 9.
const WORDS: [&str; 10] = ["a", "b", "Ġ", "Ġa", ".", "ab", "Ã", "©", "Ġ(", "c"];

/// Special tokens of [`small`]: ids 10 to 19.
const SPECIALS: [&str; 10] = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|yue|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
];

/// Rows of the table that [`small`] belongs to: times from 20 on.
pub(in crate::speech::whisper) const SMALL_VOCABULARY: usize = 20 + 1501;

pub(in crate::speech::whisper) fn small_json() -> Value {
    let words = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), json!(id)));
    let added: Vec<Value> = SPECIALS
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({"id": index + 10, "content": name, "special": true, "single_word": false,
                   "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": words.collect::<serde_json::Map<_, _>>(), "merges": ["a b", "Ġ a"]},
    })
}

pub(in crate::speech::whisper) fn small() -> WhisperTokens {
    WhisperTokens::from_json(small_json().to_string().as_bytes(), SMALL_VOCABULARY).unwrap()
}

#[test]
fn special_tokens_are_found_by_name_and_times_follow_them() {
    let tokens = small();
    let special = tokens.special();
    assert_eq!((special.end_of_text, special.start_of_transcript), (10, 11));
    assert_eq!((special.no_timestamps, special.first_timestamp), (19, 20));
    assert_eq!(special.languages, [("en".to_owned(), 12), ("yue".to_owned(), 13)]);
    assert_eq!((special.language("yue"), special.language("xx")), (Some(13), None));
    assert_eq!((special.is_timestamp(19), special.timestamp_steps(25)), (false, 5));
}

#[test]
fn text_is_encoded_and_decoded_and_what_reads_like_a_special_token_is_text() {
    let tokens = small();
    assert_eq!(tokens.encode("ab a").unwrap(), [5, 3]);
    assert_eq!(tokens.decode(&[5, 3, 11, 25, 4]), "ab a.");
    let prompt = tokens.encode("a<|endoftext|>").unwrap();
    assert!(prompt.iter().all(|id| *id < 10), "{prompt:?}");
}

#[test]
fn a_character_of_two_tokens_is_whole_and_half_of_one_is_replaced() {
    let tokens = small();
    assert_eq!(tokens.decode(&[6, 7]), "é");
    assert_eq!(tokens.decode(&[0, 6]), "a\u{FFFD}");
}

#[test]
fn words_begin_at_spaces_and_punctuation() {
    let words = small().split_to_words(&[0, 9, 3, 6, 7, 4], "en");
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["ac", " aé", "."]);
    assert_eq!(words[1].tokens, [3, 6, 7]);
}

#[test]
fn languages_without_spaces_are_split_at_characters() {
    let words = small().split_to_words(&[0, 6, 7, 9], "yue");
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["a", "é", "c"]);
}

#[test]
fn a_half_character_at_the_end_belongs_to_the_last_word() {
    let words = small().split_to_words(&[0, 6], "en");
    assert_eq!(words.iter().map(|word| word.tokens.len()).sum::<usize>(), 2);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let mut without = small_json();
    without["added_tokens"].as_array_mut().unwrap().remove(4);
    for (content, text) in [
        (without.to_string(), "no token <|translate|>"),
        (small_json().to_string(), "belong to different models"),
        ("{}".to_owned(), "is not a tokenizer"),
    ] {
        let error = WhisperTokens::from_json(content.as_bytes(), SMALL_VOCABULARY - 1).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
