//! Where a model's files come from and where they lie: what every wrapper says of them in the same way.

use std::path::PathBuf;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::hub::DownloadOptions;
use crate::hub::FileInventory;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::ModelFile;
use crate::hub::Source;
use crate::job::Job;
use crate::task::Task;
use crate::wrapper::ModelInfo;

/// A model's source and the hub that keeps its files.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// A repository or a path.
    pub(crate) source: Source,
    /// Fetches and keeps.
    pub(crate) hub: Hub,
}

impl Origin {
    /// What a model of `family` for `task` from here is.
    pub(crate) fn describe(&self, family: &str, task: Task) -> ModelInfo {
        let repository = self.source.repository();
        ModelInfo {
            license_url: repository.map(|repository| self.hub.license_url(repository)),
            ..ModelInfo::new(family, task, self.source.clone())
        }
    }

    /// Which of the selected files are here.
    ///
    /// # Errors
    /// As [`Hub::inventory`].
    pub(crate) fn inventory(&self, selection: &FileSelection) -> Result<FileInventory> {
        self.hub.inventory(&self.source, selection)
    }

    /// Makes the selected files present.
    ///
    /// # Errors
    /// As [`Hub::download`].
    pub(crate) async fn download(&self, selection: &FileSelection, options: &DownloadOptions, job: &Job) -> Result<()> {
        self.hub.download(&self.source, selection, options, job).await.map(drop)
    }

    /// The folder (or, for a path to a file, the file) to load from, all selected files present.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] (`not_downloaded`) when one is missing; as [`Hub::locate`].
    pub(crate) fn located(&self, selection: &FileSelection) -> Result<PathBuf> {
        self.hub
            .locate(&self.source, selection)?
            .ok_or_else(|| not_downloaded(&self.source))
    }
}

/// Bytes of the weights in a model's files, as they are stored.
pub(crate) fn weights_bytes(files: &FileInventory) -> u64 {
    const KINDS: [&str; 7] = ["safetensors", "gguf", "nemo", "bin", "ckpt", "pt", "npz"];
    let is_weights = |file: &&ModelFile| {
        let extension = file.path.extension().unwrap_or_default();
        file.present && KINDS.iter().any(|kind| extension.eq_ignore_ascii_case(kind))
    };
    files
        .files
        .iter()
        .filter(is_weights)
        .filter_map(|file| file.bytes)
        .sum()
}

/// The error about a model that is to be loaded and of which files are missing.
pub(crate) fn not_downloaded(source: &Source) -> Error {
    let message = format!("the files of {source} are not all here; download the model first");
    Error::invalid(RequestFault::NotDownloaded, None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_a_page_for_its_licence_and_a_path_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::builder(folder.path()).offline(true).build().unwrap();
        let of = |source| Origin {
            source,
            hub: hub.clone(),
        };
        let info = of(Source::hub("owner/name")).describe("qwen", Task::Chat);
        assert!(info.license_url.unwrap().ends_with("/owner/name"));
        let info = of(Source::path(folder.path())).describe("qwen", Task::Chat);
        assert_eq!((info.family.as_str(), info.license_url), ("qwen", None));
    }

    #[test]
    fn weights_are_told_from_the_other_files_by_their_names() {
        let files = vec![
            ModelFile::present("model.safetensors", 5),
            ModelFile::present("tokenizer.json", 100),
            ModelFile::present("plda.NPZ", 7),
            ModelFile::missing("other.bin", Some(1000)),
        ];
        assert_eq!(weights_bytes(&FileInventory::new(files, false)), 12);
    }

    #[test]
    fn files_that_are_missing_have_to_be_downloaded_first() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin {
            source: Source::path(folder.path()),
            hub: Hub::builder(folder.path()).offline(true).build().unwrap(),
        };
        let selection = FileSelection::new(["model.bin"]);
        let error = origin.located(&selection).unwrap_err();
        assert_eq!(error.code(), "not_downloaded");
        assert!(error.to_string().contains("download the model first"), "{error}");
        std::fs::write(folder.path().join("model.bin"), "x").unwrap();
        assert_eq!(origin.located(&selection).unwrap(), folder.path());
    }
}
