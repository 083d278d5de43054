//! Damaged and malicious files: each is refused with an error that names the part, and never panics.

use crate::formats::gguf::Array;
use crate::formats::gguf::Directory;
use crate::formats::gguf::Gguf;
use crate::formats::gguf::GgufError;
use crate::formats::gguf::GgufWriter;
use crate::formats::gguf::Value;

fn parse(file: &[u8]) -> Result<Directory, GgufError> {
    Directory::parse("test.gguf", file)
}

/// The text of the error that `writer`'s file must give.
fn refused(writer: &GgufWriter) -> String {
    parse(&writer.bytes()).unwrap_err().to_string()
}

fn whole() -> GgufWriter {
    GgufWriter::new()
        .key("general.name", Value::Text("x".to_owned()))
        .key("list", Value::Array(Array::Text(vec!["a".to_owned(), "b".to_owned()])))
        .tensor("a", &[32, 2], 8, &[1; 68])
        .tensor("b", &[2], 0, &[2; 8])
}

#[test]
fn a_file_cut_short_at_any_byte_is_refused() {
    let file = whole().bytes();
    assert!(parse(&file).is_ok());
    for length in 0..file.len() {
        assert!(parse(&file[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_file_cut_short_in_its_data_names_the_tensor() {
    let file = whole().bytes();
    let error = parse(&file[..file.len() - 1]).unwrap_err().to_string();
    assert!(
        error.starts_with("tensor \"b\": its bytes end beyond the end of the file"),
        "{error}"
    );
}

#[test]
fn a_file_cut_short_in_its_header_names_the_part() {
    let file = whole().bytes();
    let error = parse(&file[..10]).unwrap_err().to_string();
    assert_eq!(
        error,
        "the number of tensors: the file ends at byte 10, in the middle of it"
    );
    let entry = file
        .windows(9)
        .rposition(|bytes| bytes == b"\x01\0\0\0\0\0\0\0b")
        .unwrap()
        + 9;
    let error = parse(&file[..entry + 2]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("tensor \"b\": the file ends at byte {}, in the middle of it", entry + 2)
    );
    // The directory read as a third key: its name is "a", its value type the number of dimensions, and so on.
    let error = parse(
        &GgufWriter {
            claimed_keys: Some(3),
            ..whole()
        }
        .bytes(),
    )
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("the name of tensor 1: a name of "), "{error}");
}

#[test]
fn what_is_no_gguf_is_told_by_its_first_bytes() {
    for (file, found) in [
        (b"".as_slice(), r#""""#),
        (b"GG", r#""GG""#),
        (b"<!DOCTYPE html>", r#""<!DO""#),
        (b"\0\xff\x01\"more", r#""\x00\xff\x01\"""#),
    ] {
        let error = parse(file).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the file begins with {found}, a GGUF file with \"GGUF\"")
        );
    }
}

#[test]
fn other_versions_are_refused_as_unsupported() {
    for (version, text) in [
        (1, "GGUF version 1 is not supported, versions 2 and 3 are"),
        (4, "GGUF version 4 is not supported, versions 2 and 3 are"),
        (3_u32.swap_bytes(), "the file is big endian, which is not supported"),
    ] {
        let error = parse(&GgufWriter { version, ..whole() }.bytes()).unwrap_err();
        assert_eq!(error.to_string(), text);
        let error = error.in_file("m.gguf");
        assert_eq!(error.code(), "unsupported_model");
        assert!(
            error
                .to_string()
                .ends_with("convert the model again with a current llama.cpp"),
            "{error}"
        );
    }
}

#[test]
fn counts_beyond_the_file_are_refused_as_claims() {
    for claimed in [1 << 40, u64::MAX, 1000] {
        let error = refused(&GgufWriter {
            claimed_tensors: Some(claimed),
            ..whole()
        });
        assert!(
            error.starts_with(&format!("the number of tensors: it claims {claimed} entries")),
            "{error}"
        );
        let error = refused(&GgufWriter {
            claimed_keys: Some(claimed),
            ..whole()
        });
        assert!(
            error.starts_with(&format!("the number of keys: it claims {claimed} entries")),
            "{error}"
        );
    }
}

/// A file with the key "key" and a value of these raw bytes, type code included.
fn raw_value(value: &[u8]) -> Vec<u8> {
    let mut file = GgufWriter {
        claimed_keys: Some(1),
        ..GgufWriter::new()
    }
    .bytes()[..24]
        .to_vec();
    file.extend(3_u64.to_le_bytes());
    file.extend(b"key");
    file.extend(value);
    // Room, so that small claims are not refused for the end of the file.
    file.resize(file.len() + 64, 0);
    file
}

#[test]
fn values_that_break_the_format_name_their_key() {
    let array = |element: u32, count: u64| {
        [
            9_u32.to_le_bytes().as_slice(),
            &element.to_le_bytes(),
            &count.to_le_bytes(),
        ]
        .concat()
    };
    for (value, text) in [
        (13_u32.to_le_bytes().to_vec(), "there is no value type 13"),
        ([7, 0, 0, 0, 2].to_vec(), "2 where 0 or 1 belongs"),
        (array(99, 1), "there is no value type 99"),
        (array(7, 1).into_iter().chain([9]).collect(), "9 where 0 or 1 belongs"),
        (
            array(8, 1 << 40),
            "it claims 1099511627776 entries, and 64 bytes are left",
        ),
        (
            array(10, u64::MAX / 8),
            "it claims 2305843009213693951 entries, and 64 bytes are left",
        ),
        (
            [8_u32.to_le_bytes().as_slice(), &(1_u64 << 60).to_le_bytes()].concat(),
            "it claims 1152921504606846976 entries",
        ),
    ] {
        let error = parse(&raw_value(&value)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("key \"key\": {text}")), "{error}");
    }
}

#[test]
fn arrays_may_nest_eight_deep_and_no_deeper() {
    let nested = |depth| (1..depth).fold(Array::U8(vec![1]), |inner, _| Array::Nested(vec![inner]));
    assert!(parse(&GgufWriter::new().key("key", Value::Array(nested(8))).bytes()).is_ok());
    let error = refused(&GgufWriter::new().key("key", Value::Array(nested(9))));
    assert_eq!(error, "key \"key\": arrays nested more than 8 deep");
    assert!(refused(&GgufWriter::new().key("key", Value::Array(nested(100)))).contains("more than 8 deep"));
}

#[test]
fn names_that_are_no_names_are_refused() {
    let key = "k".repeat(65_536);
    assert!(
        refused(&GgufWriter::new().key(&key, Value::U8(0)))
            .contains("a name of 65536 bytes, of which there can be 65535")
    );
    let error = refused(&GgufWriter::new().tensor(&"t".repeat(1025), &[1], 0, &[0; 4]));
    assert_eq!(
        error,
        "the name of tensor 1: a name of 1025 bytes, of which there can be 1024"
    );
    let mut file = GgufWriter::new().key("k", Value::U64(0)).bytes();
    file[32] = 0xff;
    assert_eq!(
        parse(&file).unwrap_err().to_string(),
        "the name of key 1: a name that is not UTF-8"
    );
}

#[test]
fn what_stands_twice_is_refused() {
    let error = refused(&GgufWriter::new().key("k", Value::U8(0)).key("k", Value::U8(1)));
    assert_eq!(error, "key \"k\" stands twice");
    let error = refused(
        &GgufWriter::new()
            .tensor("t", &[1], 0, &[0; 4])
            .tensor("t", &[1], 0, &[0; 4]),
    );
    assert_eq!(error, "tensor \"t\" is listed twice");
}

#[test]
fn an_alignment_that_is_no_power_of_two_is_refused() {
    for alignment in [0, 3, 33] {
        let error = refused(&GgufWriter::new().key("general.alignment", Value::U32(alignment)));
        assert_eq!(
            error,
            format!("general.alignment is {alignment}, which is no power of two")
        );
    }
    let error = refused(&GgufWriter::new().key("general.alignment", Value::Bool(true)));
    assert_eq!(error, "key \"general.alignment\": true where a power of two belongs");
}

#[test]
fn shapes_that_cannot_be_are_refused_with_the_tensor() {
    let shaped = |dimensions: &[u64], code| GgufWriter::new().tensor("t", dimensions, code, &[0; 64]);
    assert_eq!(
        refused(&shaped(&[1; 5], 0)),
        "tensor \"t\": 5 dimensions, of which there can be 4"
    );
    for dimensions in [&[1 << 32, 1 << 32][..], &[u64::MAX, 2], &[1 << 62, 1]] {
        assert_eq!(
            refused(&shaped(dimensions, 0)),
            "tensor \"t\": a shape whose size cannot be counted"
        );
    }
    let error = refused(&shaped(&[33, 2], 8));
    assert_eq!(error, "tensor \"t\": rows of 33 elements, but Q8_0 packs 32 at a time");
    // 16 rows of 16 make whole blocks together, and still no row has one.
    assert!(refused(&shaped(&[16, 16], 12)).contains("rows of 16 elements, but Q4_K packs 256"));
    assert!(refused(&shaped(&[], 8)).contains("rows of 1 elements"));
}

#[test]
fn places_that_cannot_be_are_refused_with_the_tensor() {
    let placed = |offset| GgufWriter::new().tensor("t", &[8], 0, &[0; 32]).at(offset);
    assert_eq!(
        refused(&placed(4)),
        "tensor \"t\": begins at byte 4, which is no multiple of 32"
    );
    for offset in [32, 1 << 40, u64::MAX - 31] {
        assert!(
            refused(&placed(offset)).starts_with("tensor \"t\": its bytes end beyond"),
            "{offset}"
        );
    }
    let shared = GgufWriter::new()
        .tensor("a", &[16], 0, &[0; 64])
        .tensor("b", &[8], 0, &[0; 32])
        .at(32);
    assert_eq!(refused(&shared), "tensors \"a\" and \"b\" overlap");
}

#[test]
fn the_error_of_a_file_names_it_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let file = whole().bytes();
    std::fs::write(&path, &file[..file.len() - 1]).unwrap();
    let error = Gguf::open(&path).unwrap_err();
    assert_eq!(error.code(), "bad_model");
    let text = error.to_string();
    assert!(
        text.starts_with("model.gguf: tensor \"b\": ") && text.ends_with("; download the file again"),
        "{text}"
    );
    std::fs::write(&path, "version https://git-lfs.github.com/spec/v1").unwrap();
    assert!(
        Gguf::open(&path)
            .unwrap_err()
            .to_string()
            .ends_with("; check which file the model names")
    );
}
