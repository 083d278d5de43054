//! The same for the readers of speech and diarization models.

use proptest::prelude::*;

use super::check_seeds;
use super::mutated;
use super::replay;
use crate::formats::sentencepiece::testing as pieces;
use crate::formats::torch::testing as torch;

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn pickle_seeds() -> Seeds {
    let tensor = torch::tensor("FloatStorage", 12, 2, &[2, 3], &[3, 1]);
    let object = [
        torch::global("a.b", "C"),
        b")\x81}(".to_vec(),
        torch::text("x"),
        b"K\x01ub".to_vec(),
    ]
    .concat();
    vec![
        ("seed-empty", torch::dictionary(&[])),
        ("seed-tensor", torch::dictionary(&[("w", tensor.clone())])),
        (
            "seed-object",
            torch::dictionary(&[("o", object), ("state_dict", b"}".to_vec())]),
        ),
        (
            "seed-attack",
            [torch::global("os", "system"), b"(U\x01xtR.".to_vec()].concat(),
        ),
        ("seed-memo", b"\x80\x04]\x94(h\0h\0K\x01G?\xe0\0\0\0\0\0\0e.".to_vec()),
        (
            "seed-nested",
            torch::dictionary(&[("l", [tensor, b"\x85\x85".to_vec()].concat())]),
        ),
    ]
}

fn torch_seeds() -> Seeds {
    let pickles = pickle_seeds().into_iter();
    pickles
        .map(|(name, pickle)| (name, torch::checkpoint(&pickle)))
        .collect()
}

fn nemo_seeds() -> Seeds {
    let archive = |names: &[&str]| {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(5);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, b"hello".as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let mut described = tar::Builder::new(Vec::new());
    described
        .append_pax_extensions([("path", b"./a".as_slice()), ("size", b"3")])
        .unwrap();
    let described = [described.into_inner().unwrap(), archive(&["x"])].concat();
    vec![
        ("seed-empty", archive(&[])),
        ("seed-two", archive(&["./model_config.yaml", "a/b"])),
        ("seed-long-name", archive(&[&"n".repeat(150)])),
        ("seed-described", described),
    ]
}

fn npz_seeds() -> Seeds {
    let array = |descr: &str, order: &str, shape: &str, numbers: &[u8]| {
        let line = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = u16::try_from(line.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, line.as_bytes(), numbers].concat()
    };
    let archive = |arrays: &[(&str, Vec<u8>)]| {
        let entries: Vec<(&str, &[u8])> = arrays.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        torch::archive(&entries, zip::CompressionMethod::Stored)
    };
    vec![
        ("seed-empty", archive(&[])),
        (
            "seed-double",
            archive(&[("a.npy", array("<f8", "False", "(2,)", &[1; 16]))]),
        ),
        (
            "seed-fortran",
            archive(&[("a.npy", array("<f4", "True", "(2, 3)", &[2; 24]))]),
        ),
        (
            "seed-whole",
            archive(&[("a.npy", array("<i8", "False", "()", &[3; 8])), ("b", Vec::new())]),
        ),
    ]
}

fn sentencepiece_seeds() -> Seeds {
    let list = [
        ("<unk>", 0.0, pieces::UNKNOWN),
        ("<|en|>", 0.0, pieces::USER),
        ("\u{2581}", -3.0, pieces::NORMAL),
        ("H", -4.0, pieces::NORMAL),
        ("l", -2.0, pieces::NORMAL),
        ("ll", -1.5, pieces::NORMAL),
        ("lo", -1.0, pieces::UNUSED),
        ("<0xC3>", 0.0, pieces::BYTE),
    ];
    // A table that replaces nothing: one unit without children.
    let table = [&4_u32.to_le_bytes(), [0; 4].as_slice(), b"x\0"].concat();
    vec![
        ("seed-unigram", pieces::file(&list, pieces::UNIGRAM, &[], &[])),
        (
            "seed-bpe",
            pieces::file(&list, pieces::BPE, &[0x98, 0x02, 1], &[0x20, 0]),
        ),
        (
            "seed-charsmap",
            pieces::file(&list, pieces::UNIGRAM, &[], &pieces::field(2, &table)),
        ),
    ]
}

fn yaml_seeds() -> Seeds {
    let config = "sample_rate: 16000\nfrom: ${model.x}\nlangs: {en: {dir: null}, de: [1.0e-05, true]}\ntext: |\n  a\n";
    vec![
        ("seed-config", config.as_bytes().to_vec()),
        ("seed-alias", b"a: &a [1, 2]\nb: *a\nc: {<<: {d: 'x'}}\n".to_vec()),
        ("seed-tag", b"--- !!map\n? k\n: \"v\\u00e9\"\n...\n".to_vec()),
    ]
}

#[test]
fn the_seeds_in_the_repository_are_those_written_here() {
    check_seeds("torch", torch_seeds());
    check_seeds("pickle", pickle_seeds());
    check_seeds("nemo", nemo_seeds());
    check_seeds("npz", npz_seeds());
    check_seeds("sentencepiece", sentencepiece_seeds());
    check_seeds("yaml", yaml_seeds());
    check_seeds("whisper", crate::speech::fuzzing::seeds());
}

#[test]
fn every_file_of_the_corpora_is_read_or_refused() {
    use crate::fuzzing;
    replay("torch", fuzzing::torch);
    replay("pickle", fuzzing::pickle);
    replay("nemo", fuzzing::nemo);
    replay("npz", fuzzing::npz);
    replay("sentencepiece", fuzzing::sentencepiece);
    replay("yaml", fuzzing::yaml);
    replay("whisper", fuzzing::whisper);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_checkpoint_breaks_a_promise(file in mutated(torch_seeds())) {
        crate::fuzzing::torch(&file);
    }

    #[test]
    fn no_change_to_a_pickle_breaks_a_promise(file in mutated(pickle_seeds())) {
        crate::fuzzing::pickle(&file);
    }

    #[test]
    fn no_change_to_an_archive_breaks_a_promise(file in mutated(nemo_seeds())) {
        crate::fuzzing::nemo(&file);
    }

    #[test]
    fn no_change_to_arrays_breaks_a_promise(file in mutated(npz_seeds())) {
        crate::fuzzing::npz(&file);
    }

    #[test]
    fn no_change_to_a_sentencepiece_model_breaks_a_promise(file in mutated(sentencepiece_seeds())) {
        crate::fuzzing::sentencepiece(&file);
    }

    #[test]
    fn no_change_to_a_configuration_breaks_a_promise(file in mutated(yaml_seeds())) {
        crate::fuzzing::yaml(&file);
    }

    #[test]
    fn no_change_to_a_whisper_s_files_breaks_a_promise(file in mutated(crate::speech::fuzzing::seeds())) {
        crate::fuzzing::whisper(&file);
    }
}
