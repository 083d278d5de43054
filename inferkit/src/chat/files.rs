//! Which files a chat model consists of: a published folder or one GGUF.

use std::path::Path;
use std::path::PathBuf;

use crate::error::Error;
use crate::error::Result;

/// The files of a chat model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelFiles {
    /// A folder as published: `config.json`, safetensors, `tokenizer.json`.
    Folder(PathBuf),
    /// A GGUF file, which holds configuration and tokenizer too; the first part if it is split.
    Gguf(PathBuf),
}

impl ModelFiles {
    /// Finds the model at `path`: a GGUF file, or a folder that holds a published model or one GGUF.
    ///
    /// # Errors
    /// [`Error::BadModel`] when there is no model or more than one.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        if is_gguf(path) && path.is_file() {
            return Ok(Self::Gguf(path.to_owned()));
        }
        if path.join("config.json").is_file() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let entries = std::fs::read_dir(path).map_err(|error| {
            let message = format!(
                "{} is neither a GGUF file nor a model's folder; correct the path",
                path.display()
            );
            Error::bad_model(message).with_source(error)
        })?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| is_gguf(path) && !is_later_part(path))
            .collect();
        found.sort();
        match found.as_slice() {
            [one] => Ok(Self::Gguf(one.clone())),
            [] => Err(Error::bad_model(format!(
                "{} holds neither config.json nor a .gguf file; download the model again or correct the path",
                path.display()
            ))),
            [first, second, ..] => Err(Error::bad_model(format!(
                "{} holds several models, {} and {} among them; give the path of one",
                path.display(),
                name(first),
                name(second)
            ))),
        }
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Whether the name says that this is part 2 or later: `model-00002-of-00003.gguf`.
fn is_later_part(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let number = stem
        .rsplit_once("-of-")
        .and_then(|(front, _)| front.rsplit_once('-'))
        .map(|(_, number)| number);
    number
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number > 1)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), b"").unwrap();
        }
        folder
    }

    #[test]
    fn a_model_is_a_gguf_file_a_folder_with_one_or_a_published_folder() {
        let one = folder(&["a.gguf", "README.md"]);
        let gguf = one.path().join("a.gguf");
        assert_eq!(ModelFiles::find(&gguf).unwrap(), ModelFiles::Gguf(gguf.clone()));
        assert_eq!(ModelFiles::find(one.path()).unwrap(), ModelFiles::Gguf(gguf));
        let published = folder(&["config.json", "a.gguf"]);
        assert_eq!(
            ModelFiles::find(published.path()).unwrap(),
            ModelFiles::Folder(published.path().to_owned())
        );
    }

    #[test]
    fn the_parts_of_a_split_model_are_one_model() {
        let split = folder(&["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]);
        let first = split.path().join("m-00001-of-00002.gguf");
        assert_eq!(ModelFiles::find(split.path()).unwrap(), ModelFiles::Gguf(first));
    }

    #[test]
    fn no_model_or_several_are_told_apart() {
        for (files, text) in [
            (&["x.txt"][..], "neither config.json nor"),
            (&["a.gguf", "b.gguf"], "several models"),
        ] {
            let error = ModelFiles::find(folder(files).path()).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        let error = ModelFiles::find(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("correct the path"), "{error}");
    }
}
