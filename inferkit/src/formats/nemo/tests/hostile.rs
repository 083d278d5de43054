//! Damaged and malicious archives: each is refused with an error that names the member.

use tar::EntryType;

use super::super::members::Members;
use super::archive;
use super::header;
use super::open;

/// The text of the error that this archive must give.
fn refused(bytes: &[u8]) -> String {
    Members::parse(bytes).unwrap_err().to_string()
}

/// An archive of one member of this kind.
fn of_kind(kind: EntryType) -> Vec<u8> {
    let mut header = header(kind, 0);
    header.as_old_mut().name[..4].copy_from_slice(b"name");
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn an_archive_cut_short_within_a_header_or_a_member_is_refused() {
    let whole = archive(&[("a", &[1; 600]), ("b", b"two")]);
    for length in 0..whole.len() - 1024 {
        // A cut between two members cannot be seen: the blocks at the end are often left out.
        let between = length == 0 || length == 1536;
        let padding = (512 + 600..1536).contains(&length) || (2048 + 3..2560).contains(&length);
        let parsed = Members::parse(&whole[..length]);
        assert_eq!(parsed.is_ok(), between || padding, "cut to {length} bytes: {parsed:?}");
    }
}

#[test]
fn names_that_lead_out_of_the_archive_are_refused() {
    for name in [
        "../a",
        "a/../../b",
        "/etc/passwd",
        "a//b",
        "..",
        "./../x",
        "a\\..\\b",
        "a/./b",
    ] {
        let error = refused(&archive(&[(name, b"x")]));
        assert!(
            error.ends_with("a name that leads out of the archive or is none"),
            "{name}: {error}"
        );
    }
}

#[test]
fn links_devices_and_sparse_files_are_refused() {
    for (kind, word) in [
        (EntryType::Symlink, "a link"),
        (EntryType::Link, "a link"),
        (EntryType::GNUSparse, "a sparse file"),
        (EntryType::Fifo, "a device, pipe"),
        (EntryType::Char, "a device, pipe"),
        (EntryType::new(b'Z'), "a device, pipe"),
    ] {
        let error = refused(&of_kind(kind));
        assert!(error.starts_with(&format!("member \"name\" is {word}")), "{error}");
    }
}

#[test]
fn a_name_that_stands_twice_is_refused_also_with_its_dot() {
    let error = refused(&archive(&[("a", b"1"), ("./a", b"2")]));
    assert_eq!(error, "member \"./a\" stands twice");
}

#[test]
fn a_size_beyond_the_file_is_a_claim_and_refused() {
    let mut huge = header(EntryType::Regular, u64::MAX >> 1);
    huge.as_old_mut().name[..4].copy_from_slice(b"name");
    huge.set_cksum();
    let error = refused(&[huge.as_bytes().as_slice(), &[0; 512]].concat());
    assert!(
        error.starts_with("member \"name\" ends beyond the end of the file at 1024"),
        "{error}"
    );
}

#[test]
fn a_header_whose_checksum_does_not_agree_is_damaged() {
    let mut bytes = archive(&[("a", b"1"), ("b", b"2")]);
    bytes[1024] ^= 1;
    assert_eq!(refused(&bytes), "the header at byte 1024 is damaged");
}

#[test]
fn broken_and_endless_descriptions_are_refused() {
    let described = |size: u64, content: &[u8]| {
        let mut header = header(EntryType::XHeader, size);
        header.set_cksum();
        let mut bytes = [header.as_bytes().as_slice(), content].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    assert_eq!(refused(&described(9, b"9 size=x\n")), "the header at byte 0 is damaged");
    assert_eq!(refused(&described(4, b"abc\n")), "the header at byte 0 is damaged");
    let error = refused(&described(2 << 20, &vec![b' '; 2 << 20]));
    assert!(error.contains("a description of 2097152 bytes at byte 0"), "{error}");
}

#[test]
fn other_files_and_damaged_gzip_are_told_apart() {
    let error = open(b"PK\x03\x04").unwrap_err().to_string();
    assert!(
        error.starts_with("model.nemo: the file is neither a tar archive nor a gzipped one"),
        "{error}"
    );
    assert!(open(b"").is_err());
    let error = open(b"\x1f\x8b\x08\0\0\0\0\0\0\x03garbage").unwrap_err().to_string();
    assert!(
        error.starts_with("model.nemo: the gzip stream is cut short or damaged"),
        "{error}"
    );
}
