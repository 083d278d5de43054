//! Damaged and malicious checkpoints: each is refused with an error that names the part, and nothing is run.

use super::super::Checkpoint;
use super::super::Directory;
use super::super::testing::archive;
use super::super::testing::checkpoint;
use super::super::testing::dictionary;
use super::super::testing::global;
use super::super::testing::tensor;
use super::super::testing::text;

/// The text of the error that a checkpoint with this pickle must give.
fn refused(pickle: &[u8]) -> String {
    Directory::parse(&checkpoint(pickle)).unwrap_err().to_string()
}

fn refused_tensor(elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> String {
    refused(&dictionary(&[(
        "t",
        tensor("FloatStorage", elements, offset, shape, strides),
    )]))
}

#[test]
fn a_checkpoint_cut_short_at_any_byte_is_refused() {
    let whole = checkpoint(&dictionary(&[("w", tensor("FloatStorage", 12, 0, &[12], &[1]))]));
    assert!(Directory::parse(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(Directory::parse(&whole[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_pickle_cut_short_at_any_byte_is_refused() {
    let whole = dictionary(&[("w", tensor("FloatStorage", 12, 0, &[12], &[1]))]);
    for length in 0..whole.len() {
        let error = refused(&whole[..length]);
        assert!(error.contains("of data.pkl: "), "cut to {length} bytes: {error}");
    }
}

#[test]
fn a_pickle_that_would_run_commands_is_refused_by_name_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("witness");
    let command = format!("touch {}", witness.display());
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "getattr"),
    ] {
        let call = [global(module, name), b"(".to_vec(), text(&command), b"tR".to_vec()].concat();
        let alone = [b"\x80\x02".to_vec(), call.clone(), b".".to_vec()].concat();
        let hidden = dictionary(&[("w", tensor("FloatStorage", 12, 0, &[1], &[1])), ("x", call)]);
        for pickle in [alone, hidden] {
            let error = refused(&pickle);
            assert!(error.contains(&format!("it names \"{module}.{name}\"")), "{error}");
        }
    }
    let by_stack = [b"\x80\x04".to_vec(), text("os"), text("system"), b"\x93.".to_vec()].concat();
    assert!(refused(&by_stack).contains("\"os.system\""));
    assert!(!witness.exists());
}

#[test]
fn any_other_function_is_not_called_either_and_its_result_is_no_state_dict() {
    let call = [global("evil.module", "run"), b"(".to_vec(), text("x"), b"tR".to_vec()].concat();
    let pickle = [b"\x80\x02".to_vec(), call, b".".to_vec()].concat();
    assert_eq!(
        refused(&pickle),
        "the checkpoint is an object of \"evil.module.run\", which is not made, where a dictionary of tensors belongs"
    );
}

#[test]
fn old_and_other_formats_are_told_apart() {
    for (content, found) in [
        (
            b"\x80\x02\x8a\nl\xfc".as_slice(),
            "a bare pickle or a legacy PyTorch checkpoint",
        ),
        (b"\x80\x04\x95", "a bare pickle"),
        (b"GGUF\x03", "a GGUF file"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer, which stands for the file itself",
        ),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"", "empty"),
        (b"hello", "of an unknown kind"),
    ] {
        let error = Directory::parse(content).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("unsupported checkpoint format: the file is {found}")),
            "{error}"
        );
    }
    let error = Directory::parse(&archive(&[("a.npy", b"x")], zip::CompressionMethod::Stored)).unwrap_err();
    assert!(error.to_string().contains("holds no data.pkl"), "{error}");
}

#[test]
fn the_error_of_an_opened_file_names_it_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.bin");
    std::fs::write(&path, b"\x80\x02}.").unwrap();
    let error = Checkpoint::open(&path).unwrap_err();
    assert_eq!(error.code(), "unsupported_model");
    assert!(
        error.to_string().starts_with("old.bin: unsupported checkpoint format"),
        "{error}"
    );
    std::fs::write(&path, checkpoint(&dictionary(&[]))).unwrap();
    let error = Checkpoint::open(&path).unwrap().tensor("w").unwrap_err();
    assert!(
        error.to_string().starts_with("old.bin: tensor \"w\" is missing; "),
        "{error}"
    );
}

#[test]
fn views_beyond_their_storage_are_refused_with_the_tensor() {
    for (offset, shape, strides) in [
        (12, [1].as_slice(), [1].as_slice()),
        (11, &[2], &[1]),
        (0, &[2, 2], &[11, 1]),
        (0, &[2, 2], &[i32::MAX, i32::MAX]),
        (i32::MAX, &[], &[]),
    ] {
        let error = refused_tensor(12, offset, shape, strides);
        assert_eq!(
            error, "tensor \"t\": it reaches beyond its storage of 12 numbers",
            "{strides:?}"
        );
    }
}

#[test]
fn an_expanded_tensor_does_not_unfold_without_end() {
    for shape in [[i32::MAX; 8].as_slice(), &[13]] {
        let error = refused_tensor(12, 0, shape, &vec![0; shape.len()]);
        assert_eq!(
            error,
            "tensor \"t\": a shape of more numbers than its storage of 12 holds"
        );
    }
}

#[test]
fn descriptions_that_are_none_are_refused() {
    assert!(refused_tensor(12, -1, &[1], &[1]).ends_with("a tensor is not described as PyTorch does"));
    assert!(refused_tensor(-1, 0, &[1], &[1]).ends_with("a storage is not described as PyTorch does"));
    for (shape, strides) in [([1, 2].as_slice(), [1].as_slice()), (&[-1], &[1]), (&[1; 9], &[1; 9])] {
        let error = refused_tensor(12, 0, shape, strides);
        assert_eq!(error, "tensor \"t\": it is not described as PyTorch does");
    }
}

#[test]
fn a_storage_that_is_missing_or_of_another_length_is_refused() {
    let pickle = dictionary(&[("t", tensor("FloatStorage", 13, 0, &[1], &[1]))]);
    assert_eq!(
        refused(&pickle),
        "tensor \"t\": its storage \"0\" has 48 bytes where 52 are announced"
    );
    let alone = archive(&[("m/data.pkl", &pickle)], zip::CompressionMethod::Stored);
    let error = Directory::parse(&alone).unwrap_err().to_string();
    assert_eq!(error, "tensor \"t\": its storage \"0\" is missing in the archive");
}

#[test]
fn two_pickles_and_big_endian_numbers_are_refused() {
    let pickle = dictionary(&[]);
    let two = archive(
        &[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)],
        zip::CompressionMethod::Stored,
    );
    let error = Directory::parse(&two).unwrap_err().to_string();
    assert!(error.contains("holds \"a/data.pkl\" and \"b/data.pkl\""), "{error}");
    let big = archive(
        &[("a/data.pkl", &pickle), ("a/byteorder", b"big")],
        zip::CompressionMethod::Stored,
    );
    let error = Directory::parse(&big).unwrap_err().to_string();
    assert!(error.contains("big endian"), "{error}");
}
