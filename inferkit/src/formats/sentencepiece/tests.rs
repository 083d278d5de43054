//! The tokenizer against goldens of the original library, hand-made vocabularies, and broken files.

mod made;

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::SentencePiece;
use crate::formats::nemo::NemoArchive;
use crate::formats::yaml;
use crate::job::Job;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/canary")
        .join(name)
}

/// What the original library answers for the tokenizers of an archive.
fn expected(model: &str) -> Value {
    let text = std::fs::read_to_string(golden(&format!("{model}.tokenizer.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The tokenizers of an archive by language, in its order; one without a name where it has a single one.
fn tokenizers(model: &str) -> Vec<(String, SentencePiece)> {
    let archive = NemoArchive::open(&golden(&format!("{model}.nemo")), &Job::new()).unwrap();
    let config = archive.member("model_config.yaml").unwrap();
    let config: Value = yaml::read("model_config.yaml", config.bytes()).unwrap();
    let read = |section: &Value| {
        let member = section["model_path"].as_str().unwrap().strip_prefix("nemo:").unwrap();
        SentencePiece::read(member, archive.member(member).unwrap().bytes()).unwrap()
    };
    let section = &config["tokenizer"];
    match section["langs"].as_object() {
        Some(langs) => langs
            .iter()
            .map(|(lang, section)| (lang.clone(), read(section)))
            .collect(),
        None => vec![(String::new(), read(section))],
    }
}

fn ids(case: &Value) -> Vec<u32> {
    let ids = case["ids"].as_array().unwrap();
    ids.iter()
        .map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
        .collect()
}

/// Compares the ids of all texts; an aggregate's ids begin at the sum of the sizes before.
fn check_encoding(model: &str) {
    let tokenizers = tokenizers(model);
    let cases = expected(model);
    let cases = cases["encode"].as_array().unwrap();
    assert!(cases.len() >= 20, "{model}");
    for case in cases {
        let lang = case["lang"].as_str().unwrap_or_default();
        let mut offset = 0;
        for (name, tokenizer) in &tokenizers {
            if name == lang {
                let text = case["text"].as_str().unwrap();
                let found: Vec<u32> = tokenizer.encode(text).iter().map(|id| id + offset).collect();
                assert_eq!(found, ids(case), "{model}, {lang}: {text:?}");
            }
            offset += u32::try_from(tokenizer.vocabulary_size()).unwrap();
        }
    }
}

#[test]
fn unigram_and_bpe_models_cut_the_golden_texts_alike() {
    check_encoding("canary-1b");
}

#[test]
fn a_model_with_a_table_of_replacements_cuts_the_golden_texts_alike() {
    check_encoding("canary-1b-flash");
}

#[test]
fn a_model_with_a_thousand_user_defined_pieces_cuts_and_joins_the_golden_texts_alike() {
    check_encoding("canary-1b-v2");
    let tokenizer = &tokenizers("canary-1b-v2")[0].1;
    let expected = expected("canary-1b-v2");
    for case in expected["encode"].as_array().unwrap() {
        let found = tokenizer
            .cut(case["text"].as_str().unwrap())
            .into_iter()
            .map(|piece| piece.text);
        let pieces = case["pieces"].as_array().unwrap().iter().filter_map(Value::as_str);
        assert_eq!(
            found.collect::<Vec<_>>(),
            pieces.collect::<Vec<_>>(),
            "{}",
            case["text"]
        );
    }
    for case in expected["decode"].as_array().unwrap() {
        let ids = ids(case);
        assert_eq!(tokenizer.decode(&ids), case["text"].as_str().unwrap(), "{ids:?}");
        let pieces: Vec<_> = ids.iter().filter_map(|id| tokenizer.piece(*id)).collect();
        let expected: Vec<_> = case["pieces"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(pieces, expected);
    }
}
