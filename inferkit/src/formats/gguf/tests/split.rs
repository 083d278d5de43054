//! Models in several files.

use std::path::Path;

use tempfile::TempDir;

use crate::error::Result;
use crate::formats::gguf::Gguf;
use crate::formats::gguf::GgufWriter;
use crate::formats::gguf::Metadata;
use crate::formats::gguf::Value;

fn part(number: u16, count: u16) -> GgufWriter {
    let writer = GgufWriter::new()
        .key("split.no", Value::U16(number))
        .key("split.count", Value::U16(count));
    writer.key("split.tensors.count", Value::I32(2))
}

/// A model in three parts, the first of which holds no tensor.
fn three_parts() -> (TempDir, [GgufWriter; 3]) {
    let parts = [
        part(0, 3).key("general.name", Value::Text("split".to_owned())),
        part(1, 3).tensor("a", &[1], 0, &[1; 4]),
        part(2, 3).tensor("b", &[1], 0, &[2; 4]),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, part) in (1..).zip(&parts) {
        write(folder.path(), number, part);
    }
    (folder, parts)
}

fn write(folder: &Path, number: usize, part: &GgufWriter) {
    std::fs::write(folder.join(format!("m-{number:05}-of-00003.gguf")), part.bytes()).unwrap();
}

fn open(folder: &TempDir, number: usize) -> Result<Gguf> {
    Gguf::open(&folder.path().join(format!("m-{number:05}-of-00003.gguf")))
}

#[test]
fn a_split_model_opens_through_any_of_its_parts() {
    let (folder, _) = three_parts();
    for number in 1..=3 {
        let model = open(&folder, number).unwrap();
        assert_eq!(
            (model.need("a").unwrap().bytes, model.need("b").unwrap().bytes),
            ([1; 4].as_slice(), [2; 4].as_slice())
        );
        assert_eq!(model.metadata().need("general.name", Metadata::text).unwrap(), "split");
        assert_eq!((model.names().count(), model.bytes_total()), (2, 8));
    }
}

#[test]
fn a_missing_part_is_named() {
    let (folder, _) = three_parts();
    std::fs::remove_file(folder.path().join("m-00002-of-00003.gguf")).unwrap();
    let error = open(&folder, 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "m-00002-of-00003.gguf is missing; download the model again or correct the path"
    );
}

#[test]
fn a_part_under_another_name_is_refused_with_the_name_it_needs() {
    let (folder, parts) = three_parts();
    let path = folder.path().join("renamed.gguf");
    std::fs::write(&path, parts[1].bytes()).unwrap();
    let error = Gguf::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("part 2 of 3 has to be named …-00002-of-00003.gguf"),
        "{error}"
    );
}

#[test]
fn a_part_that_is_another_one_than_its_name_says_is_refused() {
    let (folder, parts) = three_parts();
    write(folder.path(), 3, &parts[1]);
    let error = open(&folder, 1).unwrap_err().to_string();
    assert!(
        error.contains("part 3 of 3 by its name says that it is part 2 of 3"),
        "{error}"
    );
}

#[test]
fn a_tensor_in_two_parts_is_refused() {
    let (folder, _) = three_parts();
    write(folder.path(), 3, &part(2, 3).tensor("a", &[1], 0, &[2; 4]));
    let error = open(&folder, 1).unwrap_err().to_string();
    assert!(
        error.starts_with("m-00003-of-00003.gguf: tensor \"a\" is listed twice"),
        "{error}"
    );
}

#[test]
fn parts_that_hold_fewer_tensors_than_announced_are_refused() {
    let (folder, _) = three_parts();
    write(folder.path(), 3, &part(2, 3));
    let error = open(&folder, 1).unwrap_err().to_string();
    assert!(error.contains("the parts hold 1 tensors, 2 were announced"), "{error}");
}

#[test]
fn a_claim_of_billions_of_parts_ends_at_the_first_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m-00001-of-4294967295.gguf");
    let claim = GgufWriter::new()
        .key("split.no", Value::U16(0))
        .key("split.count", Value::U32(u32::MAX));
    std::fs::write(&path, claim.bytes()).unwrap();
    let error = Gguf::open(&path).unwrap_err().to_string();
    assert!(error.starts_with("m-00002-of-4294967295.gguf is missing"), "{error}");
}
