//! The rules of the house that a search of the text can hold: who may use whom, how long a file may be,
//! what does not belong in the library, what has to be shown.

mod code;
mod rules;
mod shown;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use self::code::Source;

/// The folders of the crates that are published.
const CRATES: [&str; 3] = ["inferkit", "inferkit/kernels", "inferkit-server"];

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
    let (production, _) = parted(crate_folder);
    production.into_iter().map(|(source, _)| source).collect()
}

/// The crate's files that go into the product, with their text, and the text of those that only tests see.
fn parted(crate_folder: &str) -> (Vec<(Source, String)>, Vec<String>) {
    let folder = root().join(crate_folder).join("src");
    let sources: Vec<_> = rust_files(&folder)
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (Source::new(path.strip_prefix(&folder).unwrap(), &text), text)
        })
        .collect();
    let of_tests: Vec<_> = sources.iter().flat_map(|(source, _)| source.test_modules()).collect();
    let is_of_tests = |source: &Source| of_tests.iter().any(|module| source.is_in(module));
    let (tests, production): (Vec<_>, Vec<_>) = sources.into_iter().partition(|(source, _)| is_of_tests(source));
    (production, tests.into_iter().map(|(_, text)| text).collect())
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
fn kernels_ask_the_processor_in_one_place_once() {
    let asks = [
        "is_x86_feature_detected",
        "is_aarch64_feature_detected",
        "__cpuid",
        "__cpuid_count",
    ];
    let sources = production("inferkit/kernels");
    let (asking, others): (Vec<_>, Vec<_>) = sources
        .iter()
        .partition(|source| source.path.starts_with("isa") || source.path.ends_with("isa.rs"));
    assert!(asking.iter().any(|source| !rules::words(source, &asks).is_empty()));
    let found: Vec<_> = others.iter().flat_map(|source| rules::words(source, &asks)).collect();
    assert_none(&found, "take an `Isa`: asking in a loop costs more than a kernel");
}

#[test]
fn nothing_outside_tests_may_panic_by_intent() {
    let found: Vec<_> = CRATES
        .iter()
        .flat_map(|folder| production(folder))
        // What a fuzzer looks for is a panic.
        .filter(|source| !source.path.ends_with("fuzzing.rs"))
        .flat_map(|source| rules::words(&source, rules::PANICS))
        .collect();
    assert_none(&found, "return an error that names the broken invariant");
}

#[test]
fn each_public_error_is_constructed_in_some_test() {
    let mut tests = Vec::new();
    let mut variants = Vec::new();
    for folder in CRATES {
        let (production, of_tests) = parted(folder);
        for (source, text) in &production {
            variants.extend(shown::error_variants(&source.path, text));
            tests.push(shown::tests_of(text).to_owned());
        }
        tests.extend(of_tests);
        let integration = rust_files(&root().join(folder).join("tests"));
        tests.extend(integration.iter().map(|path| fs::read_to_string(path).unwrap()));
    }
    assert!(variants.len() > 40, "the errors were not found: {variants:?}");
    let tests = tests.concat();
    let missing: Vec<_> = variants
        .into_iter()
        .filter(|variant| !variant.is_in(&tests))
        .map(|variant| variant.name)
        .collect();
    assert_none(&missing, "write a test that provokes them and reads what they say");
}

#[test]
fn each_example_is_listed_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let files = fs::read_dir(root().join("examples")).unwrap();
    let names = files.filter_map(|entry| {
        let path = entry.unwrap().path();
        let is_example = path.extension().is_some_and(|extension| extension == "rs");
        is_example.then(|| path.file_stem().unwrap().to_string_lossy().into_owned())
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 3, "the examples were not found: {names:?}");
    let missing: Vec<_> = names
        .into_iter()
        .filter(|name| !readme.contains(&format!("\n| `{name}` |")))
        .collect();
    assert_none(&missing, "add a line to the table of examples in README.md");
}
