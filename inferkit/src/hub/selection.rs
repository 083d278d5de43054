//! Which files of a repository a model needs.
//!
//! A repository often holds the same weights several times (safetensors, pickle, ONNX, many
//! quantizations). A [`FileSelection`] takes what is asked for and, of things that stand for each
//! other, only the first kind that is there.

use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;

/// Which files of a repository a model needs, by patterns on their paths.
///
/// In a pattern `*` stands for any characters but `/`, and `**` for any characters; so `*.json` takes
/// the files at the top only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FileSelection {
    /// Patterns of files that are taken where there are any.
    pub include: Vec<String>,
    /// Patterns of files that stand for each other, best first: the first with a match is taken, and one must match.
    pub first_of: Vec<String>,
}

impl FileSelection {
    /// The files that match any of `patterns`; at least one must.
    pub fn new<I>(patterns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            include: patterns.into_iter().map(Into::into).collect(),
            first_of: Vec::new(),
        }
    }

    /// A language model in safetensors: weights in one or many files, configuration, tokenizer and template.
    pub fn safetensors() -> Self {
        Self::new(["*.json", "*.jinja", "merges.txt", "tokenizer.model"]).with_first_of([
            "model.safetensors",
            "model-*-of-*.safetensors",
            "*.safetensors",
        ])
    }

    /// One GGUF file by its name, or the parts of one by a pattern such as `model-*-of-*.gguf`.
    pub fn gguf(file: impl Into<String>) -> Self {
        Self::new(Vec::<String>::new()).with_first_of([file])
    }

    /// Takes the first of `patterns` that matches anything as well; one must.
    #[must_use]
    pub fn with_first_of<I>(self, patterns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            first_of: patterns.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// The paths of `listing` that are taken, in its order.
    ///
    /// # Errors
    /// [`HubFault::FileNotFound`] when a part that must match does not.
    pub(crate) fn select<'a>(&self, listing: &[&'a str]) -> Result<Vec<&'a str>> {
        let best = self
            .first_of
            .iter()
            .find(|pattern| listing.iter().any(|path| matches(pattern, path)));
        if best.is_none() && !self.first_of.is_empty() {
            return Err(missing(&self.first_of));
        }
        let taken: Vec<&str> = listing
            .iter()
            .copied()
            .filter(|path| self.include.iter().chain(best).any(|pattern| matches(pattern, path)))
            .collect();
        if taken.is_empty() {
            Err(missing(&self.include))
        } else {
            Ok(taken)
        }
    }
}

fn missing(patterns: &[String]) -> Error {
    Error::hub(
        HubFault::FileNotFound,
        format!(
            "no file matches {}; choose another repository, revision or file",
            patterns.join(" or ")
        ),
    )
}

/// Whether `path` is of the form `pattern`. Takes time in proportion to the product of both lengths at most.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    // `reached[i]`: the pattern so far matches the first `i` bytes of the path.
    let mut reached = vec![false; path.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    let mut rest = pattern;
    while let Some((&symbol, tail)) = rest.split_first() {
        rest = tail;
        if symbol == b'*' {
            let across = rest.first() == Some(&b'*');
            if across {
                rest = rest.get(1..).unwrap_or_default();
            }
            let mut open = false;
            for (index, slot) in reached.iter_mut().enumerate() {
                let crosses_folder = index.checked_sub(1).and_then(|last| path.get(last)) == Some(&b'/');
                open = *slot || (open && (across || !crosses_folder));
                *slot = open;
            }
        } else {
            let mut before = false;
            for (index, slot) in reached.iter_mut().enumerate() {
                let equal = index.checked_sub(1).and_then(|last| path.get(last)) == Some(&symbol);
                (before, *slot) = (*slot, before && equal);
            }
        }
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stays_in_its_folder_and_two_stars_do_not() {
        assert!(matches("*.json", "config.json"));
        assert!(matches("*.json", ".json"));
        assert!(!matches("*.json", "onnx/config.json"));
        assert!(matches("**.json", "onnx/deep/config.json"));
        assert!(matches("onnx/*.json", "onnx/config.json"));
        assert!(matches("model-*-of-*.gguf", "model-00001-of-00003.gguf"));
        assert!(!matches("model.gguf", "model.gguf.txt"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn of_weights_in_many_forms_only_the_best_is_taken() {
        let listing = [
            "README.md",
            "config.json",
            "consolidated.safetensors",
            "model.safetensors",
            "pytorch_model.bin",
        ];
        let taken = FileSelection::safetensors().select(&listing).unwrap();
        assert_eq!(taken, ["config.json", "model.safetensors"]);

        let both = FileSelection::new(["*.json"]).with_first_of(["*.safetensors", "*.bin"]);
        assert_eq!(
            both.select(&["a.bin", "config.json"]).unwrap(),
            ["a.bin", "config.json"]
        );
    }

    #[test]
    fn one_gguf_file_of_many_is_taken_by_name() {
        let taken = FileSelection::gguf("b.Q4_1.gguf")
            .select(&["a.Q8_0.gguf", "b.Q4_1.gguf", "README.md"])
            .unwrap();
        assert_eq!(taken, ["b.Q4_1.gguf"]);
    }

    #[test]
    fn a_repository_without_the_weights_is_refused_with_what_was_looked_for() {
        let error = FileSelection::safetensors()
            .select(&["config.json", "pytorch_model.bin"])
            .unwrap_err();
        assert_eq!(error.code(), "file_not_found");
        assert!(error.to_string().contains("model.safetensors or "), "{error}");
        assert!(FileSelection::new(["*.nemo"]).select(&["README.md"]).is_err());
    }

    proptest! {
        #[test]
        fn every_path_matches_itself_and_the_pattern_of_its_ends(head in "[a-z/]{0,6}", middle in "[a-z]{0,6}", tail in "[a-z]{0,6}") {
            let path = format!("{head}{middle}{tail}");
            prop_assert!(matches(&path, &path));
            let pattern = format!("{head}*{tail}");
            prop_assert!(matches(&pattern, &path));
            prop_assert!(matches("**", &path));
        }
    }
}
