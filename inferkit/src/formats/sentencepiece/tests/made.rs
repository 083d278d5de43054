//! Vocabularies made by hand, whose answers can be checked on paper, and files that are none.

use super::super::SentencePiece;
use super::super::model::PieceKind;
use super::super::testing::BPE;
use super::super::testing::BYTE;
use super::super::testing::CONTROL;
use super::super::testing::NORMAL;
use super::super::testing::UNIGRAM;
use super::super::testing::UNKNOWN;
use super::super::testing::UNUSED;
use super::super::testing::USER;
use super::super::testing::field;
use super::super::testing::file;

fn tokenizer(pieces: &[(&str, f32, u8)], algorithm: u8) -> SentencePiece {
    SentencePiece::parse(&file(pieces, algorithm, &[], &[])).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    SentencePiece::parse(bytes).unwrap_err().to_string()
}

const WORDS: &[(&str, f32, u8)] = &[
    ("<unk>", 0.0, UNKNOWN),
    ("▁", -2.0, NORMAL),
    ("a", -2.0, NORMAL),
    ("b", -2.0, NORMAL),
    ("ab", -3.0, NORMAL),
    ("▁a", -1.0, NORMAL),
];

#[test]
fn unigram_takes_the_largest_sum() {
    let tokenizer = tokenizer(WORDS, UNIGRAM);
    // ▁ab: ▁a·b = −3, ▁·ab = −5, ▁·a·b = −6.
    assert_eq!(tokenizer.encode("ab"), [5, 3]);
    assert_eq!(tokenizer.encode("ba"), [1, 3, 2]);
}

#[test]
fn a_run_of_text_that_the_vocabulary_lacks_is_one_unknown_id() {
    let tokenizer = tokenizer(WORDS, UNIGRAM);
    assert_eq!(tokenizer.encode("axyzb"), [5, 0, 3]);
    assert_eq!(tokenizer.decode(&[5, 0, 3]), "a \u{2047} b");
}

#[test]
fn byte_fallback_spells_what_the_vocabulary_lacks() {
    let names: Vec<String> = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut pieces = WORDS.to_vec();
    pieces.extend(names.iter().map(|name| (name.as_str(), 0.0, BYTE)));
    for algorithm in [UNIGRAM, BPE] {
        // Field 35 of the trainer's settings.
        let tokenizer = SentencePiece::parse(&file(&pieces, algorithm, &[0x98, 0x02, 1], &[])).unwrap();
        let first = u32::try_from(WORDS.len()).unwrap();
        let ids = tokenizer.encode("aé");
        assert_eq!(ids[ids.len() - 2..], [first + 0xc3, first + 0xa9]);
        assert_eq!(tokenizer.decode(&ids), "aé");
        assert_eq!(tokenizer.decode(&[5, first + 0xc3, 3]), "a\u{fffd}b");
    }
}

#[test]
fn bpe_joins_the_best_pair_first_and_the_leftmost_on_equal_scores() {
    let pieces = [
        ("<unk>", 0.0, UNKNOWN),
        ("▁", -9.0, NORMAL),
        ("a", -9.0, NORMAL),
        ("b", -9.0, NORMAL),
        ("aa", -1.0, NORMAL),
        ("ab", -2.0, NORMAL),
        ("aab", -3.0, NORMAL),
    ];
    let tokenizer = tokenizer(&pieces, BPE);
    assert_eq!(tokenizer.encode("aaa"), [1, 4, 2], "the leftmost of two pairs");
    assert_eq!(tokenizer.encode("aab"), [1, 6], "aa before ab, then aab");
    assert_eq!(tokenizer.encode("bab"), [1, 3, 5]);
    assert_eq!(tokenizer.encode("axxb"), [1, 2, 0, 3]);
}

#[test]
fn user_defined_pieces_are_never_cut_and_never_joined() {
    let pieces = [
        ("<unk>", 0.0, UNKNOWN),
        ("<|en|>", 0.0, USER),
        ("<|end|>", 0.0, USER),
        ("▁", -1.0, NORMAL),
        ("a", -1.0, NORMAL),
        ("▁a", -0.5, NORMAL),
    ];
    for algorithm in [UNIGRAM, BPE] {
        let tokenizer = tokenizer(&pieces, algorithm);
        assert_eq!(tokenizer.encode("<|en|>a<|end|>"), [3, 1, 4, 2], "{algorithm}");
        assert_eq!(tokenizer.decode(&[5, 1, 5]), "a<|en|> a");
        assert_eq!(tokenizer.kind(1), Some(PieceKind::UserDefined));
    }
}

#[test]
fn a_piece_that_is_never_used_falls_apart_again() {
    let pieces = [
        ("<unk>", 0.0, UNKNOWN),
        ("▁", -9.0, NORMAL),
        ("a", -9.0, NORMAL),
        ("b", -9.0, NORMAL),
        ("ab", -1.0, UNUSED),
    ];
    for algorithm in [UNIGRAM, BPE] {
        assert_eq!(tokenizer(&pieces, algorithm).encode("ab"), [1, 2, 3], "{algorithm}");
    }
}

#[test]
fn spaces_are_kept_or_collapsed_as_the_model_says() {
    let spaces = |normalizer: &[u8], text: &str| {
        let tokenizer = SentencePiece::parse(&file(WORDS, UNIGRAM, &[], normalizer)).unwrap();
        tokenizer.encode(text)
    };
    assert_eq!(spaces(&[], "  a   b "), [5, 1, 3]);
    // remove_extra_whitespaces false
    assert_eq!(spaces(&[0x20, 0], "a  b"), [5, 1, 1, 3]);
    // add_dummy_prefix false
    assert_eq!(spaces(&[0x18, 0], "a b"), [2, 1, 3]);
    // escape_whitespaces false: a space is then a text of its own, which the vocabulary lacks
    assert_eq!(spaces(&[0x28, 0], "a b"), [0, 2, 0, 3]);
    for settings in [[0x20, 1], [0x20, 0]] {
        assert_eq!(spaces(&settings, ""), [0; 0]);
    }
    assert_eq!(spaces(&[], "   "), [0; 0]);
}

#[test]
fn joining_drops_the_space_of_the_prefix_and_prints_no_control_piece() {
    let mut pieces = WORDS.to_vec();
    pieces.push(("<s>", 0.0, CONTROL));
    let tokenizer = |normalizer: &[u8]| SentencePiece::parse(&file(&pieces, UNIGRAM, &[], normalizer)).unwrap();
    let keeping = tokenizer(&[0x20, 0]);
    assert_eq!(keeping.decode(&[6, 5, 3, 5]), "ab a");
    assert_eq!(keeping.decode(&[1, 5]), " a", "only one space belongs to the prefix");
    assert_eq!(
        tokenizer(&[]).decode(&[1, 5]),
        "a",
        "spaces at the start mean nothing to this model"
    );
    assert_eq!(keeping.decode(&[99]), "");
    assert_eq!((keeping.id("<s>"), keeping.id("c")), (Some(6), None));
}

#[test]
fn files_that_are_no_models_are_refused_with_the_reason() {
    assert_eq!(refused(b""), "0 pieces stand for unknown text, where one does");
    assert_eq!(
        refused(b"\x0a\x05abc"),
        "the file is no SentencePiece model: it cannot be read at byte 0"
    );
    assert_eq!(
        refused(&file(&[("a", 0.0, NORMAL)], UNIGRAM, &[], &[])),
        "0 pieces stand for unknown text, where one does"
    );
    let unknown = ("<unk>", 0.0, UNKNOWN);
    for (piece, reason) in [
        (("", 0.0, NORMAL), "piece 1 is broken: it is empty"),
        (("a", f32::NAN, NORMAL), "piece 1 is broken: its score is no number"),
        (("a", 0.0, 9), "piece 1 is broken: its type is unknown"),
        (("<0xZZ>", 0.0, BYTE), "piece 1 is broken: it stands for no byte"),
        (("<unk>", 0.0, NORMAL), "piece \"<unk>\" stands twice"),
        (
            ("<UNK>", 0.0, UNKNOWN),
            "2 pieces stand for unknown text, where one does",
        ),
    ] {
        assert_eq!(refused(&file(&[unknown, piece], UNIGRAM, &[], &[])), reason);
    }
    let long = "x".repeat(513);
    assert!(refused(&file(&[(&long, 0.0, NORMAL)], UNIGRAM, &[], &[])).contains("too long"));
    assert!(refused(&file(&[unknown], 4, &[], &[])).starts_with("models of type 4 are not supported"));
    assert!(refused(&file(&[unknown], UNIGRAM, &[0xc0, 0x01, 1], &[])).contains("behind words"));
    assert_eq!(
        refused(&file(&[unknown], UNIGRAM, &[], &field(2, b"\xff\xff\xff\xff"))),
        "the table of character replacements is broken"
    );
    let error = SentencePiece::read("x_tokenizer.model", b"\x0f").unwrap_err();
    assert_eq!(error.code(), "bad_model");
    assert!(error.to_string().ends_with("; download the model again"), "{error}");
}

#[test]
fn a_file_cut_short_never_panics() {
    let whole = file(WORDS, BPE, &[], &[0x20, 0]);
    for length in 0..whole.len() {
        if let Ok(tokenizer) = SentencePiece::parse(&whole[..length]) {
            let ids = tokenizer.encode("ab  ba xyz");
            let _ = tokenizer.decode(&ids);
        }
    }
}
