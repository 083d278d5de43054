//! The rules of the house that a search of the text can hold: who may use whom, how long a file may be,
//! what does not belong in the library.

mod code;
mod rules;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use self::code::Source;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below `folder`, in a fixed order; none where there is no such folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let below = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_build = name.starts_with("target") || name == "node_modules";
        match path.extension() {
            _ if path.is_dir() && !is_build => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        }
    };
    paths.into_iter().flat_map(below).collect()
}

/// The crate's files that go into the product: those that only tests see are left out.
fn production(crate_folder: &str) -> Vec<Source> {
    let folder = root().join(crate_folder).join("src");
    let sources: Vec<_> = rust_files(&folder)
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            Source::new(path.strip_prefix(&folder).unwrap(), &text)
        })
        .collect();
    let of_tests: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    sources
        .into_iter()
        .filter(|source| !of_tests.iter().any(|module| source.is_in(module)))
        .collect()
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn no_module_uses_a_floor_above_it_or_a_room_beside_it() {
    let sources = production("inferkit");
    assert!(sources.len() > 20, "the library's sources were not found");
    let found: Vec<_> = sources.iter().flat_map(rules::imports).collect();
    assert_none(
        &found,
        "see the floors in doc/architecture.md; `crate::` paths name a module, one path a line",
    );
}

#[test]
fn the_library_knows_neither_http_servers_nor_command_lines() {
    let manifest = fs::read_to_string(root().join("inferkit/Cargo.toml")).unwrap();
    assert_none(&rules::foreign_dependencies(&manifest), "these belong to the server");
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let folders = ["inferkit", "inferkit-server", "examples", "benches", "tests"];
    let found: Vec<_> = folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter_map(|path| rules::too_long(&path, &fs::read_to_string(&path).unwrap()))
        .collect();
    assert_none(&found, "split them by concept");
}

#[test]
fn unsafe_code_stands_in_one_file_of_the_library_and_nowhere_in_the_server() {
    let found: Vec<_> = ["inferkit", "inferkit-server"]
        .iter()
        .flat_map(|folder| production(folder))
        .filter(|source| !(source.path.ends_with("formats/mmap.rs")))
        .flat_map(|source| rules::words(&source, &["unsafe"]))
        .collect();
    assert_none(&found, "unsafe code belongs in inferkit-kernels or formats/mmap.rs");
}

#[test]
fn nothing_outside_tests_may_panic_by_intent() {
    let found: Vec<_> = ["inferkit", "inferkit-server"]
        .iter()
        .flat_map(|folder| production(folder))
        // What a fuzzer looks for is a panic.
        .filter(|source| !source.path.ends_with("fuzzing.rs"))
        .flat_map(|source| rules::words(&source, rules::PANICS))
        .collect();
    assert_none(&found, "return an error that names the broken invariant");
}
