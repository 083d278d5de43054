//! Damaged and malicious files: each is refused with an error that names the part, and never panics.

use super::file;
use super::numbers;
use crate::formats::safetensors::Header;

/// The text of the error that this file must give.
fn refused(file: &[u8]) -> String {
    Header::parse(file).unwrap_err().to_string()
}

/// The text of the error for one tensor "t" described by `entry` in a file with `length` bytes of data.
fn refused_entry(entry: &str, length: usize) -> String {
    refused(&file(&format!(r#"{{"t":{{{entry}}}}}"#), &vec![0; length]))
}

#[test]
fn a_file_cut_short_at_any_byte_is_refused() {
    let whole = numbers(&["a", "b"]);
    assert!(Header::parse(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(Header::parse(&whole[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_file_cut_short_in_its_data_names_the_tensor() {
    let whole = numbers(&["a", "b"]);
    let error = refused(&whole[..whole.len() - 1]);
    assert_eq!(
        error,
        "tensor \"b\": bytes 4 to 8, but the file holds 7 bytes of data; it is cut short or damaged"
    );
}

#[test]
fn an_empty_file_and_one_of_a_few_bytes_are_too_short() {
    assert_eq!(
        refused(b""),
        "the file has 0 bytes, less than the 8 that every safetensors file begins with"
    );
    assert!(refused(b"1234567").contains("the file has 7 bytes"));
}

#[test]
fn a_header_longer_than_the_file_is_refused_as_a_claim() {
    for claimed in [3, 1 << 40, u64::MAX] {
        let error = refused(&[claimed.to_le_bytes().as_slice(), b"{}"].concat());
        assert_eq!(error, format!("the header claims {claimed} bytes; 2 may follow"));
    }
}

#[test]
fn other_formats_are_told_apart() {
    for (content, found) in [
        (b"GGUF\x03\0\0\0\0\0".as_slice(), "a GGUF file"),
        (b"PK\x03\x04\x14\0\x08\x08", "a zip archive or PyTorch checkpoint"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer, which stands for the file itself",
        ),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"{\"a\": \"a long text\"}", "a JSON text"),
    ] {
        assert_eq!(
            refused(content),
            format!("the file begins like {found}, not like safetensors")
        );
    }
}

#[test]
fn a_header_that_is_no_directory_says_what_is_wrong() {
    for header in [
        "",
        "[]",
        "null",
        "{",
        "{\"a\":1}",
        "{\"a\":{}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5]}}",
        "\u{1}",
    ] {
        let error = refused(&file(header, &[]));
        assert!(error.starts_with("the header is broken: "), "{header}: {error}");
    }
    assert!(refused(&file("{\"layer.0\":{\"dtype\":3}}", &[])).contains("tensor \"layer.0\""));
    let invalid = [&2_u64.to_le_bytes(), b"\"\xff".as_slice()].concat();
    assert!(refused(&invalid).starts_with("the header is broken"));
}

#[test]
fn a_hostile_text_does_not_flood_the_message() {
    let long = "x".repeat(1 << 20);
    let error = refused(&file(&format!(r#"{{"{long}":"{long}"}}"#), &[]));
    assert!(error.len() < 1000, "{} bytes", error.len());
}

#[test]
fn deep_nesting_ends_as_an_error() {
    let error = refused(&file(&format!(r#"{{"__metadata__":{}"#, "[".repeat(1 << 20)), &[]));
    assert!(error.starts_with("the header is broken: "), "{error}");
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let error = refused(&numbers(&["a", "b", "a"]));
    assert_eq!(error, "tensor \"a\" is listed twice");
}

#[test]
fn offsets_that_cannot_be_are_refused_with_the_tensor() {
    for (start, end) in [
        (0, 9),
        (8, 4),
        (u64::MAX, u64::MAX),
        (0, u64::MAX),
        (1 << 40, (1 << 40) + 4),
    ] {
        let error = refused_entry(
            &format!(r#""dtype":"F32","shape":[1],"data_offsets":[{start},{end}]"#),
            8,
        );
        assert!(
            error.starts_with(&format!("tensor \"t\": bytes {start} to {end}, but")),
            "{error}"
        );
    }
}

#[test]
fn shapes_that_cannot_be_are_refused_with_the_tensor() {
    for shape in ["4294967296,4294967296", "18446744073709551615,2", "4611686018427387904"] {
        let error = refused_entry(&format!(r#""dtype":"F32","shape":[{shape}],"data_offsets":[0,8]"#), 8);
        assert!(error.contains("whose size cannot be counted"), "{error}");
    }
    let shape = vec!["1"; 65].join(",");
    let error = refused_entry(&format!(r#""dtype":"F32","shape":[{shape}],"data_offsets":[0,4]"#), 4);
    assert!(error.starts_with("tensor \"t\": a shape of 65 dimensions"), "{error}");
}

#[test]
fn a_size_that_disagrees_with_type_and_shape_is_refused() {
    let error = refused_entry(r#""dtype":"BF16","shape":[3],"data_offsets":[0,8]"#, 8);
    assert_eq!(error, "tensor \"t\": 6 bytes by its type and shape, 8 by its offsets");
}

#[test]
fn overlaps_gaps_and_bytes_of_nobody_are_refused() {
    let two = |start: usize, length: usize| {
        let end = start + 4;
        let second = format!(r#""b":{{"dtype":"F32","shape":[1],"data_offsets":[{start},{end}]}}"#);
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},{second}}}"#);
        refused(&file(&header, &vec![0; length]))
    };
    assert_eq!(
        two(4, 8),
        "tensor \"b\": begins at byte 4 where byte 8 follows the tensor before it"
    );
    assert_eq!(
        two(12, 16),
        "tensor \"b\": begins at byte 12 where byte 8 follows the tensor before it"
    );
    assert_eq!(two(8, 15), "3 bytes after the last tensor belong to none");
}
