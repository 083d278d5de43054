//! The directory against archives of the reference writer, and against damaged ones.

use std::io::Cursor;
use std::io::Write;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::*;

fn archive(entries: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

/// Where `pattern` first stands in `bytes`.
fn place(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
        .unwrap()
}

#[test]
fn entries_are_seen_where_they_lie_and_deflated_ones_unfold() {
    let text = b"weights weights weights weights weights".as_slice();
    for options in [
        stored(),
        stored().with_alignment(64),
        stored().large_file(true),
        stored().compression_method(CompressionMethod::Deflated),
    ] {
        let file = archive(&[("top/data/0", text), ("top/empty", b"")], options);
        let directory = ZipDirectory::parse(&file).unwrap();
        assert_eq!(directory.names().collect::<Vec<_>>(), ["top/data/0", "top/empty"]);
        let read = |name: &str| directory.entry(name).unwrap().read(&file, name, 100).unwrap();
        assert_eq!((read("top/data/0").as_ref(), read("top/empty").len()), (text, 0));
        assert!(directory.entry("data/0").is_none());
    }
}

#[test]
fn an_archive_cut_short_at_any_byte_is_refused() {
    let file = archive(&[("a", b"one"), ("b", b"two")], stored());
    for length in 0..file.len() {
        assert!(ZipDirectory::parse(&file[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn no_changed_byte_of_the_headers_makes_the_reader_panic() {
    let file = archive(&[("a", b"one"), ("b", b"two")], stored().large_file(true));
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = file.clone();
            changed[at] = value;
            if let Ok(directory) = ZipDirectory::parse(&changed) {
                for name in directory.names() {
                    let _ = directory.entry(name).unwrap().read(&changed, name, 1000);
                }
            }
        }
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let mut file = archive(&[("first", b"1"), ("secnd", b"2")], stored());
    while let Some(at) = file.windows(5).position(|window| window == b"secnd") {
        file[at..at + 5].copy_from_slice(b"first");
    }
    let error = ZipDirectory::parse(&file).unwrap_err().to_string();
    assert_eq!(error, "entry \"first\" is listed twice");
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let mut file = archive(&[("a", &[7; 200]), ("b", b"2")], stored());
    // The second entry's header is made to point to the first's data, where a header was planted.
    let header = file[place(&file[1..], b"PK\x03\x04") + 1..][..31].to_vec();
    file[100..131].copy_from_slice(&header);
    let second = file.len() - 22 - 47;
    assert_eq!(file[second..second + 4], *b"PK\x01\x02");
    file[second + 42..second + 46].copy_from_slice(&100_u32.to_le_bytes());
    let error = ZipDirectory::parse(&file).unwrap_err().to_string();
    assert_eq!(error, "entries \"a\" and \"b\" overlap");
}

#[test]
fn encryption_and_other_methods_are_named() {
    let file = archive(&[("a", b"1")], stored());
    let central = place(&file, b"PK\x01\x02");
    let mut encrypted = file.clone();
    encrypted[central + 8] |= 1;
    let error = ZipDirectory::parse(&encrypted).unwrap_err().to_string();
    assert!(error.starts_with("entry \"a\" is encrypted"), "{error}");
    let mut packed = file;
    packed[central + 10] = 93;
    let error = ZipDirectory::parse(&packed).unwrap_err().to_string();
    assert!(error.starts_with("entry \"a\" is packed by method 93"), "{error}");
}

#[test]
fn an_entry_does_not_unfold_beyond_what_was_asked_for_or_announced() {
    let deflated = stored().compression_method(CompressionMethod::Deflated);
    let mut file = archive(&[("a", &[0; 10_000])], deflated);
    let directory = ZipDirectory::parse(&file).unwrap();
    let error = directory.entry("a").unwrap().read(&file, "a", 9_999).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("unfolds to 10000 bytes, of which there can be 9999"),
        "{error}"
    );
    let central = place(&file, b"PK\x01\x02");
    for claimed in [9_999_u32, 10_001, u32::MAX - 1] {
        file[central + 24..central + 28].copy_from_slice(&claimed.to_le_bytes());
        let directory = ZipDirectory::parse(&file).unwrap();
        assert!(
            directory.entry("a").unwrap().read(&file, "a", usize::MAX).is_err(),
            "{claimed}"
        );
    }
}

#[test]
fn a_claim_of_many_entries_is_refused_before_any_is_read() {
    let mut file = archive(&[("a", b"1")], stored());
    let end = file.len() - 22;
    file[end + 10..end + 12].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(matches!(
        ZipDirectory::parse(&file),
        Err(ZipError::Damaged { entry: 1 })
    ));
}
