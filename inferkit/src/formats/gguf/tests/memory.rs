//! Memory is given for bytes that are there, never for claims.
//!
//! The test starts itself again with its address space capped by the shell, and reads hostile files there: a reader that
//! trusts a claim of terabytes fails to allocate and ends the child.

use std::process::Command;

use crate::formats::gguf::Directory;
use crate::formats::gguf::GgufWriter;
use crate::formats::safetensors::Header;

/// Set in the child.
const CHILD: &str = "INFERKIT_CAPPED_READER";

/// The test's own name.
const NAME: &str = "formats::gguf::tests::memory::claims_of_terabytes_are_refused_within_little_memory";

/// Address space of the child in KiB: the program, its libraries, and no room for a claim.
const CAP_KIB: u32 = 1 << 20;

#[test]
fn claims_of_terabytes_are_refused_within_little_memory() {
    if std::env::var_os(CHILD).is_some() {
        read_claims();
        return;
    }
    if !cfg!(target_os = "linux") {
        crate::testing::skip("the address space cannot be capped here");
        return;
    }
    let child = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -v {CAP_KIB} && exec \"$0\" --exact {NAME} --test-threads 1"),
        ])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success(),
        "{output}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(output.contains("1 passed"), "{output}");
}

fn read_claims() {
    for claimed in [1 << 33, 1 << 40, u64::MAX / 32, u64::MAX] {
        for writer in [
            GgufWriter {
                claimed_tensors: Some(claimed),
                ..GgufWriter::new()
            },
            GgufWriter {
                claimed_keys: Some(claimed),
                ..GgufWriter::new()
            },
            GgufWriter::new().tensor("t", &[claimed, 1], 0, &[]),
        ] {
            assert!(Directory::parse("test.gguf", &writer.bytes()).is_err());
        }
        // Texts, bytes and arrays, alone and in an array, that claim to be that long.
        for code in 0_u32..13 {
            let mut file = GgufWriter {
                claimed_keys: Some(1),
                ..GgufWriter::new()
            }
            .bytes()[..24]
                .to_vec();
            file.extend([1, 0, 0, 0, 0, 0, 0, 0, b'k', 9, 0, 0, 0]);
            file.extend(code.to_le_bytes());
            file.extend(claimed.to_le_bytes());
            file.resize(1 << 16, 8);
            assert!(Directory::parse("test.gguf", &file).is_err());
        }
        let header = claimed.to_le_bytes();
        assert!(Header::parse(&[header.as_slice(), &[b' '; 64]].concat()).is_err());
        let json = format!(r#"{{"a":{{"dtype":"F32","shape":[{claimed}],"data_offsets":[0,{claimed}]}}}}"#);
        let file = [(json.len() as u64).to_le_bytes().as_slice(), json.as_bytes()].concat();
        assert!(Header::parse(&file).is_err());
    }
}
