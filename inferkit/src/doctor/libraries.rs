//! Where the loader would find a library, by looking at files: nothing is loaded.

use std::path::Path;
use std::path::PathBuf;

/// Folders that the loader looks into besides those of the search path and its own configuration.
const DEFAULT_FOLDERS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/targets/x86_64-linux/lib",
];

/// Most lines read of the loader's configuration.
const MAX_LINES: usize = 1000;

/// The folders in which the loader looks for libraries: `search_path` (as in `LD_LIBRARY_PATH`), the files in
/// `configuration` (`/etc/ld.so.conf.d`), and its own.
pub(super) fn folders(search_path: &str, configuration: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = search_path
        .split(':')
        .filter(|part| !part.is_empty())
        .map(PathBuf::from)
        .collect();
    let mut files: Vec<PathBuf> = std::fs::read_dir(configuration)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "conf"))
    {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        folders.extend(configured(&text).map(PathBuf::from));
    }
    folders.extend(DEFAULT_FOLDERS.map(PathBuf::from));
    folders
}

/// The newest CUDA whose libraries are opened by their numbered names; one that is newer needs the plain name.
const NEWEST_NUMBERED: u64 = 12;

/// The file of the library `name` (such as `libcublas.so`) in the first of `folders` that has it under a name that is
/// opened, the newest version first.
pub(super) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().find_map(|folder| {
        let entries = std::fs::read_dir(folder).ok()?;
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let versions = names.filter_map(|file| {
            let version = version_of(&file, name)?.to_owned();
            // A link that leads nowhere is no library.
            let numbers = numbers(&version);
            let is_opened = numbers.first().is_none_or(|major| *major <= NEWEST_NUMBERED);
            (is_opened && folder.join(&file).exists()).then_some((numbers, file))
        });
        versions.max().map(|(_, file)| folder.join(file))
    })
}

/// The version in the name of a library's file: `libcublas.so.12.8.4` gives `12.8.4`, `libcublas.so` nothing.
pub(super) fn version_of<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let rest = file.strip_prefix(name)?;
    let version = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
    version
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        .then_some(version)
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

fn configured(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take(MAX_LINES)
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| line.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_off_the_name_and_other_libraries_are_left_alone() {
        assert_eq!(version_of("libcublas.so.12.8.4", "libcublas.so"), Some("12.8.4"));
        assert_eq!(version_of("libcublas.so", "libcublas.so"), Some(""));
        assert_eq!(version_of("libcublasLt.so.12", "libcublas.so"), None);
        assert_eq!(version_of("libcublas.so.12.bak", "libcublas.so"), None);
    }

    #[test]
    fn the_newest_library_of_the_first_folder_is_found() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        std::fs::create_dir(&first).unwrap();
        std::fs::create_dir(&second).unwrap();
        for file in ["libcublas.so.9", "libcublas.so.12", "libcublas.so.12.8.4"] {
            std::fs::write(first.join(file), "").unwrap();
        }
        std::fs::write(second.join("libcublas.so.13"), "").unwrap();
        std::fs::write(second.join("libcublasLt.so.13"), "").unwrap();
        let folders = [root.path().join("gone"), first.clone(), second.clone()];
        assert_eq!(find("libcublas.so", &folders), Some(first.join("libcublas.so.12.8.4")));
        assert_eq!(find("libcurand.so", &folders), None);
        assert_eq!(find("libcublasLt.so", &folders), None, "no name that is opened");
        std::fs::write(second.join("libcublasLt.so"), "").unwrap();
        assert_eq!(find("libcublasLt.so", &folders), Some(second.join("libcublasLt.so")));
    }

    #[test]
    fn the_loaders_configuration_is_read_without_its_comments() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("b.conf"), "# CUDA\n/opt/cuda/lib # here\ninclude x\n").unwrap();
        std::fs::write(root.path().join("ignored.txt"), "/ignored\n").unwrap();
        let folders = folders("/first::/second", root.path());
        let expected: Vec<PathBuf> = ["/first", "/second", "/opt/cuda/lib"].map(PathBuf::from).into();
        assert_eq!(folders.get(..3), Some(expected.as_slice()));
    }
}
