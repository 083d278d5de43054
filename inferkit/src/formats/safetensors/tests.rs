//! The reader against golden checkpoints, hand-made files, and hostile ones.

mod hostile;

use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use super::Checkpoint;
use super::ElementType;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/llm/models")
        .join(name)
}

/// The bytes of a file with this header.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A file that holds one number under each name.
fn numbers(names: &[&str]) -> Vec<u8> {
    let entry = |(at, name): (usize, &&str)| {
        format!(
            r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#,
            at * 4,
            at * 4 + 4
        )
    };
    let entries: Vec<String> = names.iter().enumerate().map(entry).collect();
    file(&format!("{{{}}}", entries.join(",")), &vec![1; names.len() * 4])
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

const INDEX: &str = "model.safetensors.index.json";

/// The text of the error that opening a folder with these files must give.
fn refused(files: &[(&str, &[u8])]) -> String {
    let error = Checkpoint::open(folder(files).path()).unwrap_err();
    assert_eq!(error.code(), "bad_model");
    error.to_string()
}

#[test]
fn every_golden_checkpoint_opens_and_each_tensor_has_its_bytes() {
    let mut folders = 0;
    for entry in std::fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert!(checkpoint.names().count() > 10, "{path:?}");
        let mut total = 0;
        for name in checkpoint.names() {
            let view = checkpoint.tensor(name).unwrap();
            let elements: usize = view.shape.iter().product();
            assert_eq!(view.bytes.len(), elements * view.dtype.bytes(), "{path:?}: {name}");
            total += view.bytes.len();
        }
        assert_eq!(checkpoint.bytes_total(), total);
        folders += 1;
    }
    assert_eq!(folders, 10);
}

#[test]
fn the_reference_reads_the_same_tensors_from_a_golden_file() {
    let path = golden("qwen2-f16/model.safetensors");
    let content = std::fs::read(&path).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&content).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(reference.len(), checkpoint.names().count());
    for name in checkpoint.names() {
        let (view, other) = (checkpoint.tensor(name).unwrap(), reference.tensor(name).unwrap());
        assert_eq!(
            (view.shape.as_slice(), view.bytes),
            (other.shape(), other.data()),
            "{name}"
        );
    }
}

#[test]
fn a_sharded_checkpoint_opens_through_its_folder_and_through_its_index() {
    let path = golden("qwen3-untied-bf16-sharded");
    for path in [path.clone(), path.join(INDEX)] {
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.tensor("lm_head.weight").unwrap().dtype, ElementType::Bf16);
        assert_eq!(checkpoint.bytes_total(), 349_632);
    }
}

#[test]
fn a_single_file_comes_before_an_index() {
    let folder = folder(&[("model.safetensors", &numbers(&["whole"])), (INDEX, b"broken")]);
    assert!(Checkpoint::open(folder.path()).unwrap().contains("whole"));
}

#[test]
fn a_missing_tensor_is_an_error_when_asked_for_and_none_when_looked_for() {
    let folder = folder(&[("model.safetensors", &numbers(&["a"]))]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert!(checkpoint.find("b").unwrap().is_none());
    let error = checkpoint.tensor("b").unwrap_err().to_string();
    assert!(
        error.starts_with("model.safetensors: tensor \"b\" is missing; "),
        "{error}"
    );
}

#[test]
fn a_type_that_is_not_known_fails_only_when_the_tensor_is_asked_for() {
    let header =
        r#"{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[],"data_offsets":[2,3]}}"#;
    let folder = folder(&[("model.safetensors", &file(header, &[1, 2, 3]))]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.tensor("b").unwrap().bytes, [3]);
    let error = checkpoint.tensor("a").unwrap_err();
    assert_eq!(error.code(), "unsupported_model");
    assert!(
        error.to_string().contains("tensor \"a\": type \"F4\" is not supported"),
        "{error}"
    );
}

#[test]
fn a_folder_without_weights_says_which_files_it_should_hold() {
    let error = refused(&[("pytorch_model.bin", b"x")]);
    assert!(
        error.contains("holds neither model.safetensors nor model.safetensors.index.json"),
        "{error}"
    );
}

#[test]
fn a_missing_shard_is_named_with_what_to_do() {
    let error = refused(&[(INDEX, br#"{"weight_map":{"a":"model-00001-of-00001.safetensors"}}"#)]);
    assert_eq!(
        error,
        "model-00001-of-00001.safetensors is missing; download the model again or correct the path"
    );
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let error = refused(&[
        (INDEX, br#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#),
        ("1.safetensors", &numbers(&["a"])),
        ("2.safetensors", &numbers(&["a", "b"])),
    ]);
    assert!(
        error.contains("tensor \"a\": in 1.safetensors and in 2.safetensors"),
        "{error}"
    );
}

#[test]
fn a_tensor_that_is_not_where_the_index_says_is_refused() {
    for second in [numbers(&["c"]), numbers(&["b", "c"])] {
        let error = refused(&[
            (
                INDEX,
                br#"{"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"}}"#,
            ),
            ("1.safetensors", &numbers(&["a"])),
            ("2.safetensors", &second),
        ]);
        assert!(
            error.contains("tensor \"b\": the index places it in 1.safetensors, which does not hold it"),
            "{error}"
        );
    }
}

#[test]
fn a_tensor_that_the_index_forgets_is_found_all_the_same() {
    let folder = folder(&[
        (INDEX, br#"{"weight_map":{"a":"1.safetensors"}}"#),
        ("1.safetensors", &numbers(&["a", "extra"])),
    ]);
    assert!(Checkpoint::open(folder.path()).unwrap().contains("extra"));
}

#[test]
fn a_shard_outside_of_the_folder_is_refused_unopened() {
    let error = refused(&[(INDEX, br#"{"weight_map":{"a":"../../etc/passwd"}}"#)]);
    assert!(
        error.contains("shard \"../../etc/passwd\" is not the name of a file in the same folder"),
        "{error}"
    );
}

#[test]
fn a_damaged_shard_is_named() {
    let whole = numbers(&["a"]);
    let error = refused(&[
        (INDEX, br#"{"weight_map":{"a":"1.safetensors"}}"#),
        ("1.safetensors", &whole[..whole.len() - 1]),
    ]);
    assert!(error.starts_with("1.safetensors: tensor \"a\": "), "{error}");
    assert!(error.ends_with("; download the model again"), "{error}");
}
