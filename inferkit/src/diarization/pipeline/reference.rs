//! How a configuration names a part: beside itself, by a path, or as a repository.

use crate::error::Error;
use crate::error::Result;

/// Where a part is, in the words of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::diarization) enum Reference {
    /// A folder at the place that the configuration came from: `$model/folder`, or `$model/folder@revision`.
    Beside {
        /// Parts separated by `/`, none of which climbs.
        folder: String,
        /// Another revision of the same repository.
        revision: Option<String>,
    },
    /// A file, a folder or a repository.
    Named(String),
    /// A folder of a published repository: what pyannote.audio takes where nothing is named.
    Published {
        /// `owner/name`
        repository: &'static str,
        folder: &'static str,
    },
}

/// What stands for the place of the configuration.
const MODEL: &str = "$model/";

/// The repository whose folders are taken where a configuration names none (pyannote.audio,
/// `pipelines/speaker_diarization.py`).
const DEFAULT_REPOSITORY: &str = "pyannote/speaker-diarization-community-1";

impl Reference {
    /// Reads the value of the key `key`.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a folder outside the configuration's place, and for an empty text.
    pub(super) fn parse(key: &str, text: &str) -> Result<Self> {
        let Some(own) = text.strip_prefix(MODEL) else {
            if text.trim().is_empty() || text.starts_with('$') {
                return Err(Error::bad_model(format!(
                    "config.yaml: {key} is {text:?}, which names no file, folder or repository; correct it"
                )));
            }
            return Ok(Self::Named(text.to_owned()));
        };
        let (folder, revision) = match own.rsplit_once('@') {
            Some((folder, revision)) => (folder, Some(revision.to_owned())),
            None => (own, None),
        };
        let stays_inside = folder
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']));
        if !stays_inside || revision.as_deref() == Some("") {
            return Err(Error::bad_model(format!(
                "config.yaml: {key} is {text:?}, which is no folder beside the configuration; correct it"
            )));
        }
        Ok(Self::Beside {
            folder: folder.to_owned(),
            revision,
        })
    }

    /// The published part that stands in a folder of this name.
    pub(super) const fn published(folder: &'static str) -> Self {
        Self::Published {
            repository: DEFAULT_REPOSITORY,
            folder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(folder: &str, revision: Option<&str>) -> Reference {
        Reference::Beside {
            folder: folder.to_owned(),
            revision: revision.map(str::to_owned),
        }
    }

    #[test]
    fn a_reference_is_beside_the_configuration_or_named() {
        let parse = |text| Reference::parse("segmentation", text).unwrap();
        assert_eq!(parse("$model/segmentation"), beside("segmentation", None));
        assert_eq!(parse("$model/a/b@v1.0"), beside("a/b", Some("v1.0")));
        assert_eq!(parse("owner/name"), Reference::Named("owner/name".to_owned()));
    }

    #[test]
    fn a_reference_does_not_leave_its_place() {
        for text in [
            "$model/",
            "$model/../x",
            "$model/a//b",
            "$model/a/..",
            "$model/a@",
            "$other/a",
            "",
            " ",
        ] {
            let error = Reference::parse("embedding", text).unwrap_err();
            assert_eq!(error.code(), "bad_model", "{text:?}");
            assert!(error.to_string().contains("config.yaml: embedding is"), "{error}");
        }
    }
}
